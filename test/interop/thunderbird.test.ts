/** A user's day with a real Thunderbird: what it reads, files, sends and shows, seen from both sides. */
import { readFile } from 'node:fs/promises';
import { ImapFlow } from 'imapflow';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { openReader } from '../../src/cli/reader.ts';
import { storePaths } from '../../src/store/sqlite/open.ts';
import { type GatewayProcess, installWithSimulator } from './peers/gateway.ts';
import { startThunderbird, type Thunderbird } from './peers/thunderbird.ts';

const tenant = 'stadt-waren';
const login = `erika.mustermann@${tenant}.example`;
const address = `erika.mustermann@${tenant}.de-mail.example`;
const citizen = 'max.mustermann@buerger.de-mail.example';
const CONFIRMATIONS = 'De-Mail-Bestätigungen';

let world: Awaited<ReturnType<typeof installWithSimulator>>;
let gateway: GatewayProcess;
let thunderbird: Thunderbird;
/** A second client of the same user. */
let other: ImapFlow;

beforeAll(async () => {
  world = await installWithSimulator({}, (config) => {
    const { tenants } = config.toJS() as { tenants: { id: string }[] };
    const at = tenants.findIndex(({ id }) => id === tenant);
    config.setIn(['tenants', at, 'provider', 'fetchInterval'], '1s');
  });
  const { installation } = world;
  gateway = await installation.start();
  const tags = await installation.run('client', 'thunderbird-tags');
  thunderbird = await startThunderbird({
    login,
    password: 'demo',
    name: 'Erika Mustermann',
    ...installation.ports,
    caFile: installation.caFile,
    prefs: tags.stdout,
  });
  other = new ImapFlow({
    host: '127.0.0.1',
    port: installation.ports.imaps,
    secure: true,
    tls: { ca: await readFile(installation.caFile, 'utf8'), servername: 'localhost' },
    auth: { user: login, pass: 'demo' },
    logger: false,
  });
  other.on('error', () => {});
  await other.connect();
});
afterAll(async () => {
  other?.close();
  await thunderbird?.[Symbol.asyncDispose]();
  gateway?.kill('SIGTERM');
  await gateway?.exited;
  await world?.[Symbol.asyncDispose]();
});

/** Subjects in a mailbox with their flags, as the second client sees them. */
async function contentOf(path: string): Promise<Record<string, string[]>> {
  await other.mailboxOpen(path, { readOnly: true });
  const found: Record<string, string[]> = {};
  for await (const { envelope, flags } of other.fetch('1:*', { envelope: true, flags: true }))
    found[envelope!.subject!] = [...flags!].sort();
  return found;
}

async function countOf(path: string): Promise<number> {
  const status = await other.status(path, { messages: true });
  return status === false ? 0 : status.messages!;
}

function received(subject: string): Buffer {
  return Buffer.from(
    [
      `From: Max <${citizen}>`,
      `To: ${address}`,
      `Subject: ${subject}`,
      `Message-ID: <${encodeURIComponent(subject)}@buerger.de-mail.example>`,
      'Date: Mon, 05 Feb 2024 10:00:00 +0100',
      'Content-Type: text/plain; charset=utf-8',
      '',
      `Sehr geehrte Damen und Herren, ${subject}.`,
      '',
    ].join('\r\n'),
  );
}

/** Thunderbird sends it, with a Bcc, and files its copy. */
const sending = `await send({
  to: '${citizen}', bcc: 'erna.schmidt@buerger.de-mail.example', subject: args[0], body: 'Schöne Grüße\\n',
});`;

it('logs in and finds the folders with their purpose, the shared mailbox among them', async () => {
  const folders = await thunderbird.run<[string, boolean, boolean, boolean, boolean][]>(
    `server.performExpand(null);
    await until(() => folder('Geteilt/Poststelle/Papierkorb') && folder('Papierkorb'));
    const { SentMail, Drafts, Trash, Archive } = Ci.nsMsgFolderFlags;
    return server.rootFolder.descendants
      .map((one) => [pathOf(one), ...[SentMail, Drafts, Trash, Archive].map((flag) => one.getFlag(flag))])
      .filter(([path]) => !path.startsWith('Geteilt/'));`,
  );
  expect(folders.filter(([, ...flags]) => flags.includes(true))).toEqual([
    ['Archiv', false, false, false, true],
    ['Entwürfe', false, true, false, false],
    ['Gesendet', true, false, false, false],
    ['Papierkorb', false, false, true, false],
  ]);
  expect(folders.map(([path]) => path)).toEqual(expect.arrayContaining(['INBOX', CONFIRMATIONS, 'Geteilt']));
});

