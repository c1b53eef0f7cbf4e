import { createHash, X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OpenedMailEntry } from '../evidence/entry.ts';
import { createIndexer } from '../mime/structure.ts';
import { type Authority, createAuthority, type Issued } from '../pki/authority.ts';
import type { MailboxOwner } from '../store/store.ts';
import type { FetchItem } from './codec/command.ts';
import { opens } from './private-mail.ts';
import { ERIKA, type ImapWorld, JAN, openImapWorld, PASSWORD } from './testing/world.ts';

const erika: MailboxOwner = { type: 'user', name: ERIKA };
const secret = 'Kuendigung wegen Krankheit';

/** Lays a De-Mail into the mailbox of its recipient, as the provider link does; returns the index of its entry. */
async function arrives(world: ImapWorld, owner: MailboxOwner, isPrivate: boolean, uid: number) {
  const bytes = Buffer.from(
    `From: max@buerger.de-mail.example\r\nSubject: ${secret}\r\nMessage-ID: <${uid}@provider>\r\n\r\n${secret} ${uid}\r\n`,
  );
  const writer = world.store.stage('stadt');
  const indexer = createIndexer();
  indexer.push(bytes);
  await writer.write(bytes);
  const recorded = await world.store.recordFetched('stadt', {
    kind: 'inbound',
    source: { account: 'stadt', folder: 'INBOX', uidValidity: '1', uid },
    staged: { object: await writer.finish(), index: indexer.finish() },
    header: { messageId: `<${uid}@provider>`, subject: secret, from: null, date: null },
    demail: {
      messageType: 'normal',
      messageId: null,
      privateId: null,
      sender: 'max@buerger.de-mail.example',
      authLevel: 'high',
      originatorProvider: null,
      options: isPrivate ? ['private'] : [],
      chosenRecipients: [],
      envelopeTo: [],
    },
    attachments: [],
    verdict: 'valid',
    ...(isPrivate ? { private: true } : {}),
    deposits: [{ owner, mailbox: 'INBOX', reason: 'test', prefix: Buffer.from('X-Block: 1\r\n'), flags: [] }],
  });
  return recorded!.index;
}

interface Client extends AsyncDisposable {
  readonly socket: TLSSocket;
  /** For resuming the TLS session. */
  readonly tickets: readonly Buffer[];
  /** Sends a command; resolves with all that came up to its tagged answer. */
  ask(command: string): Promise<string>;
}

async function connect(
  world: ImapWorld,
  login = ERIKA,
  identity?: Issued,
  more: object = {},
): Promise<Client> {
  const socket = connectTls({
    host: '127.0.0.1',
    port: world.ports.imaps,
    ca: world.authority,
    ...(identity && { cert: identity.certificate, key: identity.key }),
    ...more,
  });
  const tickets: Buffer[] = [];
  socket.on('session', (ticket: Buffer) => tickets.push(ticket));
  let text = '';
  let look = () => {};
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    look();
  });
  socket.on('error', () => {});
  let count = 0;
  const ask = (command: string) =>
    new Promise<string>((resolve, reject) => {
      const tag = `t${++count}`;
      text = '';
      look = () => {
        if (new RegExp(`(^|\r\n)${tag} (OK|NO|BAD)[^\r\n]*\r\n`).test(text)) resolve(text);
      };
      socket.once('close', () => reject(new Error('closed')));
      socket.write(`${tag} ${command}\r\n`);
    });
  expect(await ask(`LOGIN ${login} ${PASSWORD}`)).toContain('OK');
  return {
    socket,
    tickets,
    ask,
    async [Symbol.asyncDispose]() {
      socket.destroy();
    },
  };
}

async function openings(world: ImapWorld, letter: number): Promise<OpenedMailEntry[]> {
  return (await world.store.timeline('stadt', letter)).filter((e) => e.kind === 'opened');
}

describe('what opens a message', () => {
  const section = (what: string, part: number[] = []) =>
    ({
      item: 'SECTION',
      section: { what, part, fields: [] },
      partial: null,
      peek: true,
    }) as unknown as FetchItem;
  it.each<[string, FetchItem, boolean]>([
    ['BODY[]', section('ALL'), true],
    ['BODY[TEXT]', section('TEXT'), true],
    ['BODY[1]', section('ALL', [1]), true],
    ['BODY[2.HEADER], the header of an enclosed message', section('HEADER', [2]), true],
    ['BODY[HEADER]', section('HEADER'), false],
    ['BODY[HEADER.FIELDS (SUBJECT)]', section('HEADER.FIELDS'), false],
    ['BODY[1.MIME]', section('MIME', [1]), false],
    ['ENVELOPE', { item: 'ENVELOPE' }, false],
    ['FLAGS', { item: 'FLAGS' }, false],
  ])('%s', (_name, item, expected) => {
    expect(opens(item)).toBe(expected);
  });
});

