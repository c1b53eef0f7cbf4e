/** Letters for mail programs to find, and what they make of them on disk. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImapWorld } from '../../src/imap/testing/world.ts';
import { createIndexer } from '../../src/mime/structure.ts';
import type { MailboxInfo, MessageRow } from '../../src/store/store.ts';

/** No two are the same, nor of the same size. */
export function letter(number: number): string {
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

/** @returns its UID */
export async function deposit(
  world: ImapWorld,
  user: string,
  mailbox: string,
  text: string,
): Promise<number> {
  const writer = world.store.stage('stadt');
  const indexer = createIndexer();
  const bytes = Buffer.from(text);
  indexer.push(bytes);
  await writer.write(bytes);
  const message = { object: await writer.finish(), index: indexer.finish() };
  const { id } = await mailboxOf(world, user, mailbox);
  return (await world.store.appendMessage('stadt', id, { message, flags: [], internalDate: 0 })).uid;
}

/** Some at a time: one commit takes many. */
export async function depositMany(
  world: ImapWorld,
  user: string,
  mailbox: string,
  count: number,
): Promise<void> {
  for (let from = 1; from <= count; from += 100)
    await Promise.all(
      Array.from({ length: Math.min(100, count - from + 1) }, (_, at) =>
        deposit(world, user, mailbox, letter(from + at)),
      ),
    );
}

export async function mailboxOf(world: ImapWorld, user: string, mailbox: string): Promise<MailboxInfo> {
  const owner = { type: 'user', name: user } as const;
  await world.store.ensureMailboxes('stadt', owner, [{ name: mailbox, specialUse: null }]);
  return (await world.store.mailbox('stadt', owner, mailbox))!;
}

export async function rowsOf(
  world: ImapWorld,
  user: string,
  mailbox: string,
): Promise<readonly MessageRow[]> {
  return world.store.messages('stadt', (await mailboxOf(world, user, mailbox)).id);
}

export async function subjectsOf(world: ImapWorld, user: string, mailbox: string): Promise<string[]> {
  const { id } = await mailboxOf(world, user, mailbox);
  const uids = (await world.store.messages('stadt', id)).map(({ uid }) => uid);
  const contents = await world.store.contents('stadt', id, uids);
  return contents.map(({ index }) => index.root.envelope?.subject ?? '');
}

/** The messages of a maildir, by file name. */
export async function maildir(path: string): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for (const part of ['new', 'cur'])
    for (const name of await readdir(join(path, part)))
      found.set(join(path, part, name), await readFile(join(path, part, name)));
  return found;
}
