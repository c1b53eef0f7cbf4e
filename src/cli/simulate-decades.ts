/**
 * `evidence simulate`: decades in minutes, with everything real but the time. A store of its own, sealed every month by
 * trial authorities whose certificates run out and that change their algorithms; the list of algorithms ages; at the end
 * every evidence record is verified as of the last day.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ArchiveDigest } from '../evidence/entry.ts';
import type { AlgorithmPolicy } from '../evidence/ers/algorithm-policy.ts';
import { type RecordReport, verifyEvidenceRecord } from '../evidence/ers/verify-record.ts';
import { checkpointGroup, entryGroup } from '../evidence/groups.ts';
import { recordOfCheckpoint, recordOfEntry } from '../evidence/record-of.ts';
import { createIndexer } from '../mime/structure.ts';
import { createLog } from '../observe/log.ts';
import { revocationNetwork } from '../pki/revocation-network.ts';
import { readTrustFiles } from '../pki/revocation-sources.ts';
import { timestampVerifier } from '../pki/timestamp.ts';
import { createAuthorities } from '../preservation/authorities.ts';
import { type Preservation, startPreservation } from '../preservation/preservation.ts';
import { renewalWorkshop } from '../preservation/renewal-work.ts';
import { startTimestampAuthority, type TimestampAuthority } from '../simulator/timestamp-authority.ts';
import { openSqliteStore } from '../store/sqlite/open.ts';
import type { Store } from '../store/store.ts';
import type { Context } from './context.ts';
import { CommandError, exit } from './exit.ts';

const DAY = 86_400_000;
const MONTH = 30 * DAY;
const tenants = ['stadt', 'kreis'];

/** What comes into use when: an authority with its own root and digest, and the digest of our trees. */
const eras: readonly {
  from: number;
  hash: ArchiveDigest;
  tree: ArchiveDigest;
  signature: 'rsa' | 'p256' | 'brainpoolP256r1';
}[] = [
  { from: 0, hash: 'sha256', tree: 'sha256', signature: 'rsa' },
  { from: 2031, hash: 'sha384', tree: 'sha384', signature: 'p256' },
  // The certificate of an authority lives for ten years: the next one begins in time.
  { from: 2039, hash: 'sha512', tree: 'sha512', signature: 'brainpoolP256r1' },
  { from: 2047, hash: 'sha512', tree: 'sha512', signature: 'p256' },
  { from: 2055, hash: 'sha512', tree: 'sha512', signature: 'brainpoolP256r1' },
  { from: 2063, hash: 'sha512', tree: 'sha512', signature: 'p256' },
  { from: 2071, hash: 'sha512', tree: 'sha512', signature: 'brainpoolP256r1' },
  { from: 2079, hash: 'sha512', tree: 'sha512', signature: 'p256' },
  { from: 2087, hash: 'sha512', tree: 'sha512', signature: 'brainpoolP256r1' },
];

const ends = (year: number) => new Date(Date.UTC(year, 11, 31, 23, 59, 59));
/** Sooner than anybody expects, so that every kind of renewal is played. */
const aging: AlgorithmPolicy = [
  { name: 'sha256', purpose: 'digest', validUntil: ends(2033) },
  { name: 'sha384', purpose: 'digest', validUntil: ends(2043) },
  { name: 'sha512', purpose: 'digest', validUntil: ends(2099) },
  { name: 'rsa', purpose: 'signature', validUntil: ends(2032), minBits: 2048 },
  { name: 'ec-dsa', purpose: 'signature', validUntil: ends(2099), minBits: 256 },
];

