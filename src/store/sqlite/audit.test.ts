/** Each attack is made on a real store, behind its back; verification must name the place. */
import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { leafHash, verifyInclusion } from '../../evidence/merkle.ts';
import { verifyStore } from '../../evidence/verify.ts';
import { createIndexer } from '../../mime/structure.ts';
import type { StagedMessage, Store } from '../store.ts';
import { openAudit } from './audit.ts';
import { openSqliteReader, openSqliteStore, storePaths } from './open.ts';

const tenant = 'stadt-waren';
const max = 'max@buerger.de-mail.example';
let pristine: string;
let older: string;

async function stage(store: Store, text: string): Promise<StagedMessage> {
  const writer = store.stage(tenant);
  const indexer = createIndexer();
  indexer.push(Buffer.from(text));
  await writer.write(Buffer.from(text));
  return { object: await writer.finish(), index: indexer.finish() };
}

async function submit(store: Store, n: number, padding = 0): Promise<number> {
  const message = await stage(
    store,
    `Message-ID: <${n}@x>\r\nSubject: Bescheid ${n}\r\n\r\nText\r\n${'z'.repeat(padding)}`,
  );
  const { letter } = await store.acceptSubmission(tenant, {
    actor: { type: 'user', name: 'erika' },
    listener: 'submission',
    envelope: { from: 'erika@x', recipients: [{ address: max }] },
    sender: 'erika@x.de-mail.example',
    header: { messageId: `<${n}@x>`, subject: `Bescheid ${n}`, from: 'erika@x', date: null },
    attachments: [],
    options: ['dispatch'],
    removedHeaders: [],
    transactions: [{ id: 0, privateId: `p${n}`, to: [max], cc: [], bcc: [] }],
    message,
    deposits: [
      {
        owner: { type: 'user', name: 'erika' },
        mailbox: 'Gesendet',
        reason: 'sender',
        prefix: Buffer.alloc(0),
        flags: [],
      },
    ],
  });
  return letter;
}

beforeAll(async () => {
  const root = await mkdtemp(join(tmpdir(), 'audit-'));
  pristine = join(root, 'pristine');
  older = join(root, 'older');
  const store = await openSqliteStore({ directory: pristine, originPrefix: 'test.example' });
  await store.openTenant(tenant);
  const letter = await submit(store, 1, 200_000);
  const header = (await stage(store, 'X-de-mail-sender: erika\r\n\r\n')).object;
  const body = `Text\r\n${'z'.repeat(200_000)}`;
  const submitted = `Message-ID: <1@x>\r\nSubject: Bescheid 1\r\n\r\n`;
  const handed = `X-de-mail-sender: erika\r\n\r\n${body}`;
  await store.recordHandoverIntent(tenant, {
    letter,
    transaction: 0,
    attempt: 1,
    endpoint: 'e',
    recipients: [max],
    handed: {
      sha256: createHash('sha256').update(handed).digest('hex'),
      size: handed.length,
      header,
      bodyFrom: submitted.length,
    },
    edits: [],
  });
  await store.recordHandoverOutcome(tenant, {
    letter,
    transaction: 0,
    attempt: 1,
    result: 'done',
    recipients: [{ address: max, result: 'accepted', reply: '250 ok' }],
    reply: '250 ok',
    peer: { endpoint: 'e' },
  });
  for (let n = 2; n < 300; n++) await submit(store, n);
  await store[Symbol.asyncDispose]();
  await cp(pristine, older, { recursive: true });
  const again = await openSqliteStore({ directory: pristine, originPrefix: 'test.example' });
  await submit(again, 300);
  await again[Symbol.asyncDispose]();
});

afterAll(() => rm(join(pristine, '..'), { recursive: true }));

async function verify(directory: string) {
  using audit = openAudit(storePaths({ directory }));
  return await verifyStore(audit);
}

/** Applies SQL with every guard out of the way, as someone with the file in hand would. */
function tamper(directory: string, ...statements: string[]): void {
  const db = new Database(join(directory, 'store.sqlite'));
  const triggers = db
    .prepare(`SELECT name FROM sqlite_schema WHERE type = 'trigger'`)
    .pluck()
    .all() as string[];
  for (const name of triggers) db.exec(`DROP TRIGGER ${name}`);
  db.pragma('foreign_keys = OFF');
  for (const sql of statements) db.exec(sql);
  db.close();
}

