/** A user's day with a real Thunderbird: what it reads, files, sends and shows, seen from both sides. */
import { readFile } from 'node:fs/promises';
import { ImapFlow } from 'imapflow';
import { createTransport } from 'nodemailer';
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
  other = await connectOther();
});
afterAll(async () => {
  other?.close();
  await thunderbird?.[Symbol.asyncDispose]();
  gateway?.kill('SIGTERM');
  await gateway?.exited;
  await world?.[Symbol.asyncDispose]();
});

async function connectOther(): Promise<ImapFlow> {
  const client = new ImapFlow({
    host: '127.0.0.1',
    port: world.installation.ports.imaps,
    secure: true,
    tls: { ca: await readFile(world.installation.caFile, 'utf8'), servername: 'localhost' },
    auth: { user: login, pass: 'demo' },
    logger: false,
  });
  client.on('error', () => {});
  await client.connect();
  return client;
}

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
    await within(20_000, 'the move', copy(inbox, find(inbox, 'verschieben'), folder('Archiv'), true));
    await within(20_000, 'the copy', copy(inbox, find(inbox, 'kopieren'), folder('Archiv'), false));
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
      return await within(40_000, 'the confirmation', heard.promise);
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

interface Row {
  readonly subject: string;
  readonly tags: string;
  readonly level: number;
}

/** What the list of messages shows of the folder `shown`, by threads. */
const list = `
  const window = Services.wm.getMostRecentWindow('mail:3pane').document.getElementById('tabmail').currentAbout3Pane;
  window.displayFolder(shown.URI);
  const rowsOf = (view) => Array.from({ length: view.rowCount }, (_, row) => ({
    subject: view.cellTextForColumn(row, 'subjectCol'),
    tags: view.cellTextForColumn(row, 'tagsCol'),
    level: view.getLevel(row),
  }));
  await until(() => window.gFolder === shown && window.gDBView?.rowCount > 0);
  window.gViewWrapper.showThreaded = true;
  const rows = await until(() => {
    window.gDBView.doCommand(Ci.nsMsgViewCommandType.expandAll);
    const rows = rowsOf(window.gDBView);
    return complete(rows) && rows;
  });
  return rows;`;

it('shows by named tags how far a letter is, and a confirmation that is filed with it below it', async () => {
  const rows = await thunderbird.run<Row[]>(
    `const shown = await open('Gesendet');
    const letter = find(shown, args[0]);
    await until(() => letter.getStringProperty('keywords').includes('$demailreceived'));
    const confirmations = await open('${CONFIRMATIONS}');
    const receipt = await until(() => find(confirmations, '*Eingangsbestätigung* ' + args[0]));
    await within(20_000, 'the copy', copy(confirmations, receipt, shown, false));
    const copied = await until(() => find(shown, receipt.mime2DecodedSubject));
    const thread = shown.msgDatabase.getThreadContainingMsgHdr(letter);
    if (thread.numChildren !== 2 || copied.threadParent !== letter.messageKey) throw new Error('not in its thread');
    const complete = (rows) => rows.some(({ subject }) => subject === copied.mime2DecodedSubject);
    ${list}`,
    'Nur durch IDLE',
  );
  const at = rows.findIndex(({ subject }) => subject === 'Nur durch IDLE');
  expect(rows[at]).toMatchObject({ level: 0, tags: 'Versandt Eingegangen' });
  expect(rows[at + 1]).toMatchObject({ level: 1, subject: '*Eingangsbestätigung* Nur durch IDLE' });
  expect(rows[at + 1]!.tags).toMatch(/^De-Mail (echt|ungeprüft)$/);
});

it('shows letters with their confirmations in a saved search over both folders', async () => {
  const rows = await thunderbird.run<Row[]>(
    `const { VirtualFolderHelper } = ChromeUtils.importESModule('resource:///modules/VirtualFolderWrapper.sys.mjs');
    const session = Cc['@mozilla.org/messenger/searchSession;1'].createInstance(Ci.nsIMsgSearchSession);
    const all = session.createTerm();
    all.matchAll = true;
    VirtualFolderHelper.createNewVirtualFolder(
      'Vorgänge', server.rootFolder, [folder('Gesendet'), folder('${CONFIRMATIONS}')], [all], false);
    const shown = await until(() => folder('Vorgänge'));
    const complete = (rows) => rows.filter(({ subject }) => subject.endsWith('Bescheid über Grüße')).length === 5;
    ${list}`,
  );
  const at = rows.findIndex(({ subject }) => subject === 'Bescheid über Grüße');
  expect(rows.slice(at, at + 5).map(({ level }) => level > 0)).toEqual([false, true, true, true, true]);
  expect(new Set(rows.slice(at + 1, at + 5).map(({ subject }) => subject))).toEqual(
    new Set(['*Versandbestätigung* Bescheid über Grüße', '*Eingangsbestätigung* Bescheid über Grüße']),
  );
});

it('sees one copy of a letter that another client filed before a kill of the gateway, and submitted after it', async () => {
  const subject = 'Nach dem Absturz';
  const lines = [
    `From: <${login}>`,
    `To: <${citizen}>`,
    `Subject: ${subject}`,
    'Message-ID: <kill@erika.example>',
  ];
  const text = [...lines, 'Date: Mon, 05 Feb 2024 10:00:00 +0100', '', 'Guten Tag', ''].join('\r\n');
  const early = await other.append('Gesendet', Buffer.from(`X-Mailer: another\r\n${text}`), [
    '\\Seen',
    '\\Flagged',
  ]);
  other.close();
  gateway.kill('SIGKILL');
  await gateway.exited;
  gateway = await world.installation.start();
  const { submissions } = world.installation.ports;
  const transport = createTransport({
    host: 'localhost',
    port: submissions,
    secure: true,
    tls: { ca: await readFile(world.installation.caFile, 'utf8') },
    auth: { user: login, pass: 'demo' },
  });
  await transport.sendMail({ envelope: { from: login, to: citizen }, raw: text });
  transport.close();
  other = await connectOther();
  expect((await contentOf('Gesendet'))[subject]).toEqual(expect.arrayContaining(['\\Flagged', '\\Seen']));
  const shown = await thunderbird.run<number[]>(
    `const sent = await open('Gesendet');
    return headers(sent).filter((header) => header.mime2DecodedSubject === args[0]).map(({ messageKey }) => messageKey);`,
    subject,
  );
  expect(shown).toEqual([(early || { uid: 0 }).uid! + 1]);
});
