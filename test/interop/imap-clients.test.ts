/** The facade as mbsync, curl and fetchmail see it. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERIKA, type ImapWorld, JAN, openImapWorld, PASSWORD } from '../../src/imap/testing/world.ts';
import { createIndexer } from '../../src/mime/structure.ts';

const run = promisify(execFile);
const letters = 300;

let world: ImapWorld;
let folder: string;
let ca: string;

beforeAll(async () => {
  world = await openImapWorld();
  folder = await mkdtemp(join(tmpdir(), 'demail-imap-clients-'));
  ca = join(folder, 'ca.pem');
  await writeFile(ca, world.authority);
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

function letter(number: number): string {
  return [
    'From: Max <max@buerger.de-mail.example>',
    'To: erika@stadt.example',
    `Subject: =?utf-8?q?Schreiben_f=C3=BCr_Sie?= ${number}`,
    `Message-ID: <${number}@buerger.de-mail.example>`,
    'Date: Mon, 05 Feb 2024 10:00:00 +0100',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    `Sehr geehrte Damen und Herren, Brief ${number} äöü`,
    'x'.repeat(number),
    '',
  ].join('\r\n');
}

async function deposit(user: string, mailbox: string, text: string): Promise<number> {
  const owner = { type: 'user', name: user } as const;
  await world.store.ensureMailboxes('stadt', owner, [{ name: mailbox, specialUse: null }]);
  const info = await world.store.mailbox('stadt', owner, mailbox);
  const writer = world.store.stage('stadt');
  const indexer = createIndexer();
  const bytes = Buffer.from(text);
  indexer.push(bytes);
  await writer.write(bytes);
  const message = { object: await writer.finish(), index: indexer.finish() };
  return (await world.store.appendMessage('stadt', info!.id, { message, flags: [], internalDate: 0 })).uid;
}

/** The messages of a maildir, by file name. */
async function maildir(path: string): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for (const part of ['new', 'cur'])
    for (const name of await readdir(join(path, part)))
      found.set(join(path, part, name), await readFile(join(path, part, name)));
  return found;
}

describe('mbsync', () => {
  const mail = () => join(folder, 'mail');

  const sync = () => run('mbsync', ['-c', join(folder, 'mbsyncrc'), 'all']);

  /** What mbsync remembers: every pair of messages with its flags. It changes with any transfer. */
  function state(): Promise<string> {
    return readFile(join(mail(), 'INBOX', '.mbsyncstate'), 'utf8');
  }

  beforeAll(async () => {
    for (let number = 1; number <= letters; number++) await deposit(ERIKA, 'INBOX', letter(number));
    await mkdir(mail());
    await writeFile(
      join(folder, 'mbsyncrc'),
      [
        'IMAPAccount gateway',
        'Host localhost',
        `Port ${world.ports.imaps}`,
        `User ${ERIKA}`,
        `Pass ${PASSWORD}`,
        'SSLType IMAPS',
        `CertificateFile ${ca}`,
        'AuthMechs PLAIN',
        '',
        'IMAPStore far',
        'Account gateway',
        '',
        'MaildirStore near',
        `Path ${mail()}/`,
        `Inbox ${mail()}/INBOX`,
        'SubFolders Verbatim',
        '',
        'Channel all',
        'Far :far:',
        'Near :near:',
        'Patterns *',
        'Create Both',
        'Expunge Both',
        'SyncState *',
        '',
      ].join('\n'),
      { mode: 0o600 },
    );
  });

  it('pulls every message as it is', async () => {
    await sync();
    const pulled = await maildir(join(mail(), 'INBOX'));
    expect(pulled.size).toBe(letters);
    const wanted = new Set(Array.from({ length: letters }, (_, index) => plain(letter(index + 1))));
    for (const bytes of pulled.values()) expect(wanted.delete(plain(bytes.toString()))).toBe(true);
    expect(await readdir(mail())).toEqual(
      expect.arrayContaining(['De-Mail-Best&AOQ-tigungen', 'Gesendet', 'Geteilt']),
    );
  });

  it('transfers nothing the second time', async () => {
    const before = await state();
    const names = [...(await maildir(join(mail(), 'INBOX'))).keys()].sort();
    await sync();
    expect([...(await maildir(join(mail(), 'INBOX'))).keys()].sort()).toEqual(names);
    expect(await state()).toBe(before);
  });

  it('pushes new messages, flags and deletions', async () => {
    const [first, second] = [...(await maildir(join(mail(), 'INBOX'))).entries()];
    await writeFile(join(mail(), 'Archiv', 'cur', '1.test.near:2,S'), plain(letter(1000)));
    await rm(first![0]);
    await rm(second![0]);
    await writeFile(
      join(mail(), 'INBOX', 'cur', `${second![0].split('/').at(-1)!.split(':')[0]}:2,FS`),
      second![1],
    );
    await sync();
    const owner = { type: 'user', name: ERIKA } as const;
    const inbox = await world.store.mailbox('stadt', owner, 'INBOX');
    const rows = await world.store.messages('stadt', inbox!.id);
    expect(rows.length).toBe(letters - 1);
    expect(rows.filter(({ flags }) => flags.includes('\\Flagged') && flags.includes('\\Seen')).length).toBe(
      1,
    );
    const archive = await world.store.mailbox('stadt', owner, 'Archiv');
    const [archived] = await world.store.messages('stadt', archive!.id);
    expect(archived!.flags).toEqual(['\\Seen']);
    const [content] = await world.store.contents('stadt', archive!.id, [archived!.uid]);
    expect(content!.index.root.envelope!.messageId).toBe('<1000@buerger.de-mail.example>');
  });
});

