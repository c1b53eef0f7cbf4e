/** Attacks on a store with seals and renewals, each made behind its back: verification must name what was done. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AlgorithmPolicy } from '../../src/evidence/ers/algorithm-policy.ts';
import { recordOfEntry } from '../../src/evidence/record-of.ts';
import { type VerifyOptions, verifyStore } from '../../src/evidence/verify.ts';
import { readTimestampResponse, timestampRequest } from '../../src/pki/timestamp-request.ts';
import { readTimestampToken, type TimestampToken } from '../../src/pki/timestamp-token.ts';
import { renewHashTrees, renewTokens } from '../../src/preservation/renew.ts';
import { seal } from '../../src/preservation/seal.ts';
import type { TimestampFault } from '../../src/simulator/timestamp-authority.ts';
import { openAudit } from '../../src/store/sqlite/audit.ts';
import { storePaths } from '../../src/store/sqlite/open.ts';
import {
  completeAll,
  DAY,
  lasting,
  openSealedWorld,
  renewDeps,
  type SealedWorld,
  submit,
} from './sealed-store.ts';

let world: SealedWorld;

/** Seals 1 and 2 (SHA-256), renewed together by 3, then by 4 (tree of SHA-512); seal 5 stands alone. */
beforeAll(async () => {
  world = await openSealedWorld();
  const { clock } = world;
  const store = await world.openStore();
  const authorities = await world.authorities();
  const later = async () => {
    clock.move(DAY);
    await completeAll(store, authorities);
  };
  for (let n = 1; n <= 3; n++) await submit(store, 'stadt', n, n === 1 ? 200_000 : 0);
  await submit(store, 'kreis', 1);
  await seal({ store, authorities, digest: 'sha256' });
  await later();
  await submit(store, 'stadt', 4);
  await seal({ store, authorities, digest: 'sha256' });
  await later();
  await renewTokens({ store, authorities }, 'sha256', await store.archiveTimestamps());
  await later();
  const seals = (await store.archiveTimestamps()).filter(({ kind }) => kind === 'seal');
  await renewHashTrees(renewDeps(world, store, authorities, 'sha512'), seals);
  await later();
  await submit(store, 'kreis', 2);
  await seal({ store, authorities, digest: 'sha512' });
  await later();
  await submit(store, 'stadt', 5);
  await store[Symbol.asyncDispose]();
});

afterAll(() => world[Symbol.asyncDispose]());

/** Judges no tokens: that takes most of the time, and most attacks show without. */
const shallow: VerifyOptions = { archive: null };

interface Said {
  readonly findings: string[];
  readonly undecided: string[];
}

async function verify(directory: string, options: VerifyOptions = {}): Promise<Said & { unread: number }> {
  using audit = openAudit(storePaths({ directory }));
  const { archive = await world.circumstances(), ...others } = options;
  const { findings, undecided, unread } = await verifyStore(audit, { archive, ...others });
  const lines = (list: typeof findings) => list.map((f) => `${f.tenant}: ${f.place}: ${f.problem}`);
  return { findings: lines(findings), undecided: lines(undecided), unread };
}

/** The database without its guards, as for someone with the file in hand. */
function openFile(directory: string): Database.Database {
  const db = new Database(join(directory, 'store.sqlite'));
  for (const name of db
    .prepare(`SELECT name FROM sqlite_schema WHERE type = 'trigger'`)
    .pluck()
    .all() as string[])
    db.exec(`DROP TRIGGER ${name}`);
  db.pragma('foreign_keys = OFF');
  db.pragma('ignore_check_constraints = ON');
  return db;
}

async function copy(): Promise<string> {
  const directory = await mkdtemp(join(world.root, 'attack-'));
  await cp(world.directory, directory, { recursive: true });
  return directory;
}

async function attacked(
  attack: (db: Database.Database, directory: string) => Promise<void> | void,
  options?: VerifyOptions,
): Promise<Said> {
  const directory = await copy();
  const db = openFile(directory);
  await attack(db, directory);
  db.close();
  const said = await verify(directory, options);
  await rm(directory, { recursive: true });
  return said;
}

const sql = (text: string) => (db: Database.Database) => void db.exec(text);
const one = (pattern: RegExp) => expect.arrayContaining([expect.stringMatching(pattern)]);

