/**
 * Every column of every table in which evidence lies, or which follows from it: one value is changed behind the store's
 * back, and verification must name the row. The columns are asked of the database itself, so that a later one is not
 * forgotten: what is no evidence is listed here, with the reason.
 */
import { createHash, generateKeyPairSync } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exportTenant } from '../../src/evidence/bundle/export-tenant.ts';
import { createCosigner } from '../../src/evidence/cosignature.ts';
import { createNoteSigner } from '../../src/evidence/note.ts';
import { evidenceTables } from '../../src/evidence/projection.ts';
import { verifyStore } from '../../src/evidence/verify.ts';
import type { ArchiveCircumstances } from '../../src/evidence/verify-archive-tokens.ts';
import { createIndexer } from '../../src/mime/structure.ts';
import { importTenant, verifyForImport } from '../../src/preservation/import-tenant.ts';
import { renewHashTrees, renewTokens } from '../../src/preservation/renew.ts';
import { seal } from '../../src/preservation/seal.ts';
import { loadTenantKeys, logKeyFile, readLogKey } from '../../src/store/keys.ts';
import { openAudit } from '../../src/store/sqlite/audit.ts';
import { openSqliteReader, storePaths } from '../../src/store/sqlite/open.ts';
import type { Fetched, StagedMessage, Store, Submission } from '../../src/store/store.ts';
import {
  completeAll,
  DAY,
  openSealedWorld,
  renewDeps,
  type SealedWorld,
  submit,
} from '../flow/sealed-store.ts';

const tenant = 'stadt';
const erika = { type: 'user', name: 'erika@stadt.example' } as const;
const actor = { type: 'operator', name: 'anna' } as const;
const max = 'max@buerger.de-mail.example';

/** Tables of which no column follows from an entry, or whose rows are compared as a whole, and why. */
const notEvidence: Readonly<Record<string, string>> = {
  forward: 'work to do; what became of it is an entry',
  fetched: 'what was fetched already: a row too few fetches a message twice, which its object then shows',
  awaited: 'when to tell of a confirmation that does not come; the entry is made from what is there',
  reverify: 'when to look at a verdict again',
  held: 'what waits for the scanner; its entry is there, and another says what came of it',
  tenant_lock: 'whether hand-over rests; setting and lifting are entries',
  notice_once: 'which notices were given',
  incident: 'what operators were told; each incident is an entry',
  mailbox: 'a user arranges his mailboxes as he likes',
  mail: "copies are their users' to move, flag and delete; the object of each is looked for",
  mail_seen: 'what a user has read',
  expunged: 'what clients are told',
  fingerprint: 'which copies in a Sent mailbox are the same message',
  subscription: "a client's habit",
  rebuild: 'what is to be made anew at the next start',
  commit_count: 'how many commits a second copy must have; it has its own check',
  restored: 'whether a queue waits after a restore',
  log_hold: 'why nothing is signed now; the closing of the log says it in an entry',
  retention_review: 'which erasures were announced; an announcement is a mail',
  search_tenant: 'which tenants have an index to search by',
  search_filter: 'an index of what lies in the mailboxes; thrown away and rebuilt at any time',
  search_text: 'part of that index',
  search_queue: 'what is to be indexed',
  uidvalidity: 'what clients are told',
  erasure_proposal: 'which proposals are open; who agrees reads the entry of the proposal',
};

/** Single columns of the others. */
const notEvidenceColumns: Readonly<Record<string, string>> = {
  'summary.tenant': 'a row that is not found is read from the structure index',
  'summary.object': 'the same',
  'outbox.private_id': 'read from the submission at hand-over',
  'outbox.attempts': 'how often it was tried: each attempt is an entry',
  'outbox.accepted_at': 'when to give up; the entry expired says it',
  'outbox.next_attempt': 'when to try again',
  'outbox.last_reply': 'shown to operators; the outcome is an entry',
};

let world: SealedWorld;
let good: ArchiveCircumstances;

beforeAll(async () => {
  world = await openSealedWorld();
  await makeEveryKindOfRow();
  good = await world.circumstances();
});
afterAll(() => world[Symbol.asyncDispose]());

