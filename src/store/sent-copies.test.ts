/** One copy of each De-Mail in Gesendet, whoever is first: every order of events, with a restart at every place. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { standardMailboxes } from '../directory/mailboxes.ts';
import { createIndexer } from '../mime/structure.ts';
import { addFingerprints, withFingerprint } from './sent-copies.ts';
import { openSqliteStore } from './sqlite/open.ts';
import type { MailboxOwner, MessageRow, StagedMessage, Store } from './store.ts';

const tenant = 'stadt';
let folder: string;
let store: Store;
let users = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'demail-sent-'));
  await open();
  await store.openTenant(tenant);
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function open(): Promise<void> {
  store = await openSqliteStore({ directory: folder, originPrefix: 'gateway.example' });
}

async function restart(): Promise<void> {
  await store[Symbol.asyncDispose]();
  await open();
}

interface Parts {
  readonly body?: string;
  readonly encoding?: string;
  readonly extra?: string;
  readonly date?: string;
  readonly subject?: string;
  readonly from?: string;
  readonly to?: string;
  readonly attachment?: string;
  readonly messageId?: string | null;
}

function letter(parts: Parts = {}): string {
  const { messageId = '<1@stadt.example>' } = parts;
  return [
    ...(parts.extra ? [parts.extra] : []),
    `From: ${parts.from ?? 'Erika <erika@stadt.example>'}`,
    `To: ${parts.to ?? 'Max <max@buerger.de-mail.example>'}`,
    `Date: ${parts.date ?? 'Mon, 05 Feb 2024 10:00:00 +0100'}`,
    `Subject: ${parts.subject ?? 'Bescheid über Grüße'}`,
    ...(messageId === null ? [] : [`Message-ID: ${messageId}`]),
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Transfer-Encoding: ${parts.encoding ?? '8bit'}`,
    '',
    parts.body ?? 'Schöne Grüße\r\naus Zarrentin',
    '--b',
    'Content-Type: application/pdf; name=a.pdf',
    'Content-Disposition: attachment; filename=a.pdf',
    '',
    parts.attachment ?? '%PDF',
    '--b--',
    '',
  ].join('\r\n');
}

async function stage(text: string): Promise<StagedMessage> {
  const writer = store.stage(tenant);
  const indexer = createIndexer();
  const bytes = Buffer.from(text);
  indexer.push(bytes);
  await writer.write(bytes);
  return withFingerprint(store, { object: await writer.finish(), index: indexer.finish() });
}

/** Somebody's mailboxes, and what happens to them. */
async function somebody() {
  const owner: MailboxOwner = { type: 'user', name: `user${++users}@stadt.example` };
  await store.ensureMailboxes(tenant, owner, standardMailboxes('de'));
  const { id: sent } = (await store.mailbox(tenant, owner, 'Gesendet'))!;
  const { id: drafts } = (await store.mailbox(tenant, owner, 'Entwürfe'))!;
  const rows = (): Promise<MessageRow[]> => store.messages(tenant, sent);
  const uidsOf = async () => (await rows()).map(({ uid }) => uid);
  return {
    name: owner.name,
    sent,
    drafts,
    rows,
    append: async (text: string, flags: readonly string[] = ['\\Seen'], mailbox = sent) =>
      (await store.appendMessage(tenant, mailbox, { message: await stage(text), flags, internalDate: 0 }))
        .uid,
    submit: async (text: string) => {
      const message = await stage(text);
      const address = 'max@buerger.de-mail.example';
      await store.acceptSubmission(tenant, {
        actor: { type: 'user', name: owner.name },
        listener: 'submission',
        envelope: { from: owner.name, recipients: [{ address }] },
        sender: 'erika@stadt.de-mail.example',
        header: { messageId: `<${owner.name}>`, subject: null, from: null, date: null },
        attachments: [],
        options: [],
        removedHeaders: [],
        transactions: [{ id: 0, privateId: `${users}-${Math.random()}`, to: [address], cc: [], bcc: [] }],
        message,
        deposits: [
          { owner, mailbox: 'Gesendet', reason: 'sent', prefix: new Uint8Array(), flags: ['\\Seen'] },
        ],
      });
      return (await uidsOf()).at(-1)!;
    },
    flag: async (...flags: string[]) => {
      const uids = (await rows()).map(({ uid }) => uid);
      await store.changeFlags(tenant, sent, uids, { op: 'add', flags });
    },
    /** The letter as it comes back to this person from the provider. */
    receive: async (text: string) => {
      const { fingerprint: _, ...staged } = await stage(text);
      const messageId = '<in@provider>';
      const sender = 'erika@stadt.de-mail.example';
      await store.recordFetched(tenant, {
        kind: 'inbound',
        source: { account: 'waren', folder: 'INBOX', uidValidity: '7', uid: users },
        header: { messageId, subject: null, from: sender, date: null },
        demail: {
          messageType: 'normal',
          messageId,
          privateId: null,
          sender,
          authLevel: 'high',
          originatorProvider: null,
          options: [],
          chosenRecipients: [],
          envelopeTo: [],
        },
        attachments: [],
        verdict: 'not-checked',
        staged,
        deposits: [{ owner, mailbox: 'INBOX', reason: 'envelope-to', prefix: new Uint8Array(), flags: [] }],
      });
      return (await store.mailbox(tenant, owner, 'INBOX'))!.id;
    },
    remove: async () => {
      const uids = (await rows()).map(({ uid }) => uid);
      await store.changeFlags(tenant, sent, uids, { op: 'add', flags: ['\\Deleted'] });
      await store.expunge(tenant, sent, null);
    },
    uids: uidsOf,
  };
}
type Somebody = Awaited<ReturnType<typeof somebody>>;

