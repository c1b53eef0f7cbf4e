/** The facade as mbsync, curl and fetchmail see it. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERIKA, type ImapWorld, JAN, openImapWorld, PASSWORD } from '../../src/imap/testing/world.ts';
import { deposit, depositMany, letter, maildir, rowsOf, subjectsOf } from './imap-letters.ts';

const run = promisify(execFile);
const letters = 2000;

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

describe('mbsync', () => {
  const mail = () => join(folder, 'mail');

  const sync = () => run('mbsync', ['-c', join(folder, 'mbsyncrc'), 'all']);

  /** What mbsync remembers: every pair of messages with its flags. It changes with any transfer. */
  function state(): Promise<string> {
    return readFile(join(mail(), 'INBOX', '.mbsyncstate'), 'utf8');
  }

  beforeAll(async () => {
    await depositMany(world, ERIKA, 'INBOX', letters);
    await mkdir(mail());
    await writeFile(
      join(folder, 'mbsyncrc'),
      [
        'FSync no',
        '',
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

  it('pushes as many, and transfers nothing the second time', async () => {
    const archive = join(mail(), 'Archiv');
    for (let number = 1; number <= letters; number++)
      await writeFile(join(archive, 'cur', `${number}.push.near:2,S`), plain(letter(number)));
    await sync();
    const rows = await rowsOf(world, ERIKA, 'Archiv');
    expect(rows.length).toBe(letters);
    expect(rows.every(({ flags }) => flags.includes('\\Seen'))).toBe(true);
    const before = await readFile(join(archive, '.mbsyncstate'), 'utf8');
    await sync();
    expect(await readFile(join(archive, '.mbsyncstate'), 'utf8')).toBe(before);
    expect((await rowsOf(world, ERIKA, 'Archiv')).length).toBe(letters);
  });

  it('pushes flags, deletions and one more message', async () => {
    const [first, second] = [...(await maildir(join(mail(), 'INBOX'))).entries()];
    await writeFile(join(mail(), 'Archiv', 'cur', 'one.more.near:2,S'), plain(letter(3001)));
    await rm(first![0]);
    await rm(second![0]);
    await writeFile(
      join(mail(), 'INBOX', 'cur', `${second![0].split('/').at(-1)!.split(':')[0]}:2,FS`),
      second![1],
    );
    await sync();
    const rows = await rowsOf(world, ERIKA, 'INBOX');
    expect(rows.length).toBe(letters - 1);
    expect(rows.filter(({ flags }) => flags.includes('\\Flagged') && flags.includes('\\Seen')).length).toBe(
      1,
    );
    expect((await rowsOf(world, ERIKA, 'Archiv')).length).toBe(letters + 1);
    const subjects = await subjectsOf(world, ERIKA, 'Archiv');
    expect(subjects.at(-1)).toMatch(/ 3001$/);
  });
});

describe('curl', () => {
  const base = () => `imaps://127.0.0.1:${world.ports.imaps}`;
  const curl = async (...args: string[]): Promise<string> =>
    (await run('curl', ['--silent', '--show-error', '--cacert', ca, '--user', `${JAN}:${PASSWORD}`, ...args]))
      .stdout;

  it('lists, reads, searches, and uploads, also over STARTTLS', async () => {
    const uid = await deposit(world, JAN, 'INBOX', letter(7));
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

  it('sends commands of its own choice', async () => {
    const uid = await deposit(world, JAN, 'Archiv', letter(9));
    const ask = (command: string) => curl('--request', command, `${base()}/Archiv`);
    expect(await ask(`UID FETCH ${uid} (RFC822.SIZE)`)).toContain(
      `RFC822.SIZE ${Buffer.byteLength(letter(9))}`,
    );
    expect(await ask(`UID STORE ${uid} +FLAGS ($Erledigt)`)).toContain('$Erledigt');
    expect(await ask('UID SEARCH KEYWORD $erledigt BODY "brief 9"')).toBe(`* SEARCH ${uid}\r\n`);
    expect(await ask('EXAMINE Archiv')).toContain('* 1 EXISTS');
    expect(await ask(`UID MOVE ${uid} Papierkorb`)).toContain('[COPYUID ');
    expect(await rowsOf(world, JAN, 'Archiv')).toEqual([]);
  });

  it('is refused without TLS', async () => {
    await expect(curl(`imap://127.0.0.1:${world.ports.imap}/`)).rejects.toThrow();
  });
});

describe('fetchmail', () => {
  it('fetches what is unread and leaves it read on the server', async () => {
    await deposit(world, JAN, 'Archiv', letter(21));
    await deposit(world, JAN, 'Archiv', letter(22));
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