/** Flips a bit in the middle of a cell's bytes. */
function flipBlob(db: Database.Database, table: string, column: string, where: string, at?: number): void {
  const row = db.prepare(`SELECT ${column} AS cell FROM ${table} WHERE ${where}`).get() as
    | { cell: Buffer }
    | undefined;
  const cell = Buffer.from(row!.cell);
  cell[at ?? cell.length >> 1]! ^= 1;
  db.prepare(`UPDATE ${table} SET ${column} = ? WHERE ${where}`).run(cell);
}

describe('a sealed store', () => {
  it('holds, shallow and deep, whole and from a time on, and for one tenant', async () => {
    const good = { findings: [], undecided: [] };
    expect(await verify(world.directory)).toMatchObject({ ...good, unread: 0 });
    expect(await verify(world.directory, { deep: false })).toMatchObject({ ...good, unread: 1 });
    expect(await verify(world.directory, { tenant: 'kreis' })).toMatchObject(good);
    expect(await verify(world.directory, { since: '2026-01-09T00:00:00.000Z' })).toMatchObject(good);
    expect(await verify(world.directory, { since: '2030-01-01T00:00:00.000Z' })).toMatchObject(good);
  });

  it.each<[string, string, RegExp]>([
    ['a missing seal', 'DELETE FROM archive_timestamp WHERE id = 2', /archive timestamp 2: missing/],
    [
      'a seal cut off at the end',
      'DELETE FROM archive_timestamp WHERE id = 5',
      /kreis: archive timestamp 5: missing; entry \d+ names it/,
    ],
    [
      'a missing range',
      `DELETE FROM archive_range WHERE id = 1 AND tenant = 'kreis'`,
      /kreis: archive timestamp 1: its range is undefined/,
    ],
    [
      'a range that ends early',
      `UPDATE archive_range SET to_idx = to_idx - 1 WHERE id = 1 AND tenant = 'stadt'`,
      /archive timestamp 2: its range of stadt is of the entries/,
    ],
    [
      'a missing tile of a seal',
      'DELETE FROM archive_tile WHERE id = 1',
      /tile 0\/0 of archive timestamp 1: missing/,
    ],
    [
      'a tile too many',
      `INSERT INTO archive_tile VALUES (1, 3, 0, x'00')`,
      /tile 3\/0 of archive timestamp 1: no groups belong/,
    ],
    [
      'a renewal that is said to cover less',
      'DELETE FROM archive_cover WHERE id = 4 AND covers = 2',
      /archive timestamp 4: what it covers is 1, the entry says 1, 2/,
    ],
    [
      'an entry that is said to be left out',
      `INSERT INTO archive_excluded VALUES (1, 'stadt', 1, 'so')`,
      /stadt: archive timestamp 1: what it leaves out is 1 \(so\)/,
    ],
    [
      'a leaf list that is gone',
      `DELETE FROM archive_leaves WHERE tenant = 'kreis'`,
      /archive timestamp 4: column position says/,
    ],
    [
      'an exchanged checkpoint',
      `UPDATE archive_range SET note = (SELECT note FROM archive_range WHERE id = 2 AND tenant = 'stadt') WHERE id = 1 AND tenant = 'stadt'`,
      /checkpoint of archive timestamp 1: it signs \d+ entries, its range ends/,
    ],
  ])('names %s', async (_, text, finding) => {
    expect((await attacked(sql(text), shallow)).findings).toEqual(one(finding));
  });

  it('names what stands in a tile for a group, and holds by the entry', async () => {
    const { findings } = await attacked((db) =>
      flipBlob(db, 'archive_tile', 'hashes', 'id = 1 AND level = 0', 40),
    );
    expect(findings).toEqual(
      one(/tile 0\/0 of archive timestamp 1: its hash for entry kreis\/1 was changed/),
    );
  });

  it('names an entry with another salt, also under its seal', async () => {
    // With the keys at hand: entry and commitment are made to fit each other, and only tree and seal tell.
    const { findings } = await attacked(
      sql(`UPDATE entry SET commitment = zeroblob(32) WHERE tenant = 'stadt' AND idx = 2`),
    );
    expect(findings).toEqual(one(/stadt: entry 2: salt and content do not give its commitment/));
    expect(findings).toEqual(one(/stadt: tile 0\/0: its hashes are not those of the entries/));
  });

  it('reads files only where it is to be deep, but sees at once what is gone or cut', async () => {
    const file = async (directory: string) => {
      const names = await readdir(join(directory, 'objects'), { recursive: true });
      return join(directory, 'objects', names.find((name) => /[0-9a-f]{32}$/.test(name))!);
    };
    const flip = async (_: unknown, directory: string) => {
      const bytes = await readFile(await file(directory));
      bytes[70_000]! ^= 1;
      await writeFile(await file(directory), bytes);
    };
    expect((await attacked(flip, { ...shallow, deep: false })).findings).toEqual([]);
    expect((await attacked(flip, shallow)).findings).toEqual(
      one(/object [0-9a-f]{64}: its bytes do not decrypt/),
    );
    const cut = async (_: unknown, directory: string) => {
      await writeFile(await file(directory), (await readFile(await file(directory))).subarray(1));
    };
    expect((await attacked(cut, { ...shallow, deep: false })).findings).toEqual(
      one(/its file .* has \d+ bytes, not \d+/),
    );
    const gone = async (_: unknown, directory: string) => rm(await file(directory));
    expect((await attacked(gone, { ...shallow, deep: false })).findings).toEqual(
      one(/its file .* is missing/),
    );
  });

  it('says so where nothing says whom to trust', async () => {
    using audit = openAudit(storePaths({ directory: world.directory }));
    const { findings, undecided } = await verifyStore(audit);
    expect(findings).toEqual([]);
    expect(undecided).toMatchObject([{ problem: expect.stringMatching(/no trust anchors/) }]);
  });
});