/** The same letter as the gateway and two clients write it, and another one under its Message-ID. */
function renderings(person: Somebody) {
  const messageId = `<${person.name}>`;
  return {
    submission: letter({ messageId }),
    'client A': letter({ messageId, extra: 'Bcc: eva@buerger.de-mail.example' }),
    'client B': letter({
      messageId,
      extra: 'X-Mailer: B',
      encoding: 'base64',
      body: Buffer.from('Schöne Grüße\naus Zarrentin\n').toString('base64'),
    }),
    stranger: letter({ messageId, body: 'etwas ganz anderes' }),
  };
}

const events = ['client A', 'client B', 'submission', 'flag', 'delete', 'stranger'] as const;
type Event = (typeof events)[number];

/** What Gesendet must hold after the events so far: nothing else decides it. */
interface Expected {
  copy: boolean;
  isLetter: boolean;
  flagged: boolean;
  stranger: boolean;
}

async function happen(person: Somebody, event: Event, expected: Expected): Promise<void> {
  const rendered = renderings(person);
  switch (event) {
    case 'client A':
    case 'client B':
      await person.append(rendered[event]);
      expected.copy = true;
      return;
    case 'submission':
      await person.submit(rendered.submission);
      expected.copy = true;
      expected.isLetter = true;
      return;
    case 'flag':
      await person.flag('$Label1');
      expected.flagged = expected.copy;
      return;
    case 'delete':
      await person.remove();
      Object.assign(expected, { copy: false, isLetter: false, flagged: false, stranger: false });
      return;
    case 'stranger':
      await person.append(rendered.stranger);
      expected.stranger = true;
      return;
  }
}

async function check(person: Somebody, expected: Expected): Promise<void> {
  const rendered = renderings(person);
  const rows = await person.rows();
  const contents = await store.contents(tenant, person.sent, await person.uids());
  const isOf = (text: string) => (one: { index: { size: number } }) =>
    one.index.size === Buffer.byteLength(text);
  const strangers = contents.filter(isOf(rendered.stranger));
  const copies = contents.filter((one) => !strangers.includes(one));
  expect([strangers.length, copies.length]).toEqual([Number(expected.stranger), Number(expected.copy)]);
  const [copy] = copies;
  if (copy === undefined) return;
  if (expected.isLetter) expect(copy.index.size).toBe(Buffer.byteLength(rendered.submission));
  expect(rows.find(({ uid }) => uid === copy.uid)!.flags.includes('$Label1')).toBe(expected.flagged);
}

function orders(of: readonly Event[]): Event[][] {
  if (of.length === 0) return [[]];
  return of.flatMap((one) => orders(of.filter((other) => other !== one)).map((rest) => [one, ...rest]));
}

const nothing = (): Expected => ({ copy: false, isLetter: false, flagged: false, stranger: false });