/** A log with another before it and with a second key, seals, renewals of both kinds, and a row in every table. */
async function makeEveryKindOfRow(): Promise<void> {
  const { clock } = world;
  let store = await world.openStore();
  const authorities = await world.authorities();
  const later = async () => {
    clock.move(DAY);
    await completeAll(store, authorities);
  };

  await submit(store, tenant, 1);
  await store.holdLog(tenant, { source: 'witness w', reason: 'tried', knownSize: 0, knownNote: null });
  await store.closeLog(tenant, { actor, reason: 'a new beginning' });
  const erased = await letter(store, 'weg', max);
  const kept = await letter(store, 'bleibt', 'eva@buerger.de-mail.example');
  const confirmation = await fetch(store, 1, {
    kind: 'confirmation',
    confirmation: 'dispatch',
    letter: kept,
    transaction: 0,
    recipients: ['eva@buerger.de-mail.example'],
    statedTime: null,
    matchedBy: 'private-id',
    counts: 'provisional',
    originalMessageId: '<given@provider>',
  });
  const crl = store.stage(tenant);
  await crl.write(Buffer.from('crl'));
  await store.recordVerdict(tenant, {
    about: confirmation,
    letter: kept,
    recipients: ['eva@buerger.de-mail.example'],
    verdict: 'valid',
    checks: [],
    material: [{ type: 'crl', object: await crl.finish() }],
    nextAttempt: null,
  });
  await fetch(store, 2, { kind: 'inbound', private: true, waitsFor: ['niemand@stadt.de-mail.example'] });
  await store.recordLoginIntent(tenant, { account: 'a', endpoint: 'e', method: 'm' } as never);
  await store.rotateLogKey(tenant, { actor, reason: 'yearly', overlapMs: 30 * DAY });
  await submit(store, 'kreis', 1);
  const broken = await submit(store, tenant, 2, 200_000);
  await seal({ store, authorities, digest: 'sha256' });
  await later();
  await renewTokens({ store, authorities }, 'sha256', await store.archiveTimestamps());
  await later();
  // What does not verify while the tree is renewed is left out by name.
  const file = await objectFile();
  const bytes = await readFile(file);
  await writeFile(file, bytes.subarray(1));
  const seals = (await store.archiveTimestamps()).filter(({ kind }) => kind === 'seal');
  const { excluded } = await renewHashTrees(renewDeps(world, store, authorities, 'sha512'), seals);
  expect(excluded).toMatchObject([{ tenant, index: broken }]);
  await writeFile(file, bytes);
  await later();
  await store.holdLetters(tenant, { letter: kept, held: true, actor, reason: 'lawsuit' });
  await store.erase(tenant, {
    letters: [erased],
    class: 'c',
    legalBasis: '§ 1',
    actors: [{ type: 'gateway', name: 'gateway' }],
    copies: 'remove',
  });
  await submit(store, tenant, 3);
  await store[Symbol.asyncDispose]();
  store = await world.openStore();
  const log = (await store.logs(tenant)).at(-1)!;
  const witness = createCosigner('witness.example', generateKeyPairSync('ed25519').privateKey);
  const line = witness.cosign(log.note.slice(0, log.note.indexOf('\n\n') + 1), 1_767_600_000);
  await store.recordCosigned(tenant, { log: log.number, size: log.size, note: `${log.note}${line}` });
  await store[Symbol.asyncDispose]();
}

async function objectFile(): Promise<string> {
  const folder = join(world.directory, 'objects');
  const names = await readdir(folder, { recursive: true });
  return join(folder, names.find((name) => /[0-9a-f]{32}$/.test(name))!);
}

async function stage(store: Store, text: string): Promise<StagedMessage> {
  const writer = store.stage(tenant);
  const indexer = createIndexer();
  indexer.push(Buffer.from(text));
  await writer.write(Buffer.from(text));
  return { object: await writer.finish(), index: indexer.finish() };
}

/** Handed over, with an attachment and a file reference. */
async function letter(store: Store, name: string, to: string): Promise<number> {
  const text = `Subject: ${name}\r\n\r\nText\r\n`;
  const submission: Submission = {
    actor: { type: 'user', name: erika.name },
    listener: 'submission',
    envelope: { from: erika.name, recipients: [{ address: to }] },
    sender: 'erika@stadt.de-mail.example',
    header: { messageId: `<${name}@stadt.example>`, subject: name, from: erika.name, date: null },
    attachments: [
      {
        name: `${name}.pdf`,
        type: 'application/pdf',
        size: 3,
        sha256: createHash('sha256').update(name).digest('hex'),
      },
    ],
    options: ['dispatch'],
    fileReference: `AZ-${name}`,
    removedHeaders: [],
    transactions: [{ id: 0, privateId: `p-${name}`, to: [to], cc: [], bcc: [] }],
    message: await stage(store, text),
    deposits: [{ owner: erika, mailbox: 'Gesendet', reason: 'sender', prefix: Buffer.alloc(0), flags: [] }],
  };
  const { letter: index } = await store.acceptSubmission(tenant, submission);
  const header = `X: ${name}\r\n`;
  const writer = store.stage(tenant);
  await writer.write(Buffer.from(header));
  const common = { letter: index, transaction: 0, attempt: 1 };
  await store.recordHandoverIntent(tenant, {
    ...common,
    recipients: [to],
    endpoint: 'e',
    handed: {
      sha256: createHash('sha256').update(`${header}${text}`).digest('hex'),
      size: header.length + text.length,
      header: await writer.finish(),
      bodyFrom: 0,
    },
    edits: [],
  });
  await store.recordHandoverOutcome(tenant, {
    ...common,
    result: 'done',
    recipients: [{ address: to, result: 'accepted', reply: '250 ok' }],
    reply: '250',
    peer: { endpoint: 'e' },
  });
  return index;
}