describe('curl', () => {
  const base = () => `imaps://127.0.0.1:${world.ports.imaps}`;
  const curl = async (...args: string[]): Promise<string> =>
    (await run('curl', ['--silent', '--show-error', '--cacert', ca, '--user', `${JAN}:${PASSWORD}`, ...args]))
      .stdout;

  it('lists, reads, searches, and uploads, also over STARTTLS', async () => {
    const uid = await deposit(JAN, 'INBOX', letter(7));
    expect(await curl(`${base()}/`)).toContain('"De-Mail-Best&AOQ-tigungen"');
    expect(await curl(`${base()}/INBOX;UID=${uid}`)).toBe(letter(7));
    expect(await curl(`${base()}/INBOX;UID=${uid};SECTION=TEXT`)).toBe(letter(7).split('\r\n\r\n')[1]!);
    expect(await curl(`${base()}/INBOX?SUBJECT%20Schreiben`)).toBe(`* SEARCH ${uid}\r\n`);
    const file = join(folder, 'upload.eml');
    await writeFile(file, letter(8));
    const plainUrl = `imap://127.0.0.1:${world.ports.imap}`;
    await curl('--ssl-reqd', '--upload-file', file, `${plainUrl}/Entw%26APw-rfe`);
    expect(await curl('--ssl-reqd', `${plainUrl}/Entw%26APw-rfe;UID=1`)).toBe(letter(8));
  });

  it('is refused without TLS', async () => {
    await expect(curl(`imap://127.0.0.1:${world.ports.imap}/`)).rejects.toThrow();
  });
});

describe('fetchmail', () => {
  it('fetches what is unread and leaves it read on the server', async () => {
    await deposit(JAN, 'Archiv', letter(21));
    await deposit(JAN, 'Archiv', letter(22));
    const out = join(folder, 'fetched');
    const rc = join(folder, 'fetchmailrc');
    await writeFile(
      rc,
      [
        `poll localhost service ${world.ports.imaps} protocol imap auth password`,
        `  user "${JAN}" password "${PASSWORD}" folder "Archiv" keep ssl sslcertck sslcertfile "${ca}"`,
        `  mda "cat >> ${out}"`,
        '',
      ].join('\n'),
      { mode: 0o700 },
    );
    const args = [
      '-f',
      rc,
      '-i',
      join(folder, 'ids'),
      '--pidfile',
      join(folder, 'fetchmail.pid'),
      '--nosyslog',
    ];
    await run('fetchmail', args, { env: { ...process.env, FETCHMAILHOME: folder } });
    const fetched = await readFile(out, 'utf8');
    expect(fetched).toContain('Brief 21 äöü');
    expect(fetched).toContain('Brief 22 äöü');
    const archive = await world.store.mailbox('stadt', { type: 'user', name: JAN }, 'Archiv');
    const rows = await world.store.messages('stadt', archive!.id);
    expect(rows.map(({ flags }) => flags)).toEqual([['\\Seen'], ['\\Seen']]);
    // Exit code 1: there was no new mail.
    await expect(
      run('fetchmail', args, { env: { ...process.env, FETCHMAILHOME: folder } }),
    ).rejects.toMatchObject({
      code: 1,
    });
  });
});

/** A maildir holds bare LF, and mbsync adds a header of its own to what it pushes. */
function plain(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(/^X-TUID: .*\n/m, '');
}