describe('Gesendet holds one copy', () => {
  it('in every order of two clients, submission, flag, deletion and another message, with restarts', async () => {
    const worlds = await Promise.all(
      orders(['client A', 'client B', 'submission', 'delete', 'flag']).map(async (order) => ({
        order,
        person: await somebody(),
        expected: nothing(),
      })),
    );
    for (let step = 0; step < 5; step++) {
      await Promise.all(worlds.map(({ order, person, expected }) => happen(person, order[step]!, expected)));
      await restart();
      for (const { order, person, expected } of worlds)
        await check(person, expected).catch((error: unknown) => {
          throw new Error(order.slice(0, step + 1).join(', '), { cause: error });
        });
    }
  });

  it('whatever happens, how often, and when', async () => {
    const once = fc.array(fc.constantFrom(...events), { maxLength: 10 }).map((list) => {
      // A second submission is a second letter.
      const first = list.indexOf('submission');
      return list.filter((event, i) => event !== 'submission' || i === first);
    });
    await fc.assert(
      fc.asyncProperty(once, async (list) => {
        const person = await somebody();
        const expected = nothing();
        for (const event of list) {
          await happen(person, event, expected);
          await check(person, expected);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('when all come at the same moment', async () => {
    for (const order of orders(['client A', 'client B', 'submission'])) {
      const person = await somebody();
      await Promise.all(order.map((event) => happen(person, event, nothing())));
      await check(person, { ...nothing(), copy: true, isLetter: true });
    }
  });
});

const reencoded: readonly (readonly [string, Parts])[] = [
  ['identical', {}],
  ['with Bcc and trace headers', { extra: 'Bcc: max@b.example\r\nX-Mozilla-Status: 0001' }],
  ['with other names of the recipients', { to: '"Max M." <MAX@buerger.de-mail.example>' }],
  ['with the subject in encoded words', { subject: '=?utf-8?q?Bescheid_=C3=BCber_Gr=C3=BC=C3=9Fe?=' }],
  ['with the date in another zone', { date: 'Mon, 5 Feb 2024 09:00:00 +0000' }],
  [
    'as quoted-printable, broken otherwise',
    { encoding: 'quoted-printable', body: 'Sch=C3=B6ne Gr=C3=BC=\r\n=C3=9Fe =20\r\naus Zarrentin' },
  ],
  [
    'as base64',
    { encoding: 'base64', body: Buffer.from('Schöne Grüße\naus Zarrentin\n').toString('base64') },
  ],
];

const different: readonly (readonly [string, Parts])[] = [
  ['text', { body: 'Schöne Grüße\r\naus Waren' }],
  ['sender', { from: 'jan@stadt.example' }],
  ['recipient', { to: 'eva@buerger.de-mail.example' }],
  ['subject', { subject: 'Bescheid' }],
  ['date', { date: 'Mon, 05 Feb 2024 10:00:01 +0100' }],
  ['attachment', { attachment: '%PDF-2' }],
];

describe("a client's copy of what it submitted", () => {
  it.each(reencoded)('after the submission, %s: the copy that is there is named', async (_, parts) => {
    const person = await somebody();
    const filed = await person.submit(letter());
    expect(await person.append(letter(parts))).toBe(filed);
    expect(await person.uids()).toEqual([filed]);
  });

  it.each(reencoded)('before the submission, %s: what was marked on it is kept', async (how, parts) => {
    const person = await somebody();
    // The tenant has sent these bytes before, for others.
    const fresh = { ...parts, messageId: `<${person.name}>` };
    const early = await person.append(letter(fresh), ['\\Seen', '\\Draft']);
    await person.flag('\\Flagged', '$Label2', '$DeMailReceived', '\\Deleted');
    const filed = await person.submit(letter({ messageId: fresh.messageId }));
    // The same bytes become the letter's own copy, and nothing moves in the client.
    expect(filed === early).toBe(how === 'identical');
    const [row, ...others] = await person.rows();
    expect(others).toEqual([]);
    if (filed !== early) expect([...row!.flags].sort()).toEqual(['$Label2', '\\Flagged', '\\Seen']);
    else expect(row!.flags).toContain('$Label2');
  });

  it.each(different)('with another %s it is another message, and kept', async (_, parts) => {
    const person = await somebody();
    const first = await person.append(letter(parts));
    const filed = await person.submit(letter());
    expect(await person.append(letter({ ...parts, extra: 'X-Copy: 2' }))).toBe(first);
    expect(await person.uids()).toEqual([first, filed]);
  });

  it.each(['submitted', 'appended'])(
    'that comes back while the one %s is marked \\Deleted stays',
    async (how) => {
      const person = await somebody();
      const text = letter({ messageId: `<${person.name}>` });
      const filed = how === 'submitted' ? await person.submit(text) : await person.append(text);
      const { pairs } = await store.copyMessages(tenant, person.sent, [filed], person.drafts);
      await person.flag('\\Deleted');
      // The person thinks better of it: out of where it was put, and back.
      await store.moveMessages(tenant, person.drafts, [pairs[0]![1]], person.sent);
      await store.expunge(tenant, person.sent, null);
      expect((await person.uids()).length).toBe(1);
    },
  );

  it('of the same bytes that was marked \\Deleted before the submission does not take the letter along', async () => {
    const person = await somebody();
    const text = letter({ messageId: `<${person.name}>` });
    await person.append(text);
    await person.flag('\\Deleted');
    const filed = await person.submit(text);
    await store.expunge(tenant, person.sent, null);
    expect(await person.uids()).toEqual([filed]);
  });

  it.each(['submission', 'client'])(
    'is not the received letter: beside the copy of a %s it is kept',
    async (how) => {
      const person = await somebody();
      const text = letter({ messageId: `<${person.name}>` });
      const inbox = await person.receive(
        letter({ messageId: `<${person.name}>`, extra: 'Received: by provider' }),
      );
      const filed = how === 'client' ? await person.append(text) : await person.submit(text);
      const uids = (await store.messages(tenant, inbox)).map(({ uid }) => uid);
      await addFingerprints(store, tenant, inbox, uids);
      await store.moveMessages(tenant, inbox, uids, person.sent);
      expect(await person.uids()).toEqual([filed, filed + 1]);
      if (how === 'client') return;
      const index = (await store.resolve(`<${person.name}>`, tenant))[0]!.letter;
      await store.expireRecipients(tenant, {
        letter: index,
        transaction: 0,
        recipients: ['max@buerger.de-mail.example'],
        lastReply: '450',
      });
      const actors = [{ type: 'operator', name: 'a' }] as const;
      await store.erase(tenant, { letters: [index], class: 'c', legalBasis: 'l', actors, copies: 'remove' });
      expect(await person.uids()).toEqual([filed + 1]);
    },
  );

  it('without a Message-ID is recognised by nothing', async () => {
    const person = await somebody();
    await person.append(letter({ messageId: null }));
    await person.append(letter({ messageId: null, extra: 'X-Copy: 2' }));
    expect((await person.uids()).length).toBe(2);
  });

  it.each(['copied', 'moved'])('%s from the drafts, before or after the submission', async (way) => {
    for (const isEarly of [true, false]) {
      const person = await somebody();
      const [text, copy] = ['', 'X-Draft: 1'].map((extra) =>
        letter({ messageId: `<${person.name}>`, extra }),
      );
      const draft = await person.append(copy!, ['\\Draft'], person.drafts);
      const filed = isEarly ? null : await person.submit(text!);
      await addFingerprints(store, tenant, person.drafts, [draft]);
      const { pairs } = await (way === 'moved' ? store.moveMessages : store.copyMessages)(
        tenant,
        person.drafts,
        [draft],
        person.sent,
      );
      if (filed !== null) expect(pairs).toEqual([[draft, filed]]);
      const last = filed ?? (await person.submit(text!));
      expect(await person.uids()).toEqual([last]);
      expect((await store.messages(tenant, person.drafts)).length).toBe(way === 'moved' ? 0 : 1);
    }
  });

  it('is found beside a copy that an earlier release filed without a fingerprint', async () => {
    const person = await somebody();
    const { fingerprint: _, ...message } = await stage(letter({ messageId: `<${person.name}>` }));
    const filed = await store.appendMessage(tenant, person.sent, { message, flags: [], internalDate: 0 });
    await addFingerprints(store, tenant, person.sent, await person.uids());
    const again = letter({ messageId: `<${person.name}>`, extra: 'X-Copy: 2' });
    expect(await person.append(again)).toBe(filed.uid);
  });

  it('of two letters with the same bytes each keeps its own', async () => {
    const person = await somebody();
    const text = letter({ messageId: `<${person.name}>` });
    const copies = [await person.submit(text), await person.submit(text)];
    expect(await person.uids()).toEqual(copies);
    await person.append(text);
    expect(await person.uids()).toEqual(copies);
  });
});
