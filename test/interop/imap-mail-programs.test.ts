/** The facade as offlineimap, mutt and Perl's Mail::IMAPTalk see it. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERIKA, type ImapWorld, JAN, openImapWorld, PASSWORD } from '../../src/imap/testing/world.ts';
import { deposit, depositMany, letter, mailboxOf, maildir, rowsOf, subjectsOf } from './imap-letters.ts';

const run = promisify(execFile);

let world: ImapWorld;
let folder: string;
let ca: string;

beforeAll(async () => {
  world = await openImapWorld();
  folder = await mkdtemp(join(tmpdir(), 'demail-imap-programs-'));
  ca = join(folder, 'ca.pem');
  await writeFile(ca, world.authority);
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe('offlineimap', () => {
  const mail = (name: string) => join(folder, 'offline', name);
  const sync = () =>
    run('offlineimap', ['-c', join(folder, 'offlineimaprc'), '-o', '-u', 'basic'], {
      env: { ...process.env, HOME: folder, LC_ALL: 'C.UTF-8' },
    });

  it('synchronises both ways: new mail, flags, deletions', async () => {
    await depositMany(world, ERIKA, 'INBOX', 50);
    await mkdir(mail(''));
    await writeFile(
      join(folder, 'offlineimaprc'),
      [
        '[general]',
        'accounts = gateway',
        `metadata = ${join(folder, 'offline-state')}`,
        '[Account gateway]',
        'localrepository = near',
        'remoterepository = far',
        '[Repository near]',
        'type = Maildir',
        `localfolders = ${mail('')}`,
        '[Repository far]',
        'type = IMAP',
        'remotehost = localhost',
        `remoteport = ${world.ports.imaps}`,
        `remoteuser = ${ERIKA}`,
        `remotepass = ${PASSWORD}`,
        'auth_mechanisms = PLAIN',
        'ssl = yes',
        `sslcacertfile = ${ca}`,
        "folderfilter = lambda name: name in ('INBOX', 'Archiv')",
        '',
      ].join('\n'),
      { mode: 0o600 },
    );
    await sync();
    const pulled = [...(await maildir(mail('INBOX'))).keys()];
    expect(pulled.length).toBe(50);

    const [read, gone] = pulled;
    await rename(read!, read!.replace('/new/', '/cur/').replace(/:2,.*$/, ':2,FS'));
    await rm(gone!);
    await writeFile(join(mail('Archiv'), 'new', 'eigener.brief:2,'), letter(77).replaceAll('\r\n', '\n'));
    await deposit(world, ERIKA, 'INBOX', letter(51));
    await sync();
    const rows = await rowsOf(world, ERIKA, 'INBOX');
    expect(rows.length).toBe(50);
    expect(rows.filter(({ flags }) => flags.includes('\\Flagged') && flags.includes('\\Seen')).length).toBe(
      1,
    );
    expect(await subjectsOf(world, ERIKA, 'Archiv')).toEqual([expect.stringContaining('77')]);
    expect((await maildir(mail('INBOX'))).size).toBe(50);

    const { id } = await mailboxOf(world, ERIKA, 'INBOX');
    const last = rows.at(-1)!.uid;
    await world.store.changeFlags('stadt', id, [last], { op: 'add', flags: ['\\Deleted'] });
    await world.store.expunge('stadt', id, [last]);
    await sync();
    const names = [...(await maildir(mail('INBOX'))).keys()].toSorted();
    expect(names.length).toBe(49);
    await sync();
    expect([...(await maildir(mail('INBOX'))).keys()].toSorted()).toEqual(names);
  });
});

describe('mutt', () => {
  it('opens, flags, tags, copies, saves and deletes', async () => {
    await depositMany(world, JAN, 'INBOX', 12);
    const url = `imaps://localhost:${world.ports.imaps}`;
    const rc = join(folder, 'muttrc');
    await writeFile(
      rc,
      [
        `set folder="${url}/" spoolfile="${url}/INBOX" header_cache=`,
        `set imap_user="${JAN}" imap_pass="${PASSWORD}" imap_authenticators="plain"`,
        `set ssl_starttls=yes ssl_force_tls=yes certificate_file="${ca}" ssl_usesystemcerts=no`,
        'set confirmappend=no confirmcreate=no delete=yes move=no quit=yes sort=date-received wait_key=no auto_tag=no',
        'set mark_old=no imap_keepalive=5',
        // Reads the first, flags the second, copies 3 to 5, saves 6 to 8 (which deletes them here), deletes the last.
        `push "<first-entry><display-message><exit><jump>2<enter><flag-message>\\
<tag-pattern>~s \\"Sie [3-5]\\$\\"<enter><tag-prefix><copy-message>=Archiv<enter><untag-pattern>.<enter>\\
<tag-pattern>~s \\"Sie [6-8]\\$\\"<enter><tag-prefix><save-message>=Mutt<enter><untag-pattern>.<enter>\\
<last-entry><delete-message><sync-mailbox><quit>"`,
        '',
      ].join('\n'),
      { mode: 0o600 },
    );
    // It wants a terminal.
    await run('sh', ['-c', `script -qec 'mutt -n -F ${rc}' /dev/null </dev/null`], {
      env: { ...process.env, HOME: folder, TERM: 'xterm', LC_ALL: 'C.UTF-8' },
      timeout: 60_000,
    });
    const numbers = async (mailbox: string) =>
      (await subjectsOf(world, JAN, mailbox)).map((subject) => Number(/\d+$/.exec(subject)?.[0]));
    expect(await numbers('INBOX')).toEqual([1, 2, 3, 4, 5, 9, 10, 11]);
    expect(await numbers('Archiv')).toEqual([3, 4, 5]);
    expect(await numbers('Mutt')).toEqual([6, 7, 8]);
    const [first, second] = await rowsOf(world, JAN, 'INBOX');
    expect(first!.flags).toContain('\\Seen');
    expect(second!.flags).toContain('\\Flagged');
  });
});

describe('Mail::IMAPTalk', () => {
  it('lists, appends, reads structures, searches, copies and expunges', async () => {
    const { stdout } = await run('perl', [
      new URL('imap-talk.pl', import.meta.url).pathname,
      String(world.ports.imaps),
      ca,
      JAN,
      PASSWORD,
    ]);
    const said = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(Object.fromEntries(said)).toEqual({
      capability: ['imap4rev1', 'uidplus', 'move', 'condstore', 'idle'],
      list: expect.arrayContaining(['Inbox', 'Entw&APw-rfe', 'Geteilt/Poststelle/Gesendet']),
      appenduid: 1,
      exists: 1,
      subject: 'aus Perl',
      from: 'perl@stadt.example',
      parts: ['text/plain 1', 'text/html 2'],
      size: 1,
      part: '<p>zwei</p>',
      search: 1,
      nothing: 0,
      status: { messages: '4', unseen: '3' },
      quota: 'HASH',
      refused: 0,
    });
  });
});