describe('time-stamps of a sealed store', () => {
  it('names a token that a later renewal covers and whose signature was broken', async () => {
    const { findings } = await attacked((db) => {
      const token = db.prepare('SELECT token FROM archive_timestamp WHERE id = 1').pluck().get() as Buffer;
      flipBlob(db, 'archive_timestamp', 'token', 'id = 1', token.length - 8);
    });
    expect(findings).toEqual(one(/archive timestamp 1: its token is not the one that the authority gave/));
    expect(findings).toEqual(one(/archive timestamp 1: .*\(cms-signature-failed\)/));
    expect(findings).toEqual(
      one(/archive timestamp 3: the token of archive timestamp 1 is not what was time-stamped/),
    );
  });

  it('names a token of another authority, even with a tree and columns to fit', async () => {
    const { findings } = await attacked(
      sql(
        'UPDATE archive_timestamp SET (token, response) = (SELECT token, response FROM archive_timestamp WHERE id = 4) WHERE id = 5',
      ),
    );
    expect(findings).toEqual(one(/archive timestamp 5: column gen_time says/));
    expect(findings).toEqual(
      one(/archive timestamp 5: its tree does not lead to the digest that its token stamps/),
    );
    expect(findings).toEqual(one(/kreis: archive timestamp 5: the token as it came is .*, the entry says/));
  });

  it('takes no authority that is not trusted', async () => {
    const { undecided } = await verify(world.directory, {
      archive: { ...(await world.circumstances()), trust: { anchorsAt: () => [], intermediates: [] } },
    });
    for (let id = 1; id <= 5; id++)
      expect(undecided).toEqual(one(new RegExp(`archive timestamp ${id}: .*chain-no-anchor`)));
  });

  it('cannot decide what a digest proves that ran out before anything covered it', async () => {
    const weak = (name: string, day: string): AlgorithmPolicy =>
      lasting.map((rule) => (rule.name === name ? { ...rule, validUntil: new Date(day) } : rule));
    const under = async (policy: AlgorithmPolicy) =>
      await verify(world.directory, { archive: await world.circumstances(policy) });
    // SHA-256 was replaced in time by the tree of SHA-512, but the authority still signs with it.
    const early = await under(weak('sha256', '2026-01-06T00:00:00Z'));
    expect(early.findings).toEqual([]);
    expect(early.undecided).toEqual(one(/archive timestamp 1: sha256 counted until .* \(record-algorithm\)/));
    const curve = await under(weak('ec-dsa', '2026-01-10T00:00:00Z'));
    expect(curve.undecided).toEqual(one(/archive timestamp 5: ec-dsa with 256 bits counted until/));
    expect(curve.undecided).not.toEqual(one(/archive timestamp 1: ec-dsa/));
  });
});