async function fetch(store: Store, uid: number, what: object): Promise<number> {
  const fetched = {
    source: { account: 'a', folder: 'INBOX', uidValidity: '1', uid },
    staged: await stage(store, `Message-ID: <${uid}@provider>\r\n\r\n${uid}\r\n`),
    header: { messageId: `<${uid}@provider>`, subject: 'Antwort', from: max, date: null },
    demail: {
      messageType: 'normal',
      messageId: `<${uid}@provider>`,
      privateId: uid === 1 ? 'p-bleibt' : null,
      sender: max,
      authLevel: null,
      originatorProvider: null,
      options: [],
      chosenRecipients: [],
      envelopeTo: ['erika@stadt.de-mail.example'],
    },
    attachments: [],
    verdict: 'indeterminate',
    deposits: [],
    ...what,
  };
  return (await store.recordFetched(tenant, fetched as unknown as Fetched))!.index;
}

type Row = Readonly<Record<string, unknown>>;
interface Column {
  readonly name: string;
  readonly type: string;
}

async function verify(archive: ArchiveCircumstances | null, directory = world.directory): Promise<string[]> {
  using audit = openAudit(storePaths({ directory }));
  const { findings } = await verifyStore(audit, { archive });
  return findings.map((f) => `${f.tenant}: ${f.place}: ${f.problem}`);
}

const rowIn: Readonly<Record<string, (row: Row) => string>> = {
  address: ({ address }) => `: address ${address}`,
  checkpoint: ({ origin }) => `: (log|checkpoint|entry \\d+|tile|log key)( of log)?.*${origin}`,
  closed_log: ({ origin }) => `: (log|checkpoint|entry \\d+|closing of log).*${origin}|: checkpoint: `,
  summary: ({ object }) => `: object ${object}: `,
  log_key: () => `: log key of log test.example/stadt.2: `,
  cosigned: () => ': checkpoint with cosignatures: |: checkpoint: missing',
  entry: ({ idx }) => `: entry ${idx}: `,
  tile: ({ level, n }) => `: tile ${level}/${n}( of log .*)?: `,
  message_day: ({ day }) => `: message_day ${day}: `,
  object: ({ object }) => `: object ${object}: `,
  open_intent: ({ idx }) => `: open intent ${idx}: `,
  outbox: ({ letter: index }) => `: outbox of letter ${index}`,
  outbox_recipient: ({ letter: index }) => `: outbox of letter ${index}`,
  private_message: ({ object, idx }) =>
    `: private message ${object}: |: message of entry ${idx}: it is private`,
  waiting_private: ({ idx }) => `: waiting message ${idx}: `,
};

/** How a finding names the row; and the column, where that is not part of its name. */
function expected(table: string, { name }: Column, row: Row): RegExp {
  if (table in evidenceTables)
    return new RegExp(
      `: ${table} of entry ${row.idx}: ${['tenant', 'idx'].includes(name) ? '' : `column ${name} says`}`,
    );
  if (table.startsWith('archive_')) return new RegExp(`archive timestamp ${row.id}\\b`);
  return new RegExp(rowIn[table]!(row));
}

/** The database without its guards, as for someone with the file in hand. */
function openFile(directory = world.directory): Database.Database {
  const db = new Database(join(directory, 'store.sqlite'));
  const names = db.prepare(`SELECT name FROM sqlite_schema WHERE type = 'trigger'`).pluck().all() as string[];
  for (const name of names) db.exec(`DROP TRIGGER ${name}`);
  db.pragma('foreign_keys = OFF');
  db.pragma('ignore_check_constraints = ON');
  return db;
}