async function attacked(attack: (directory: string) => Promise<void> | void): Promise<string[]> {
  const directory = await mkdtemp(join(tmpdir(), 'attack-'));
  try {
    await cp(pristine, directory, { recursive: true });
    await attack(directory);
    return (await verify(directory)).findings.map((f) => `${f.place}: ${f.problem}`);
  } finally {
    await rm(directory, { recursive: true });
  }
}

const flipBlob = (column: string) =>
  `CAST(unhex(substr(hex(${column}), 1, 40) || CASE substr(hex(${column}), 41, 2) WHEN '00' THEN '01' ELSE '00' END || substr(hex(${column}), 43)) AS BLOB)`;

describe('verification of a store', () => {
  it('finds nothing in one that nobody touched', async () => {
    const result = await verify(pristine);
    expect(result.findings).toEqual([]);
    expect(result.entries).toBe(303);
    expect(result.heads[0]).toMatchObject({ tenant, size: 303 });
  });

  it.each<[string, string[], RegExp]>([
    [
      'an entry with a changed byte',
      [`UPDATE entry SET sealed = ${flipBlob('sealed')} WHERE idx = 17`],
      /^entry 17: it does not decrypt/,
    ],
    [
      'an entry with another commitment',
      [`UPDATE entry SET commitment = ${flipBlob('commitment')} WHERE idx = 17`],
      /^entry 17: salt and content/,
    ],
    [
      'an entry with a changed key',
      [`UPDATE entry SET key = ${flipBlob('key')} WHERE idx = 17`],
      /^entry 17: it does not decrypt/,
    ],
    [
      'an entry of another kind column',
      [`UPDATE entry SET kind = 'inbound' WHERE idx = 17`],
      /^entry 17: column kind says inbound, the entry submission/,
    ],
    [
      'an entry of another time column',
      [`UPDATE entry SET time = '2001-01-01T00:00:00.000Z' WHERE idx = 17`],
      /^entry 17: column time/,
    ],
    [
      'a deleted entry',
      ['DELETE FROM entry WHERE idx = 17'],
      /^entry 17: missing: the next one in the store is 18/,
    ],
    [
      'two entries that changed places',
      [
        'UPDATE entry SET idx = -1 WHERE idx = 17',
        'UPDATE entry SET idx = 17 WHERE idx = 18',
        'UPDATE entry SET idx = 18 WHERE idx = -1',
      ],
      /^entry 17: it does not decrypt/,
    ],
    [
      'a truncated log',
      ['DELETE FROM entry WHERE idx > 299'],
      /^checkpoint: it signs 303 entries, the store has 300/,
    ],
    [
      'a changed tile',
      [`UPDATE tile SET hashes = ${flipBlob('hashes')} WHERE level = 0 AND n = 0`],
      /^tile 0\/0: its hashes/,
    ],
    ['a missing tile', ['DELETE FROM tile WHERE level = 0 AND n = 0'], /^tile 0\/0: missing/],
    ['an extra tile', [`INSERT INTO tile VALUES ('${tenant}', 1, 3, 0, x'00')`], /^tile 3\/0: no entries/],
    [
      'a changed checkpoint',
      [`UPDATE checkpoint SET note = replace(note, 'test.example', 'evil.example')`],
      /^checkpoint: .*no valid signature/,
    ],
    ['a changed checkpoint size', ['UPDATE checkpoint SET size = 302'], /^checkpoint: column size/],
    [
      'a fact set by hand',
      [`UPDATE fact SET fact = 'received' WHERE idx = 4`],
      /^fact of entry 4: column fact says "received", the entry "queued"/,
    ],
    [
      'a fact added by hand',
      [
        `INSERT INTO fact VALUES ('${tenant}', 4, 4, '${max}', 'retrieved', '2026-01-01T00:00:00.000Z', NULL)`,
      ],
      /^fact of entry 4: a row stands there/,
    ],
    ['a fact deleted', ['DELETE FROM fact WHERE idx = 4'], /^fact of entry 4: a row is missing/],
    [
      'another subject shown',
      [`UPDATE message SET subject = 'Anderes' WHERE idx = 4`],
      /^message of entry 4: column subject/,
    ],
    [
      'another recipient shown',
      [`UPDATE message_recipient SET address = 'eve@x' WHERE idx = 4`],
      /^message_recipient of entry 4/,
    ],
    [
      'another private-id',
      [`UPDATE private_id SET private_id = 'q' WHERE idx = 4`],
      /^private_id of entry 4/,
    ],
    ['another file digest', [`UPDATE digest SET digest = 'q' WHERE idx = 4`], /^digest of entry 4/],
    [
      'an entry taken out of its timeline',
      ['DELETE FROM letter_entry WHERE idx = 2'],
      /^letter_entry of entry 2: a row is missing/,
    ],
    [
      'rows of two entries swapped',
      [
        'UPDATE message SET idx = -1 WHERE idx = 4',
        'UPDATE message SET idx = 4 WHERE idx = 5',
        'UPDATE message SET idx = 5 WHERE idx = -1',
      ],
      /^message of entry [45]:/,
    ],
    [
      'an inline object with a changed byte',
      [`UPDATE object SET inline = ${flipBlob('inline')} WHERE rowid = 3`],
      /^object [0-9a-f]{64}: its bytes do not decrypt/,
    ],
    [
      'two objects swapped',
      [
        'CREATE TEMP TABLE o AS SELECT rowid AS r, object FROM object WHERE rowid IN (3, 4)',
        `UPDATE object SET object = 'tmp' WHERE rowid = 3`,
        'UPDATE object SET object = (SELECT object FROM o WHERE r = 3) WHERE rowid = 4',
        'UPDATE object SET object = (SELECT object FROM o WHERE r = 4) WHERE rowid = 3',
      ],
      /^object [0-9a-f]{64}: its content does not give its address/,
    ],
    [
      'another size',
      ['UPDATE object SET size = size - 1 WHERE rowid = 3'],
      /^object [0-9a-f]{64}: its bytes do not decrypt/,
    ],
    [
      'another structure index',
      [`UPDATE object SET structure = replace(structure, '"lines":1', '"lines":2') WHERE rowid = 3`],
      /^object [0-9a-f]{64}: its structure index/,
    ],
    [
      'a deleted object',
      ['DELETE FROM object WHERE rowid = 3'],
      /^object [0-9a-f]{64}: missing; entry \d+ names it/,
    ],
    [
      'a queue row deleted',
      ['DELETE FROM outbox_recipient WHERE letter = 9'],
      /^outbox of letter 9: .* is still to be handed over/,
    ],
    [
      'a queue row put back',
      [
        `INSERT INTO outbox VALUES ('${tenant}', 1, 0, 'p1', 'queued', 0, 0, 0, NULL)`,
        `INSERT INTO outbox_recipient VALUES ('${tenant}', 1, 0, '${max}')`,
      ],
      /^outbox of letter 1.0: .* by the entries it is done/,
    ],
    [
      'a queue row of another state',
      [`UPDATE outbox SET state = 'in-doubt' WHERE letter = 9`],
      /^outbox of letter 9.0: it is in-doubt, by the entries queued/,
    ],
  ])('names the place of %s', async (_, statements, finding) => {
    expect(await attacked((directory) => tamper(directory, ...statements))).toEqual(
      expect.arrayContaining([expect.stringMatching(finding)]),
    );
  });

  it('gives proofs that lead from the commitment of an entry to the signed root', async () => {
    using reader = openSqliteReader(storePaths({ directory: pristine }));
    using audit = openAudit(storePaths({ directory: pristine }));
    const { size, root } = await reader.head(tenant);
    for (const { index, commitment } of audit.entries(tenant)) {
      const lines = (await reader.proof(tenant, index))!.split('\n');
      const path = lines.slice(2, lines.indexOf('')).map((line) => Buffer.from(line, 'base64'));
      expect(verifyInclusion(index, size, leafHash(commitment), path, root)).toBe(true);
    }
  });

  it.each([
    ['another body', (text: string) => `X: a\r\n\r\n${text}x`, 0],
    ['a body from another byte on', (text: string) => `X: a\r\n\r\n${text.slice(1)}`, 0],
    ['nothing of the body', () => 'X: a\r\n\r\n', 9_999],
    ['what is there', (text: string) => `X: a\r\n\r\n${text.slice(5)}`, 5],
  ])('judges a handed-over form of %s by header and body', async (what, handed, bodyFrom) => {
    const text = `Message-ID: <999@x>\r\nSubject: Bescheid 999\r\n\r\nText\r\n`;
    let intent = 0;
    const findings = await attacked(async (directory) => {
      await using store = await openSqliteStore({ directory, originPrefix: 'test.example' });
      const letter = await submit(store, 999);
      const form = Buffer.from(handed(text));
      await store.recordHandoverIntent(tenant, {
        letter,
        transaction: 0,
        attempt: 1,
        endpoint: 'e',
        recipients: [max],
        handed: {
          sha256: createHash('sha256').update(form).digest('hex'),
          size: form.length,
          header: (await stage(store, 'X: a\r\n\r\n')).object,
          bodyFrom,
        },
        edits: [],
      });
      intent = letter + 1;
    });
    const isSound = what === 'what is there' || what === 'nothing of the body';
    expect(findings).toEqual(
      isSound ? [] : [`entry ${intent}: header and body do not give the bytes that were handed over`],
    );
  });

  it('names an object file with a changed byte, and one that is gone', async () => {
    const fileOf = async (directory: string) => {
      const names = await readdir(join(directory, 'objects'), { recursive: true });
      return join(directory, 'objects', names.find((name) => /[0-9a-f]{32}$/.test(name))!);
    };
    const changed = await attacked(async (directory) => {
      const file = await fileOf(directory);
      const bytes = await readFile(file);
      bytes[70_000]! ^= 1;
      await writeFile(file, bytes);
    });
    expect(changed).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^object [0-9a-f]{64}: its bytes do not decrypt .*bytes 65536 to 131072/),
      ]),
    );
    const gone = await attacked(async (directory) => rm(await fileOf(directory)));
    expect(gone).toEqual(expect.arrayContaining([expect.stringMatching(/cannot be opened/)]));
  });

  it('names an older database that was put back, by the checkpoint kept elsewhere', async () => {
    const found = await attacked(async (directory) => {
      await cp(join(older, 'store.sqlite'), join(directory, 'store.sqlite'));
    });
    expect(found).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^checkpoint .*: it signs 303 entries, the store has 302/),
      ]),
    );
  });

  it('says so where no checkpoint is kept elsewhere', async () => {
    const found = await attacked((directory) => rm(join(directory, 'checkpoints', tenant)));
    expect(found).toEqual([expect.stringMatching(/^checkpoint outside the database: there is none/)]);
  });

  it('notices a whole log rewritten by someone who holds the signing key', async () => {
    // The rewritten log is consistent in itself: only the checkpoint kept elsewhere tells.
    const found = await attacked(async (directory) => {
      await rm(join(directory, 'store.sqlite'));
      const kept = await readFile(join(directory, 'checkpoints', tenant));
      await rm(join(directory, 'checkpoints'), { recursive: true });
      const forged = await openSqliteStore({ directory, originPrefix: 'test.example' });
      await forged.openTenant(tenant);
      for (let n = 1; n < 310; n++) await submit(forged, n);
      await forged[Symbol.asyncDispose]();
      await writeFile(join(directory, 'checkpoints', tenant), kept);
    });
    expect(found).toEqual([expect.stringMatching(/^checkpoint .*: the first 303 entries differ/)]);
  });

  it('is guarded by triggers against mistakes', () => {
    const db = new Database(join(pristine, 'store.sqlite'));
    for (const sql of [
      'UPDATE entry SET kind = kind',
      'DELETE FROM entry',
      'DELETE FROM fact',
      `UPDATE message SET subject = ''`,
      'DELETE FROM object',
      'DELETE FROM tile',
      'UPDATE checkpoint SET size = 0',
      `INSERT OR REPLACE INTO entry SELECT * FROM entry WHERE idx = 3`,
      `INSERT INTO entry SELECT tenant, idx + 1000, kind, time, commitment, key, sealed FROM entry WHERE idx = 3`,
      'INSERT OR REPLACE INTO object SELECT * FROM object LIMIT 1',
    ]) {
      expect(() => db.exec(sql), sql).toThrow(
        /append-only|is not the next one|only grows|is evidence|exists/,
      );
    }
    db.close();
  });
});
