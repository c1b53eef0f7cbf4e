/** Opens the SQLite engine of the store: writer thread, read connection, object folder, checkpoint check. */
import { existsSync, mkdirSync } from 'node:fs';
import Database from 'better-sqlite3';
import type { CommitFeed } from '../commit-feed.ts';
import { beginRotation, endRotation, type TenantKeys } from '../keys.ts';
import { keepRecoveryCopy } from '../recovery.ts';
import type { Change, Reader, Store } from '../store.ts';
import {
  toWireMessage,
  toWireNotice,
  toWireNotices,
  toWireObject,
  toWireSignatures,
} from './commands/wire.ts';
import { checkHead, type HeadProblem, keptFiles } from './head-check.ts';
import { holdOrRelease } from './holds.ts';
import { openObject, prepareObjectDirectory, type Staging, stageObject } from './objects.ts';
import { type StorePaths, type StorePlaces, storePaths } from './paths.ts';
import { archiveReader } from './read-archive.ts';
import { createReadContext } from './read-context.ts';
import { evidenceReader } from './read-evidence.ts';
import { judgementReader } from './read-judgement.ts';
import { logReader } from './read-logs.ts';
import { mailboxReader } from './read-mailboxes.ts';
import { queueReader } from './read-queues.ts';
import { retentionReader } from './read-retention.ts';
import { scanReader } from './read-scanning.ts';
import { replayErasures } from './replay-erasures.ts';
import { requireSchema } from './schema.ts';
import { searchTextReader, toWireSearchText } from './search-text.ts';
import { sweepOrphans } from './sweep.ts';
import { startWriter } from './transactor.ts';

export { type StorePaths, storePaths } from './paths.ts';

export interface StoreOptions extends StorePlaces {
  /** Certificates (PEM files) of offline keys that every tenant's keys are encrypted to. */
  readonly recoveryCertificates?: readonly string[];
  /** Origin of a tenant's log is `<originPrefix>/<tenant>`. */
  readonly originPrefix: string;
  /** Where commits are sent for a second copy and backups. */
  readonly feed?: CommitFeed;
  /** Epoch milliseconds; tests may turn it. */
  readonly clock?: () => number;
  /** Told what an operator should know; what it says is safe for a log. */
  readonly warn?: (text: string) => void;
}

/** Rows of a rotation that one commit takes: other commits wait no longer than for these. */
const rewrapBatch = 500;

/**
 * Opens the store, and makes it if it is new. A tenant whose log does not continue what was kept of it outside the
 * database is held: it can be read, and nothing is recorded for it.
 * @throws KeyError where a tenant's key is missing or readable by others.
 */