describe('a token in the place of another, over the right tree', () => {
  afterEach(() => world.tsas[0]!.faults.clear());

  it.each<[TimestampFault, RegExp]>([
    ['wrong-signature', /\(cms-signature-failed\)/],
    ['wrong-imprint', /its tree does not lead to the digest that its token stamps/],
    ['expired-certificate', /expired/],
    ['revoked-certificate', /\(revocation-revoked\)/],
    ['wrong-eku', /timeStamping|purpose/],
    ['foreign-authority', /chain/],
  ])('is named where it is one of %s', async (fault, said) => {
    const tsa = world.tsas[0]!;
    tsa.faults.add(fault);
    const { findings, undecided } = await attacked(async (db) => {
      const stored = db.prepare('SELECT token FROM archive_timestamp WHERE id = 5').pluck().get() as Buffer;
      const { imprint } = (readTimestampToken(stored) as { token: TimestampToken }).token;
      const body = timestampRequest({
        hash: imprint.hash!,
        digest: imprint.digest,
        nonce: Buffer.alloc(8, 1),
      });
      const posted = await fetch(tsa.url, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/timestamp-query' },
      });
      const response = Buffer.from(await posted.arrayBuffer());
      const answer = readTimestampResponse(response) as { token: Buffer };
      const { genTime } = (readTimestampToken(answer.token) as { token: TimestampToken }).token;
      db.prepare(
        'UPDATE archive_timestamp SET token = ?, response = ?, gen_time = ?, final = 0 WHERE id = 5',
      ).run(answer.token, response, genTime.toISOString());
    });
    expect([...findings, ...undecided].filter((line) => /archive timestamp 5: /.test(line))).toEqual(
      one(said),
    );
    // Whatever the token is worth: it is not the one that the log names.
    expect(findings).toEqual(one(/kreis: archive timestamp 5: the token as it came is .*, the entry says/));
  });
});

describe('an authority that is revoked after it sealed', () => {
  let now: number;
  beforeEach(() => {
    now = world.clock.now();
  });
  afterEach(() => world.clock.move(now - world.clock.now()));

  /** Sealed by an authority of its own; `covered`: renewed by the first one before anything happens. */
  async function sealedBy(covered: boolean) {
    const directory = await copy();
    const tsa = await world.startTsa();
    await using store = await world.openStore(directory);
    await submit(store, 'stadt', 77);
    const authorities = await world.authorities(tsa);
    const { id, genTime } = (await seal({ store, authorities, digest: 'sha256' }))!;
    world.clock.move(DAY);
    await completeAll(store, authorities);
    if (covered) {
      const own = (await store.archiveTimestamps()).filter((one) => one.id === id);
      await renewTokens({ store, authorities: await world.authorities(world.tsas[0]!) }, 'sha256', own);
      world.clock.move(DAY);
      await completeAll(store, await world.authorities(world.tsas[0]!));
    }
    expect(await verify(directory)).toMatchObject({ findings: [], undecided: [] });
    return { directory, tsa, id, genTime: Date.parse(genTime) };
  }

  it('as of a time before its time-stamp, is named; as of one after it, nothing is proven any more', async () => {
    const { directory, tsa, id, genTime } = await sealedBy(false);
    const late = await sealedBy(false);
    await tsa.revokeSigner(new Date(genTime - DAY));
    await late.tsa.revokeSigner(new Date(late.genTime + 3_600_000));
    const said = await verify(directory);
    expect(said.findings).toEqual([
      expect.stringMatching(
        new RegExp(`archive timestamp ${id}: .*revoked .*, signed .*\\(revocation-revoked\\)`),
      ),
    ]);
    expect(await verify(late.directory)).toMatchObject({
      findings: [],
      undecided: [
        expect.stringMatching(
          new RegExp(`archive timestamp ${late.id}: .*nothing shows that the signature existed before`),
        ),
      ],
    });
  });

  it('does no harm to what a renewal covered before', async () => {
    const { directory, tsa, genTime } = await sealedBy(true);
    await tsa.revokeSigner(new Date(genTime + 36 * 3_600_000));
    expect(await verify(directory)).toMatchObject({ findings: [], undecided: [] });
  });
});