/** Plays to the end of a year. Everything it makes is gone when it ends. */
export async function simulateDecades(
  { until, json }: { readonly until: string; readonly json?: boolean },
  context: Context,
) {
  const start = Date.now();
  const year = Number(until);
  if (!/^\d{4}$/.test(until) || year < new Date(start).getUTCFullYear() || year > 2095)
    throw new CommandError(exit.usage, `--until ${until}: a year up to 2095`);
  const end = ends(year).getTime();
  const folder = await mkdtemp(join(tmpdir(), 'demail-decades-'));
  const say = (line: string, value: object) =>
    json === true ? context.printJson(value) : context.print(line);
  let now = start;
  const clock = { now: () => now, after: () => ({ [Symbol.dispose]() {} }) };
  await using opened = new AsyncDisposableStack();
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  const store = opened.use(
    await openSqliteStore({
      directory: join(folder, 'store'),
      originPrefix: 'simulated.example',
      clock: clock.now,
    }),
  );
  for (const tenant of tenants) await store.openTenant(tenant);
  const authorities: TimestampAuthority[] = [];
  const log = createLog('error');
  let told = 0;
  let preservation: Preservation | null = null;
  let era = -1;
  for (let month = 0; now < end; month++, now += MONTH) {
    const next = eras.findLastIndex(({ from }) => from <= new Date(now).getUTCFullYear());
    if (next !== era) {
      era = next;
      await preservation?.close();
      preservation = await enter(eras[era]!);
      say(`${day(now)}  from here on: trees by ${eras[era]!.tree}, time-stamps by ${eras[era]!.signature}`, {
        time: day(now),
        era: eras[era],
      });
    }
    await live(store, month);
    await preservation!.look();
    // A list of after the seal is out a day later.
    now += DAY;
    await preservation!.look();
    for (const one of (await store.archiveTimestamps()).slice(told)) {
      told = one.id;
      if (one.kind === 'seal') continue;
      say(
        `${day(now)}  ${one.kind} ${one.id} by ${one.authority} (${one.digest}, ${one.leaves} leaves)`,
        one,
      );
    }
  }
  await preservation?.close();
  return (await judge()) ? exit.good : exit.finding;

  async function enter(wanted: (typeof eras)[number]): Promise<Preservation> {
    const authority = opened.use(
      await startTimestampAuthority(
        {
          directory: join(folder, `authority-${authorities.length + 1}`),
          organization: `Authority ${authorities.length + 1}`,
          signature: wanted.signature,
          hash: wanted.hash,
        },
        { now: () => new Date(now) },
      ),
    );
    authorities.push(authority);
    return startPreservation({
      store,
      authorities: createAuthorities({
        servers: authorities
          .map(({ url }, i) => ({ name: `authority-${i + 1}`, url, allowPrivate: true }))
          .reverse(),
        trust: await readTrustFiles(authorities.map(({ caFile }) => caFile)),
        revocation: revocationNetwork({ allowPrivate: true }),
        now: clock.now,
      }),
      workshop: renewalWorkshop(folder),
      settings: {
        every: MONTH,
        alarmAfter: 2 * MONTH,
        digest: wanted.tree,
        renewAhead: 365 * DAY,
        policy: aging,
      },
      incidents: {
        open: (tenant, incident, text) =>
          say(`${day(now)}  ${tenant}: ${incident}: ${text.en}`, { tenant, incident }),
        close: () => {},
      },
      clock,
      log,
    });
  }

  async function judge(): Promise<boolean> {
    const trust = await readTrustFiles(authorities.map(({ caFile }) => caFile));
    // What nothing covers yet needs the newest list; the authorities still publish it.
    const verifyToken = timestampVerifier({ trust, revocation: revocationNetwork({ allowPrivate: true }) });
    const judged = { valid: 0, indeterminate: 0, invalid: 0, unsealed: 0 };
    let longest = 0;
    const count = (report: RecordReport, what: string) => {
      judged[report.verdict]++;
      const problem = report.checks.find(({ result }) => result !== 'passed');
      if (problem !== undefined && judged.indeterminate + judged.invalid <= 10)
        context.warn(`${what}: ${report.verdict}: ${problem.reason}`);
    };
    for (const tenant of tenants) {
      const size = await store.entryCount(tenant);
      for (let index = 0; index < size; index++) {
        const record = await recordOfEntry(store, tenant, index);
        if (record === null) {
          judged.unsealed++;
          continue;
        }
        longest = Math.max(longest, record.length);
        const group = await entryGroup(store, tenant, index, 'sha256');
        const objects = group!.map(({ name }) => ({
          name,
          digest: async (digest: ArchiveDigest) =>
            (await entryGroup(store, tenant, index, digest))!.find((d) => d.name === name)!.digest,
        }));
        const time = new Date(now);
        count(
          await verifyEvidenceRecord({ record, objects, time, policy: aging, verifyToken }),
          `${tenant}/${index}`,
        );
      }
    }
    const seals = (await store.archiveTimestamps()).filter(({ kind }) => kind === 'seal');
    const { record, checkpoint } = (await recordOfCheckpoint(store, seals[0]!.id, tenants[0]!))!;
    count(
      await verifyEvidenceRecord({
        record,
        objects: [
          { name: 'checkpoint', digest: async (digest) => checkpointGroup(checkpoint, digest)[0]!.digest },
        ],
        time: new Date(now),
        policy: aging,
        verifyToken,
      }),
      'first checkpoint',
    );
    const renewals = (await store.archiveTimestamps()).length - seals.length;
    say(
      `${day(now)}  ${seals.length} seals, ${renewals} renewals; records: ${judged.valid} valid, ${judged.indeterminate} indeterminate, ${judged.invalid} invalid, ${judged.unsealed} entries not sealed yet; the longest record has ${longest} bytes`,
      { time: day(now), seals: seals.length, renewals, ...judged, longest },
    );
    return judged.indeterminate + judged.invalid === 0;
  }
}

/** A month of a small town: one letter, one incident. */
async function live(store: Store, month: number): Promise<void> {
  for (const tenant of tenants) {
    const writer = store.stage(tenant);
    const bytes = Buffer.from(`Subject: Bescheid ${month}\r\n\r\nMonat ${month} in ${tenant}\r\n`);
    const indexer = createIndexer();
    indexer.push(bytes);
    await writer.write(bytes);
    await store.deliverNotice(tenant, {
      letter: null,
      about: 'incident',
      text: `month ${month}`,
      message: { object: await writer.finish(), index: indexer.finish() },
      deposits: [],
    });
  }
}

function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
