/** The facade as imapflow sees it: what a mail client does in a day. */
import { ImapFlow } from 'imapflow';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERIKA, type ImapWorld, JAN, openImapWorld, PASSWORD } from '../../src/imap/testing/world.ts';

let world: ImapWorld;
beforeAll(async () => {
  world = await openImapWorld();
}, 60_000);
afterAll(() => world[Symbol.asyncDispose]());

async function connect(user = ERIKA, secure = true): Promise<ImapFlow & AsyncDisposable> {
  const client = new ImapFlow({
    host: '127.0.0.1',
    port: secure ? world.ports.imaps : world.ports.imap,
    secure,
    tls: { ca: world.authority },
    auth: { user, pass: PASSWORD },
    logger: false,
  });
  client.on('error', () => {});
  await client.connect();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.logout() });
}

/** Appends, and returns the UID that the server named (UIDPLUS). */
async function append(client: ImapFlow, ...args: Parameters<ImapFlow['append']>): Promise<{ uid: number }> {
  const done = await client.append(...args);
  if (!done || done.uid === undefined) throw new Error('not appended');
  return { uid: done.uid };
}

function letter(subject: string, body = 'Guten Tag', id = subject): string {
  return [
    'From: Erika Mustermann <erika@stadt.example>',
    'To: Max <max@buerger.de-mail.example>',
    `Subject: ${subject}`,
    `Message-ID: <${id}@stadt.example>`,
    'Date: Mon, 05 Feb 2024 10:00:00 +0100',
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary="b"',
    '',
    '--b',
    'Content-Type: text/plain; charset=utf-8',
    '',
    body,
    '--b',
    'Content-Type: application/pdf; name="bescheid.pdf"',
    'Content-Disposition: attachment; filename="bescheid.pdf"',
    'Content-Transfer-Encoding: base64',
    '',
    'JVBERi0xLjQK',
    '--b--',
    '',
  ].join('\r\n');
}

