/** A store for tests with a time-stamp authority of its own, and a clock that stands until it is moved. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ArchiveDigest } from '../../src/evidence/entry.ts';
import type { AlgorithmPolicy } from '../../src/evidence/ers/algorithm-policy.ts';
import type { ArchiveCircumstances } from '../../src/evidence/verify-archive-tokens.ts';
import { createIndexer } from '../../src/mime/structure.ts';
import type { Clock } from '../../src/observe/clock.ts';
import { readTrustFiles } from '../../src/pki/revocation-sources.ts';
import type { RevocationSource } from '../../src/pki/types.ts';
import { type Authorities, createAuthorities } from '../../src/preservation/authorities.ts';
import { renewalWorkshop } from '../../src/preservation/renewal-work.ts';
import {
  startTimestampAuthority,
  type TimestampAuthority,
  type TimestampOptions,
} from '../../src/simulator/timestamp-authority.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';

export const DAY = 86_400_000;
export const tenants = ['kreis', 'stadt'] as const;

const far = new Date('2099-12-31T23:59:59.999Z');
export const lasting: AlgorithmPolicy = [
  ...['sha256', 'sha384', 'sha512'].map((name) => ({ name, purpose: 'digest' as const, validUntil: far })),
  ...['rsa', 'ec-dsa'].map((name) => ({ name, purpose: 'signature' as const, validUntil: far })),
];

export interface SealedWorld extends AsyncDisposable {
  readonly root: string;
  readonly directory: string;
  readonly clock: Clock & { move(milliseconds: number): void };
  /** The first one, then those that were started later. */
  readonly tsas: readonly TimestampAuthority[];
  startTsa(options?: Partial<TimestampOptions>): Promise<TimestampAuthority>;
  openStore(at?: string): Promise<Store>;
  authorities(...order: TimestampAuthority[]): Promise<Authorities>;
  circumstances(policy?: AlgorithmPolicy): Promise<ArchiveCircumstances>;
}

/** @param start RFC 3339 time at which the clock stands */
export async function openSealedWorld(start = '2026-01-05T08:00:00.000Z'): Promise<SealedWorld> {
  const root = await mkdtemp(join(tmpdir(), 'sealed-'));
  const tsas: TimestampAuthority[] = [];
  let now = Date.parse(start);
  const clock = {
    now: () => now,
    after: () => ({ [Symbol.dispose]() {} }),
    move(milliseconds: number) {
      now += milliseconds;
    },
  };
  /** The lists of all authorities as of now, without a network. */
  const lists: RevocationSource = {
    find: async () => tsas.map((tsa) => ({ kind: 'crl' as const, der: tsa.crl() })),
  };
  const trust = () => readTrustFiles(tsas.map(({ caFile }) => caFile));
  const directory = join(root, 'store');
  const world: SealedWorld = {
    root,
    directory,
    clock,
    tsas,
    async startTsa(options = {}) {
      const tsa = await startTimestampAuthority(
        {
          directory: join(root, `tsa-${tsas.length + 1}`),
          organization: `TSA ${tsas.length + 1}`,
          ...options,
        },
        { now: () => new Date(now) },
      );
      tsas.push(tsa);
      return tsa;
    },
    async openStore(at = directory) {
      const store = await openSqliteStore({ directory: at, originPrefix: 'test.example', clock: clock.now });
      for (const tenant of tenants) await store.openTenant(tenant);
      return store;
    },
    async authorities(...order) {
      return createAuthorities({
        servers: (order.length === 0 ? tsas : order).map((tsa) => ({
          name: `tsa-${tsas.indexOf(tsa) + 1}`,
          url: tsa.url,
          allowPrivate: true,
        })),
        trust: await trust(),
        revocation: lists,
        now: clock.now,
      });
    },
    async circumstances(policy = lasting) {
      return { trust: await trust(), revocation: lists, policy, time: new Date(now) };
    },
    async [Symbol.asyncDispose]() {
      for (const tsa of tsas) await tsa.close();
      await rm(root, { recursive: true, force: true });
    },
  };
  await world.startTsa();
  return world;
}

/** Takes in a message of its own for the tenant; returns its entry. */
export async function submit(store: Store, tenant: string, n: number, padding = 0): Promise<number> {
  const bytes = Buffer.from(
    `Message-ID: <${n}@x>\r\nSubject: Bescheid ${n}\r\n\r\nText ${n}\r\n${'z'.repeat(padding)}`,
  );
  const writer = store.stage(tenant);
  const indexer = createIndexer();
  indexer.push(bytes);
  await writer.write(bytes);
  const to = ['max@buerger.de-mail.example'];
  const { letter } = await store.acceptSubmission(tenant, {
    actor: { type: 'user', name: 'erika' },
    listener: 'submission',
    envelope: { from: 'erika@x', recipients: to.map((address) => ({ address })) },
    sender: 'erika@x.de-mail.example',
    header: { messageId: `<${n}@x>`, subject: `Bescheid ${n}`, from: 'erika@x', date: null },
    attachments: [],
    options: ['dispatch'],
    removedHeaders: [],
    transactions: [{ id: 0, privateId: `p${tenant}${n}`, to, cc: [], bcc: [] }],
    message: { object: await writer.finish(), index: indexer.finish() },
    deposits: [],
  });
  return letter;
}

/** Puts revocation lists into all tokens that wait for one, as a day later. */
export async function completeAll(store: Store, authorities: Authorities): Promise<void> {
  for (const { id, final } of await store.archiveTimestamps()) {
    if (final) continue;
    const completed = await authorities.complete((await store.archiveToken(id))!.token);
    if ('missing' in completed) throw new Error(completed.missing);
    await store.finishArchiveToken(id, completed.token);
  }
}

export function renewDeps(world: SealedWorld, store: Store, authorities: Authorities, digest: ArchiveDigest) {
  const { now } = world.clock;
  const workshop = renewalWorkshop(world.root);
  return { store, authorities, digest, now, policy: lasting, ahead: 0, known: new Map(), workshop };
}