it('reads, flags and tags a De-Mail, moves, copies and deletes', async () => {
  const subjects = ['lesen', 'verschieben', 'kopieren', 'wegwerfen'];
  for (const subject of subjects) await world.simulator.deposit(tenant, received(subject), address);
  const shown = await thunderbird.run<{ text: string; subjects: string[] }>(
    `const [wanted] = args;
    const inbox = await open('INBOX');
    await until(async () => headers(inbox).length === wanted.length || (await updated(inbox), false));
    const read = find(inbox, 'lesen');
    const text = await textOf(inbox, read);
    inbox.markMessagesRead([read], true);
    inbox.markMessagesFlagged([read], true);
    inbox.addKeywordsToMessages([read], '$label1');
    await copy(inbox, find(inbox, 'verschieben'), folder('Archiv'), true);
    await copy(inbox, find(inbox, 'kopieren'), folder('Archiv'), false);
    inbox.deleteMessages([find(inbox, 'wegwerfen')], null, false, false, null, false);
    await until(() => !find(inbox, 'wegwerfen') && !find(inbox, 'verschieben'));
    return { text, subjects: headers(inbox).map((header) => header.mime2DecodedSubject).sort() };`,
    subjects,
  );
  expect(shown.text).toContain('Sehr geehrte Damen und Herren, lesen.');
  expect(shown.text).toMatch(/^X-Demail-Gateway: begin; /m);
  expect(shown.subjects).toEqual(['kopieren', 'lesen']);
  await vi.waitFor(
    async () => {
      const inbox = await contentOf('INBOX');
      expect(Object.keys(inbox).sort()).toEqual(['kopieren', 'lesen']);
      expect(inbox.lesen).toEqual(expect.arrayContaining(['$label1', '\\Flagged', '\\Seen']));
      expect(Object.keys(await contentOf('Archiv')).sort()).toEqual(['kopieren', 'verschieben']);
      expect(Object.keys(await contentOf('Papierkorb'))).toEqual(['wegwerfen']);
    },
    { timeout: 20_000, interval: 200 },
  );
});

it('sends a letter, and Gesendet holds one copy, whatever another client files', async () => {
  await thunderbird.run(sending, 'Bescheid über Grüße');
  expect(await countOf('Gesendet')).toBe(1);
  await other.mailboxOpen('Gesendet');
  const copy = await other.fetchOne('*', { source: true, uid: true });
  if (copy === false) throw new Error('nothing in Gesendet');
  using reader = openReader(storePaths({ directory: world.installation.directory }));
  const [letter] = await reader.search({ tenant, kind: 'submission' });
  const entry = await reader.submissionOf(tenant, letter!.index);
  // The copy that stays is the letter as it was handed in: Thunderbird's own names the Bcc.
  expect(copy.source!.length).toBe(entry!.message.size);
  expect(copy.source!.toString()).not.toContain('erna.schmidt');
  const second = await other.append(
    'Gesendet',
    Buffer.concat([Buffer.from('X-Mailer: another\r\n'), copy.source!]),
    ['\\Seen', '$Forwarded'],
  );
  expect(second || null).toMatchObject({ uid: copy.uid });
  expect(await countOf('Gesendet')).toBe(1);
  const shown = await thunderbird.run<string[]>(
    `return headers(await open('Gesendet')).map((header) => header.mime2DecodedSubject);`,
  );
  expect(shown).toEqual(['Bescheid über Grüße']);
});

it('hears of a confirmation by IDLE within two seconds', async () => {
  const noticed = await thunderbird.run<{ messageId: string; at: number }>(
    `const confirmations = await open('${CONFIRMATIONS}');
    const heard = Promise.withResolvers();
    const listener = {
      msgAdded(header) {
        if (header.folder === confirmations && header.mime2DecodedSubject.endsWith(args[0]))
          heard.resolve({ messageId: header.messageId, at: Date.now() });
      },
    };
    MailServices.mfn.addListener(listener, MailServices.mfn.msgAdded);
    try {
      ${sending}
      return await heard.promise;
    } finally {
      MailServices.mfn.removeListener(listener);
    }`,
    'Nur durch IDLE',
  );
  using reader = openReader(storePaths({ directory: world.installation.directory }));
  const [confirmation] = await reader.search({ tenant, messageId: `<${noticed.messageId}>` });
  expect(confirmation?.kind).toBe('confirmation');
  const took = noticed.at - Date.parse(confirmation!.time);
  expect(took).toBeGreaterThanOrEqual(0);
  expect(took).toBeLessThan(2000);
});

it('shows by named tags how far a letter is, and its confirmations below it', async () => {
  interface Row {
    readonly subject: string;
    readonly tags: string;
    readonly level: number;
  }
  const rows = await thunderbird.run<Row[]>(
    `const [subject] = args;
    const sent = await open('Gesendet');
    const letter = find(sent, subject);
    await until(() => letter.getStringProperty('keywords').includes('$demailreceived'));
    const confirmations = await open('${CONFIRMATIONS}');
    const receipt = await until(() => find(confirmations, '*Eingangsbestätigung* ' + subject));
    await copy(confirmations, receipt, sent, false);
    const copied = await until(() => find(sent, receipt.mime2DecodedSubject));
    const thread = sent.msgDatabase.getThreadContainingMsgHdr(letter);
    if (thread.numChildren !== 2 || copied.threadParent !== letter.messageKey) throw new Error('not in its thread');
    const window = Services.wm.getMostRecentWindow('mail:3pane').document.getElementById('tabmail').currentAbout3Pane;
    window.displayFolder(sent.URI);
    const view = await until(() => window.gDBView?.msgFolder === sent && window.gDBView.rowCount > 0 && window.gDBView);
    window.gViewWrapper.showThreaded = true;
    window.gDBView.doCommand(Ci.nsMsgViewCommandType.expandAll);
    return Array.from({ length: window.gDBView.rowCount }, (_, row) => ({
      subject: window.gDBView.cellTextForColumn(row, 'subjectCol'),
      tags: window.gDBView.cellTextForColumn(row, 'tagsCol'),
      level: window.gDBView.getLevel(row),
    }));`,
    'Nur durch IDLE',
  );
  const at = rows.findIndex(({ subject }) => subject === 'Nur durch IDLE');
  expect(rows[at]).toMatchObject({ level: 0, tags: 'Versandt Eingegangen' });
  expect(rows[at + 1]).toMatchObject({ level: 1, subject: '*Eingangsbestätigung* Nur durch IDLE' });
  expect(rows[at + 1]!.tags).toMatch(/^De-Mail (echt|ungeprüft)$/);
});