describe('without a demand for certificates', () => {
  let world: ImapWorld;
  let letter: number;
  beforeAll(async () => {
    world = await openImapWorld();
    letter = await arrives(world, erika, true, 1);
    await arrives(world, erika, false, 2);
  }, 60_000);
  afterAll(() => world[Symbol.asyncDispose]());

  it('each session that is given the content is recorded once, with who, when and from where', async () => {
    await using client = await connect(world);
    await client.ask('SELECT INBOX');
    await client.ask('FETCH 1:2 (ENVELOPE BODYSTRUCTURE FLAGS RFC822.SIZE BODY.PEEK[HEADER])');
    await client.ask(`SEARCH TEXT "${secret}"`);
    expect(await openings(world, letter)).toEqual([]);
    // In pieces, as clients fetch: one opening.
    for (const from of [0, 20, 40]) await client.ask(`FETCH 1 BODY.PEEK[]<${from}.20>`);
    expect(await client.ask('FETCH 1:2 (BODY.PEEK[TEXT])')).toContain(`${secret} 1`);
    expect(await openings(world, letter)).toMatchObject([
      {
        actor: { type: 'user', name: ERIKA, address: '127.0.0.1' },
        mailbox: 'INBOX',
        method: 'password',
      },
    ]);
    await using other = await connect(world);
    await other.ask('SELECT INBOX');
    await other.ask('FETCH 1 RFC822');
    expect(await openings(world, letter)).toHaveLength(2);
  });

  it('a copy elsewhere is the same private De-Mail', async () => {
    const index = await arrives(world, erika, true, 3);
    await using client = await connect(world);
    await client.ask('CREATE Ablage');
    await client.ask('SELECT INBOX');
    await client.ask('MOVE 3 Ablage');
    await client.ask('SELECT Ablage');
    await client.ask('FETCH 1 BODY[]');
    expect(await openings(world, index)).toMatchObject([{ mailbox: 'Ablage' }]);
  });

  it.each(['COPY', 'MOVE'])('%s into a shared mailbox is refused, for the whole set', async (command) => {
    await using client = await connect(world);
    await client.ask('SELECT INBOX');
    expect(await client.ask(`${command} 1:2 Geteilt/Poststelle`)).toMatch(
      /NO \[NOPERM\].*persoenliche De-Mail/,
    );
    expect(await client.ask(`${command} 2 Geteilt/Poststelle`)).toContain('OK');
    await using jan = await connect(world, JAN);
    expect(await jan.ask('SELECT Geteilt/Poststelle')).not.toContain('* 0 EXISTS');
    expect(await jan.ask('FETCH 1:* BODY.PEEK[]')).not.toContain(`${secret} 1`);
  });
});