describe('a stolen log key', () => {
  it('cannot date an entry before the time-stamp that precedes it in the log', async () => {
    const directory = await copy();
    world.clock.move(-30 * DAY);
    const store = await world.openStore(directory);
    const letter = await submit(store, 'kreis', 9);
    await store[Symbol.asyncDispose]();
    world.clock.move(30 * DAY);
    const { findings } = await verify(directory, shallow);
    expect(findings).toEqual([
      expect.stringMatching(new RegExp(`kreis: entry ${letter}: it was dated back: .*archive timestamp 5`)),
    ]);
  });

  it('cannot date an entry after the seal over it', async () => {
    const directory = await copy();
    world.clock.move(DAY);
    const store = await world.openStore(directory);
    await submit(store, 'stadt', 9);
    world.clock.move(-DAY);
    await seal({ store, authorities: await world.authorities(), digest: 'sha256' });
    await store[Symbol.asyncDispose]();
    const { findings } = await verify(directory, shallow);
    expect(findings).toEqual(
      one(/stadt: entry \d+: its time .* lies after .*, when archive timestamp 6 sealed it/),
    );
  });

  it('is doubted where times run backwards with no time-stamp between', async () => {
    const directory = await copy();
    world.clock.move(-2 * 3_600_000);
    const store = await world.openStore(directory);
    await submit(store, 'stadt', 9);
    await store[Symbol.asyncDispose]();
    world.clock.move(2 * 3_600_000);
    const { findings, undecided } = await verify(directory);
    expect(findings).toEqual([]);
    expect(undecided).toEqual([expect.stringMatching(/stadt: entry \d+: .*the clock was set back/)]);
  });

  it('cannot rewrite what is sealed, even with tree, tiles, checkpoint and kept file made anew', async () => {
    const directory = await copy();
    const kept = join(world.root, 'old-archive');
    await cp(directory, kept, { recursive: true });
    await rm(join(directory, 'store.sqlite'));
    await rm(join(directory, 'checkpoints'), { recursive: true });
    const forged = await world.openStore(directory);
    for (let n = 1; n <= 12; n++) await submit(forged, 'stadt', n);
    await forged[Symbol.asyncDispose]();
    const db = openFile(directory);
    db.exec(`ATTACH '${join(kept, 'store.sqlite')}' AS old`);
    for (const table of ['timestamp', 'range', 'cover', 'leaves', 'excluded', 'tile'])
      db.exec(`INSERT INTO archive_${table} SELECT * FROM old.archive_${table}`);
    db.close();
    const { findings } = await verify(directory, shallow);
    expect(findings).toEqual(one(/stadt: checkpoint of archive timestamp 1: the first \d+ entries differ/));
    expect(findings).toEqual(one(/archive timestamp 1: entry stadt\/1 is not what was time-stamped/));
    expect(findings).toEqual(one(/archive timestamp 4: the leaf list of stadt is not what was time-stamped/));
    expect(findings).toEqual(one(/stadt: archive timestamp 1: no entry of the log names it/));
  });
});

describe('erasure in a sealed store', () => {
  it('leaves seals, renewals and every other proof whole, also when they are renewed again', async () => {
    const directory = await copy();
    {
      await using store = await world.openStore(directory);
      // The first stands under a seal, a renewal of its token and one of its tree; the other under the newest seal.
      const letters = { stadt: 1, kreis: (await store.search({ tenant: 'kreis' }))[0]!.index };
      for (const [tenant, letter] of Object.entries(letters)) {
        const recipients = ['max@buerger.de-mail.example'];
        await store.expireRecipients(tenant, { letter, transaction: 0, recipients, lastReply: '' });
        const actors = [{ type: 'gateway', name: 'gateway' } as const];
        const erasure = { class: 'k', legalBasis: 'x', copies: 'remove', actors } as const;
        expect(await store.erase(tenant, { letters: [letter], ...erasure })).toMatchObject({ refused: [] });
        expect(await recordOfEntry(store, tenant, letter)).toBeNull();
      }
      expect(await recordOfEntry(store, 'stadt', 2)).not.toBeNull();
    }
    const good = { findings: [], undecided: [] };
    expect(await verify(directory)).toMatchObject(good);
    {
      await using store = await world.openStore(directory);
      const authorities = await world.authorities();
      await seal({ store, authorities, digest: 'sha512' });
      world.clock.move(DAY);
      await completeAll(store, authorities);
      const all = (await store.archiveTimestamps()).filter(({ kind }) => kind === 'seal');
      const renewed = await renewHashTrees(renewDeps(world, store, authorities, 'sha384'), all);
      expect(renewed).toMatchObject({ excluded: [] });
      world.clock.move(DAY);
      await completeAll(store, authorities);
    }
    expect(await verify(directory)).toMatchObject(good);
    await rm(directory, { recursive: true });
  });
});