export async function openSqliteStore(options: StoreOptions): Promise<Store> {
  const paths = storePaths(options);
  const clock = options.clock ?? Date.now;
  mkdirSync(options.directory, { recursive: true, mode: 0o700 });
  prepareObjectDirectory(paths.objects);
  const listeners = new Set<(change: Change) => void>();
  const writer = await startWriter(
    { ...paths, originPrefix: options.originPrefix, feed: options.feed },
    clock,
    (changes) => {
      for (const change of changes) for (const listener of [...listeners]) listener(change);
    },
    (text) => options.warn?.(text),
  );
  const db = new Database(paths.file, { readonly: true });
  try {
    db.pragma('busy_timeout = 10000');
    const context = createReadContext(db, paths.objects, paths.keys);
    for (const tenant of db.prepare('SELECT tenant FROM checkpoint').pluck().all() as string[])
      await holdOrRelease(writer, context, paths, tenant, (text) => options.warn?.(text));
    const eraseAgain = async (tenant: string) => {
      const { erased, refused } = await replayErasures(writer, context, paths, tenant);
      if (erased > 0)
        options.warn?.(
          `${tenant}: ${erased} letters were erased again, which an older database had brought back`,
        );
      if (refused.length > 0)
        options.warn?.(
          `${tenant}: to be erased again, and not settled yet: ${refused.map((letter) => `${tenant}/${letter}`).join(', ')}`,
        );
    };
    for (const tenant of db.prepare('SELECT tenant FROM checkpoint').pluck().all() as string[])
      await eraseAgain(tenant);
    const sweep = sweepOrphans(db, paths.objects);
    const mailboxes = mailboxReader(context);
    const keepRecovery = async (tenant: string) => {
      const certificates = options.recoveryCertificates ?? [];
      if (certificates.length > 0)
        await keepRecoveryCopy(paths.recovery, paths.keys, tenant, certificates, clock());
    };

    return {
      ...evidenceReader(context),
      ...logReader(context),
      ...queueReader(context),
      ...judgementReader(context),
      ...archiveReader(context),
      ...scanReader(context),
      ...retentionReader(context),
      ...searchTextReader(context),
      ...mailboxes,
      changes: {
        subscribe(listener) {
          listeners.add(listener);
          return { [Symbol.dispose]: () => void listeners.delete(listener) };
        },
      },

      async openTenant(tenant) {
        if (db.prepare('SELECT 1 FROM checkpoint WHERE tenant = ?').get(tenant) === undefined)
          await holdOrRelease(writer, context, paths, tenant, (text) => options.warn?.(text));
        await writer.call('openTenant', tenant, undefined as never);
        await keepRecovery(tenant);
      },
      stage: (tenant) => stageObject(paths.objects, context.keys(tenant)),
      openStaged: ({ tenant, object, size, storage }) =>
        openObject(paths.objects, context.keys(tenant), { object, size, ...(storage as Staging) }),
      acceptSubmission: (tenant, { message, signatures, deposits, dailyQuota, ...body }) =>
        writer.call('acceptSubmission', tenant, {
          body,
          message: toWireMessage(message),
          signatures: toWireSignatures(signatures),
          deposits,
          dailyQuota: dailyQuota ?? null,
        }),
      recordRefusal: (tenant, { message, ...body }) =>
        writer.call('recordRefusal', tenant, { body, message: toWireMessage(message) }),
      recordScan: (tenant, { deposits, forward, ...body }) =>
        writer.call('recordScan', tenant, { body, deposits, forward }),
      planScan: (tenant, index, nextAttempt) => writer.call('planScan', tenant, { index, nextAttempt }),
      recordHandoverIntent: (tenant, { handed, ...body }) =>
        writer.call('recordHandoverIntent', tenant, {
          body,
          handed: { ...handed, header: toWireObject(handed.header) },
        }),
      recordHandoverOutcome: (tenant, { nextAttempt, notices, ...body }) =>
        writer.call('recordHandoverOutcome', tenant, {
          body,
          nextAttempt: nextAttempt ?? null,
          notices: toWireNotices(notices),
        }),
      settleHandover: (tenant, { notices, ...body }) =>
        writer.call('settleHandover', tenant, { body, notices: toWireNotices(notices) }),
      expireRecipients: (tenant, body) => writer.call('expireRecipients', tenant, body),
      rescheduleTransaction: (tenant, letter, transaction, nextAttempt) =>
        writer.call('rescheduleTransaction', tenant, { letter, transaction, nextAttempt }),
      rescheduleForward: (tenant, letter, nextAttempt) =>
        writer.call('rescheduleForward', tenant, { letter, nextAttempt }),
      deliverNotice: (tenant, notice, once) =>
        writer.call('deliverNotice', tenant, toWireNotice(notice, once)),
      recordFetched: (
        tenant,
        { staged, signatures, deposits, forward, hold, reverifyAt, material, notices, ...body },
      ) =>
        writer.call('recordFetched', tenant, {
          body,
          message: toWireMessage(staged),
          signatures: toWireSignatures(signatures),
          deposits,
          forward: forward ?? null,
          held: hold ?? false,
          reverifyAt: reverifyAt ?? null,
          notices: toWireNotices(notices),
          material: (material ?? []).map(({ type, object }) => ({ type, object: toWireObject(object) })),
        }),
      recordVerdict: (tenant, { material, nextAttempt, ...body }) =>
        writer.call('recordVerdict', tenant, {
          body,
          nextAttempt,
          material: material.map(({ type, object }) => ({ type, object: toWireObject(object) })),
        }),
      planReverification: (tenant, about, nextAttempt) =>
        writer.call('planReverification', tenant, { about, nextAttempt }),
      recordOverdue: (tenant, body) => writer.call('recordOverdue', tenant, body),
      recordLoginIntent: (tenant, body) => writer.call('recordLoginIntent', tenant, body),
      recordLoginOutcome: (tenant, body) => writer.call('recordLoginOutcome', tenant, body),
      recordDeletionIntent: (tenant, body) => writer.call('recordDeletionIntent', tenant, body),
      recordDeletionOutcome: (tenant, body) => writer.call('recordDeletionOutcome', tenant, body),
      recordOpened: (tenant, body) => writer.call('recordOpened', tenant, body),
      placeWaiting: (tenant, { deposits, forward, ...body }) =>
        writer.call('placeWaiting', tenant, { body, deposits, forward: forward ?? null }),
      setLock: (tenant, lock) => writer.call('setLock', tenant, lock),
      recordForwardIntent: (tenant, body) => writer.call('recordForwardIntent', tenant, body),
      recordForwardOutcome: (tenant, { nextAttempt, ...body }) =>
        writer.call('recordForwardOutcome', tenant, { body, nextAttempt: nextAttempt ?? null }),
      recordAccess: (tenant, body) => writer.call('recordAccess', tenant, body),
      recordOperation: (tenant, body) => writer.call('recordOperation', tenant, body),
      recordIncident: (tenant, body) => writer.call('recordIncident', tenant, body),
      recordArchiveTimestamp: (record) => writer.call('recordArchiveTimestamp', '', record),
      async rotateKeys(tenant, by, onProgress) {
        beginRotation(paths.keys, tenant);
        await keepRecovery(tenant);
        // Reads first: what the writer wraps by the new key must open from the first moment on.
        context.forgetKeys(tenant);
        await writer.call('takeKeys', tenant, undefined as never);
        await writer.call('recordRotation', tenant, by);
        const corrupt: string[] = [];
        let after = { entries: 0, objects: 0 };
        for (let done = false, rows = 0; !done; rows += rewrapBatch) {
          const step = await writer.call('rewrapKeys', tenant, { after, limit: rewrapBatch });
          ({ done } = step);
          after = step;
          corrupt.push(...step.corrupt);
          onProgress?.(rows);
        }
        endRotation(paths.keys, tenant);
        await keepRecovery(tenant);
        context.forgetKeys(tenant);
        await writer.call('takeKeys', tenant, undefined as never);
        return { corrupt };
      },
      finishArchiveToken: (id, token) => writer.call('finishArchiveToken', '', { id, token }),

      ensureMailboxes: (tenant, owner, names) => writer.call('ensureMailboxes', tenant, { owner, names }),
      async createMailbox(tenant, owner, name) {
        await writer.call('createMailbox', tenant, { owner, name });
        return (await mailboxes.mailbox(tenant, owner, name))!;
      },
      renameMailbox: (tenant, owner, from, to) => writer.call('renameMailbox', tenant, { owner, from, to }),
      deleteMailbox: (tenant, owner, name) => writer.call('deleteMailbox', tenant, { owner, name }),
      subscribeMailbox: (tenant, user, owner, name, subscribed) =>
        writer.call('subscribeMailbox', tenant, { user, owner, name, subscribed }),
      appendMessage: (tenant, mailbox, { message, flags, internalDate, ...filing }) =>
        writer.call('appendMessage', tenant, {
          mailbox,
          message: toWireMessage(message),
          flags,
          internalDate,
          filing,
        }),
      recordFingerprints: (tenant, mailbox, fingerprints) =>
        writer.call('recordFingerprints', tenant, { mailbox, fingerprints }),
      copyMessages: (tenant, from, uids, to, filing = {}) =>
        writer.call('copyMessages', tenant, { from, uids, to, filing }),
      moveMessages: (tenant, from, uids, to, filing = {}) =>
        writer.call('moveMessages', tenant, { from, uids, to, filing }),
      async changeFlags(tenant, mailbox, uids, change) {
        const { changed, refused } = await writer.call('changeFlags', tenant, { mailbox, uids, change });
        return { changed: await mailboxes.messageRows(tenant, mailbox, changed, change.user), refused };
      },
      expunge: (tenant, mailbox, uids) => writer.call('expunge', tenant, { mailbox, uids }),

      async rotateLogKey(tenant, rotation) {
        const rotated = await writer.call('rotateLogKey', tenant, rotation);
        await keepRecovery(tenant);
        return rotated;
      },
      holdLog: (tenant, hold) => writer.call('holdLog', tenant, hold),
      async releaseLog(tenant, source) {
        await writer.call('releaseLog', tenant, source);
        await eraseAgain(tenant);
      },
      async closeLog(tenant, closing) {
        const opened = await writer.call('closeLog', tenant, closing);
        await keepRecovery(tenant);
        await eraseAgain(tenant);
        return opened;
      },
      erase: (tenant, erasure) => writer.call('erase', tenant, erasure),
      holdLetters: (tenant, hold) =>
        writer.call('holdLetters', tenant, { letter: null, fileReference: null, ...hold }),
      proposeErasure: (tenant, proposal) => writer.call('proposeErasure', tenant, proposal),
      approveErasure: (tenant, approval) => writer.call('approveErasure', tenant, approval),
      withdrawErasure: (tenant, withdrawal) => writer.call('withdrawErasure', tenant, withdrawal),
      recordAnnounced: (tenant, letters) => writer.call('recordAnnounced', tenant, letters),
      recordCosigned: (tenant, cosigned) => writer.call('recordCosigned', tenant, cosigned),
      openSearchText: (tenant, edition) => writer.call('openSearchText', tenant, edition),
      dropSearchText: (tenant) => writer.call('dropSearchText', tenant, undefined as never),
      recordSearchTexts: async (tenant, texts, done, filled) =>
        writer.call('recordSearchTexts', tenant, {
          texts: await Promise.all(texts.map((text) => toWireSearchText(context.keys(tenant), text))),
          done,
          filled,
        }),

      async [Symbol.asyncDispose]() {
        await sweep.end();
        db.close();
        await writer.close();
      },
    };
  } catch (error) {
    db.close();
    await writer.close();
    throw error;
  }
}

/**
 * Opens the store for reading alone, also while a gateway runs on it.
 * @param loadKeys instead of the key folder
 * @param snapshot one state of the store for as long as it is open
 * @throws Error where there is no store.
 */
export function openSqliteReader(
  paths: StorePaths,
  loadKeys?: (tenant: string) => TenantKeys,
  snapshot = false,
): Reader & Disposable & { headProblems(tenant: string): readonly HeadProblem[] } {
  if (!existsSync(paths.file)) throw new Error(`${paths.file}: there is no store`);
  const db = new Database(paths.file, { readonly: true });
  db.pragma('busy_timeout = 10000');
  requireSchema(db);
  if (snapshot) db.exec('BEGIN');
  const context = createReadContext(db, paths.objects, paths.keys, loadKeys);
  return {
    ...evidenceReader(context),
    ...logReader(context),
    ...queueReader(context),
    ...judgementReader(context),
    ...archiveReader(context),
    ...scanReader(context),
    ...retentionReader(context),
    ...searchTextReader(context),
    ...mailboxReader(context),
    headProblems: (tenant) => checkHead(context, tenant, keptFiles(paths, tenant)),
    [Symbol.dispose]: () => void db.close(),
  };
}