describe('where a client certificate is demanded', () => {
  let world: ImapWorld;
  let folder: string;
  let authority: Authority;
  let good: Issued;
  let letter: number;
  const issue = (
    emailAddresses: readonly string[],
    by = authority,
    purpose: 'client' | 'server' = 'client',
  ) => by.issue({ commonName: 'Erika', emailAddresses, purpose, dnsNames: ['erika.stadt.example'] });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'private-'));
    authority = await createAuthority({ name: 'staff' });
    await writeFile(join(folder, 'staff.pem'), authority.certificate);
    good = await issue([ERIKA]);
    world = await openImapWorld(
      {},
      {
        privateMail: { requireClientCertificate: true, certificateAuthorities: [join(folder, 'staff.pem')] },
      },
    );
    letter = await arrives(world, erika, true, 1);
    await arrives(world, erika, false, 2);
  }, 60_000);
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  const everything =
    'FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[1])';

  it('the user’s own certificate gives the message, and the opening says so', async () => {
    await using client = await connect(world, ERIKA, good);
    await client.ask('SELECT INBOX');
    expect(await client.ask(everything)).toContain(`${secret} 1`);
    expect((await openings(world, letter)).at(-1)).toMatchObject({
      method: 'password and client certificate',
      certificate: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it('without one a placeholder stands there, which says who and when, and nothing more', async () => {
    const before = (await openings(world, letter)).length;
    await using client = await connect(world);
    await client.ask('SELECT INBOX');
    const shown = await client.ask(everything);
    expect(shown).toContain('max@buerger.de-mail.example');
    expect(shown).toContain('certificate.');
    expect(shown).not.toContain('Kuendigung');
    const size = Number(/RFC822\.SIZE (\d+)/.exec(shown)![1]);
    expect(shown).toContain(`BODY[] {${size}}`);
    // Again, byte for byte, also in another session.
    await using other = await connect(world);
    await other.ask('SELECT INBOX');
    const content = (text: string) => text.slice(text.indexOf('BODY[] {'), text.indexOf('\r\nt'));
    expect(content(await other.ask(everything))).toBe(content(shown));
    expect(await openings(world, letter)).toHaveLength(before);
    // The others are as they are.
    expect(await client.ask('FETCH 2 BODY.PEEK[]')).toContain(`${secret} 2`);
  });

  it.each(['TEXT "Krankheit"', 'SUBJECT "Kuendigung"', 'HEADER X-Block "1"', 'BODY "Krankheit"'])(
    'SEARCH %s does not betray it',
    async (key) => {
      await using client = await connect(world);
      await client.ask('SELECT INBOX');
      expect(await client.ask(`SEARCH ${key}`)).toContain('* SEARCH 2\r\n');
    },
  );

  it('sizes do not betray it either, after a change of flags and in STATUS', async () => {
    await using client = await connect(world);
    await client.ask('SELECT INBOX');
    const sizeOf = async () => /RFC822\.SIZE (\d+)/.exec(await client.ask('FETCH 1 RFC822.SIZE'))![1];
    const size = await sizeOf();
    await client.ask('STORE 1 +FLAGS (\\Flagged)');
    await client.ask('NOOP');
    expect(await sizeOf()).toBe(size);
    const all = await client.ask('FETCH 1:* RFC822.SIZE');
    const sum = [...all.matchAll(/RFC822\.SIZE (\d+)/g)].reduce((total, [, n]) => total + Number(n), 0);
    expect(await client.ask('STATUS INBOX (SIZE)')).toContain(`(SIZE ${sum})`);
  });

  it('one UID has one content: the mailbox has another UIDVALIDITY for sessions without', async () => {
    const validity = (text: string) => /UIDVALIDITY (\d+)/.exec(text)![1];
    await using plain = await connect(world);
    await using proven = await connect(world, ERIKA, good);
    const hidden = validity(await plain.ask('SELECT INBOX'));
    const full = validity(await proven.ask('SELECT INBOX'));
    expect(hidden).not.toBe(full);
    for (const [client, own] of [
      [plain, hidden],
      [proven, full],
    ] as const) {
      expect(validity(await client.ask('STATUS INBOX (UIDVALIDITY)'))).toBe(own);
      const draft = 'Subject: x\r\n\r\nx';
      client.socket.write(`a APPEND INBOX {${draft.length}+}\r\n${draft}\r\n`);
      expect(await client.ask('NOOP')).toContain(`[APPENDUID ${own} `);
      expect(await client.ask('COPY 2 INBOX')).toContain(`[COPYUID ${own} `);
    }
  });

  it.each<[string, () => Promise<Issued>]>([
    ['of somebody else', () => issue([JAN])],
    ['that names nobody', () => issue([])],
    ['of another authority', async () => issue([ERIKA], await createAuthority({ name: 'staff' }))],
    ['that is a server’s', () => issue([ERIKA], authority, 'server')],
  ])('a certificate %s counts as none', async (_what, make) => {
    await using client = await connect(world, ERIKA, await make());
    await client.ask('SELECT INBOX');
    expect(await client.ask(everything)).not.toContain('Kuendigung');
  });

  it('a resumed TLS session is as good as the one it continues', async () => {
    await using first = await connect(world, ERIKA, good);
    expect(first.tickets.length).toBeGreaterThan(0);
    const session = first.tickets.at(-1);
    await using again = await connect(world, ERIKA, good, { session });
    expect(again.socket.isSessionReused()).toBe(true);
    await again.ask('SELECT INBOX');
    expect(await again.ask(everything)).toContain(`${secret} 1`);
  });
});

describe('a certificate named by its fingerprint', () => {
  it('needs no authority', async () => {
    const own = await (await createAuthority({ name: 'any' })).issue({ commonName: 'x', purpose: 'client' });
    const fingerprint = createHash('sha256').update(new X509Certificate(own.certificate).raw).digest('hex');
    await using probe = await openImapWorld();
    const { passwordHash } = probe;
    await using world = await openImapWorld(
      {},
      {
        users: [
          { login: ERIKA, passwordHash, certificates: [fingerprint] },
          { login: JAN, passwordHash },
        ],
        privateMail: { requireClientCertificate: true },
      },
    );
    await arrives(world, erika, true, 1);
    await using client = await connect(world, ERIKA, own);
    await client.ask('SELECT INBOX');
    expect(await client.ask('FETCH 1 BODY.PEEK[]')).toContain(secret);
    await using jan = await connect(world, JAN, own);
    await arrives(world, { type: 'user', name: JAN }, true, 2);
    await jan.ask('SELECT INBOX');
    expect(await jan.ask('FETCH 1 BODY.PEEK[]')).not.toContain(secret);
  });
});