describe('imapflow', () => {
  it('finds every mailbox with its special use, also over STARTTLS', async () => {
    await using client = await connect(ERIKA, false);
    const found = await client.list();
    expect(found.map(({ path, specialUse }) => [path, specialUse])).toEqual(
      expect.arrayContaining([
        ['INBOX', '\\Inbox'],
        ['De-Mail-Bestätigungen', undefined],
        ['Gesendet', '\\Sent'],
        ['Entwürfe', '\\Drafts'],
        ['Papierkorb', '\\Trash'],
        ['Archiv', '\\Archive'],
        ['Geteilt/Poststelle', undefined],
        ['Geteilt/Poststelle/Gesendet', undefined],
      ]),
    );
    expect(found.every(({ subscribed, flags }) => subscribed || flags.has('\\Noselect'))).toBe(true);
  });

  it('appends, reads, flags, copies, moves, searches and deletes', async () => {
    await using client = await connect();
    await client.mailboxOpen('Entwürfe');
    const source = letter('Entwurf', 'Grüße aus Zarrentin');
    const appended = await append(
      client,
      'Entwürfe',
      source,
      ['\\Draft', '$Wichtig'],
      new Date('2024-02-05T12:00:00Z'),
    );
    const message = await client.fetchOne(
      String(appended.uid),
      { source: true, flags: true, envelope: true, bodyStructure: true, internalDate: true, size: true },
      { uid: true },
    );
    if (!message) throw new Error('not found');
    expect(message.source?.toString()).toBe(source);
    expect(message.size).toBe(Buffer.byteLength(source));
    expect(message.internalDate).toEqual(new Date('2024-02-05T12:00:00Z'));
    expect([...(message.flags ?? [])]).toEqual(expect.arrayContaining(['\\Draft', '$Wichtig']));
    expect(message.envelope).toMatchObject({ subject: 'Entwurf', messageId: '<Entwurf@stadt.example>' });
    expect(message.bodyStructure?.childNodes?.map(({ type }) => type)).toEqual([
      'text/plain',
      'application/pdf',
    ]);
    const part = await client.download(String(appended.uid), '2', { uid: true });
    const bytes: Buffer[] = [];
    if (!part.content) throw new Error('no content');
    for await (const chunk of part.content) bytes.push(chunk as Buffer);
    expect(Buffer.concat(bytes).toString()).toBe('%PDF-1.4\n');

    expect(await client.search({ body: 'GRÜSSE aus' }, { uid: true })).toEqual([appended.uid]);
    expect(
      await client.search({ keyword: '$Wichtig', before: new Date('2024-02-07') }, { uid: true }),
    ).toEqual([appended.uid]);
    await client.messageFlagsAdd(String(appended.uid), ['\\Flagged'], { uid: true });
    const copied = await client.messageCopy(String(appended.uid), 'Archiv', { uid: true });
    const moved = await client.messageMove(String(appended.uid), 'Papierkorb', { uid: true });
    if (!copied || !moved) throw new Error('not copied');
    expect(client.mailbox).toMatchObject({ exists: 0 });
    await client.mailboxOpen('Papierkorb');
    const trashed = await client.fetchOne('*', { flags: true, uid: true });
    if (!trashed) throw new Error('not moved');
    expect(trashed.uid).toBe(moved.uidMap?.get(appended.uid));
    expect(trashed.flags?.has('\\Flagged')).toBe(true);
    expect(await client.messageDelete(String(trashed.uid), { uid: true })).toBe(true);
    expect(client.mailbox).toMatchObject({ exists: 0 });
    await client.mailboxOpen('Archiv');
    expect(
      await client.fetchOne(String(copied.uidMap?.get(appended.uid)), { uid: true }, { uid: true }),
    ).toBeTruthy();
  });

  it('makes, renames, subscribes and deletes mailboxes, but not the default ones', async () => {
    await using client = await connect(JAN);
    await client.mailboxCreate(['Bauamt', 'Anträge & mehr']);
    await client.mailboxRename('Bauamt/Anträge & mehr', 'Bauamt/Erledigt');
    await client.mailboxUnsubscribe('Bauamt');
    const names = (await client.list()).map(({ path }) => path);
    expect(names).toContain('Bauamt/Erledigt');
    await client.mailboxDelete('Bauamt/Erledigt');
    await expect(client.mailboxDelete('Gesendet')).rejects.toMatchObject({ serverResponseCode: 'CANNOT' });
    expect(await client.mailboxCreate('Bauamt')).toMatchObject({ created: false });
  });

  it('is told at once of what another session does', async () => {
    await using watcher = await connect();
    await using other = await connect();
    await watcher.mailboxOpen('INBOX');
    const exists = new Promise<number | undefined>((resolve) =>
      watcher.once('exists', ({ count }) => resolve(count)),
    );
    void watcher.idle();
    const appended = await append(other, 'INBOX', letter('Neu'), []);
    expect(await exists).toBe(1);
    const expunged = new Promise<number | undefined>((resolve) =>
      watcher.once('expunge', ({ seq }) => resolve(seq)),
    );
    void watcher.idle();
    await other.mailboxOpen('INBOX');
    await other.messageDelete(String(appended.uid), { uid: true });
    expect(await expunged).toBe(1);
  });

  it('keeps every reader of a shared mailbox their own \\Seen', async () => {
    await using erika = await connect(ERIKA);
    await using jan = await connect(JAN);
    const appended = await append(erika, 'Geteilt/Poststelle', letter('Eingang'), []);
    await erika.mailboxOpen('Geteilt/Poststelle');
    await erika.messageFlagsAdd(String(appended.uid), ['\\Seen', '\\Flagged'], { uid: true });
    expect(await jan.status('Geteilt/Poststelle', { messages: true, unseen: true })).toMatchObject({
      messages: 1,
      unseen: 1,
    });
    expect(await erika.status('Geteilt/Poststelle', { unseen: true })).toMatchObject({ unseen: 0 });
    await jan.mailboxOpen('Geteilt/Poststelle');
    const seen = await jan.fetchOne('1', { flags: true });
    expect(seen && [...(seen.flags ?? [])]).toEqual(['\\Flagged']);
  });

  it('streams a large message in and out unchanged', async () => {
    await using client = await connect();
    const source = letter('Groß', `${'x'.repeat(998)}\r\n`.repeat(12_000), 'gross');
    const appended = await append(client, 'Archiv', source);
    await client.mailboxOpen('Archiv');
    const message = await client.fetchOne(String(appended.uid), { source: true }, { uid: true });
    if (!message || message.source === undefined) throw new Error('not found');
    expect(message.source.equals(Buffer.from(source))).toBe(true);
  });
});