const tablesOf = (db: Database.Database) =>
  db
    .prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`)
    .pluck()
    .all() as string[];
const columnsOf = (db: Database.Database, table: string) =>
  db.prepare(`SELECT name, type FROM pragma_table_info(?)`).all(table) as Column[];

function changed(value: unknown, { type }: Column): unknown {
  if (Buffer.isBuffer(value)) {
    const bytes = Buffer.from(value);
    bytes[bytes.length >> 1]! ^= 1;
    return bytes;
  }
  if (typeof value === 'number') return value + 1_000;
  if (value === null) return type === 'INTEGER' ? 1_000 : type === 'BLOB' ? Buffer.from('x') : 'x';
  return `${value}x`;
}

describe('every column', () => {
  it('that counts as no evidence is there', () => {
    const db = openFile();
    const tables = tablesOf(db);
    const names = tables.flatMap((table) => columnsOf(db, table).map(({ name }) => `${table}.${name}`));
    db.close();
    expect(tables).toEqual(expect.arrayContaining(Object.keys(notEvidence)));
    expect(names).toEqual(expect.arrayContaining(Object.keys(notEvidenceColumns)));
  });

  it('is noticed where a single value of it was changed', async () => {
    expect(await verify(good)).toEqual([]);
    const all = tables(world.directory).filter((name) => notEvidence[name] === undefined);
    expect(await silent(all.filter((name) => name !== ONLY_IMPORTED))).toEqual([]);
    expect(await verify(good)).toEqual([]);
  });

  it('is noticed too in what came with a tenant out of another store', async () => {
    const directory = await importedElsewhere();
    expect(await verify(good, directory)).toEqual([]);
    expect(await silent([ONLY_IMPORTED], directory)).toEqual([]);
  });
});

/** The part of a seal's tree that a tenant takes along. */
const ONLY_IMPORTED = 'archive_node';

function tables(directory: string): string[] {
  const db = openFile(directory);
  try {
    return tablesOf(db);
  } finally {
    db.close();
  }
}

/** Changes a value of each column of these tables, one after the other; returns what no finding names. */
async function silent(names: readonly string[], directory = world.directory): Promise<string[]> {
  const db = openFile(directory);
  const found: string[] = [];
  for (const table of names) {
    const columns = columnsOf(db, table);
    if (!(table in evidenceTables || table.startsWith('archive_') || table in rowIn))
      found.push(`${table}: named neither as no evidence, nor how a finding names a row of it`);
    const rows = db.prepare(`SELECT * FROM ${table}`).all() as Row[];
    if (rows.length === 0) found.push(`${table}: no row to try`);
    const where = columns.map(({ name }) => `${name} IS @${name}`).join(' AND ');
    const put = (from: Row, { name }: Column, value: unknown) => {
      const { changes } = db
        .prepare(`UPDATE ${table} SET ${name} = @wanted WHERE ${where}`)
        .run({ ...from, wanted: value });
      expect(changes, `${table}.${name}`).toBe(1);
    };
    for (const column of columns) {
      const { name } = column;
      if (notEvidenceColumns[`${table}.${name}`] !== undefined) continue;
      const middle = [...rows.slice(rows.length >> 1), ...rows];
      const tried = new Set([
        middle.find((row) => row[name] !== null),
        middle.find((row) => row[name] === null),
      ]);
      for (const row of tried) {
        if (row === undefined) continue;
        const value = changed(row[name], column);
        put(row, column, value);
        const findings = await verify(table === 'archive_timestamp' ? good : null, directory);
        const wanted = expected(table, column, row);
        if (!findings.some((finding) => wanted.test(finding)))
          found.push(`${table}.${name}: ${wanted}, but ${findings.slice(0, 5).join('\n') || 'nothing'}`);
        put({ ...row, [name]: value }, column, row[name]);
      }
    }
  }
  db.close();
  return found;
}

async function importedElsewhere(): Promise<string> {
  const [folder, directory] = [join(world.root, 'export'), join(world.root, 'elsewhere')];
  const paths = storePaths({ directory: world.directory });
  using reader = openSqliteReader(paths);
  const log = (await reader.logs('kreis')).at(-1)!;
  const { privateKey } = readLogKey(logKeyFile(paths.keys, 'kreis', null));
  await exportTenant(reader, 'kreis', folder, {
    signer: createNoteSigner(log.origin, privateKey),
    addressKey: loadTenantKeys(paths.keys, 'kreis', false).address.export(),
  });
  const logKeys = log.keys.map(({ key }) => key);
  const verified = await verifyForImport(folder, 'kreis', { ...(await world.circumstances()), logKeys });
  await importTenant(verified, {
    directory,
    paths: storePaths({ directory }),
    originPrefix: 'new.example',
    tenant: 'kreis',
    actor,
    reason: 'it moves',
    now: world.clock.now,
    warn() {},
  });
  return directory;
}
