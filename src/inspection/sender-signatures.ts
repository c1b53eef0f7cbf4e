/**
 * The signatures that a sender put into a message: found, verified by the tenant's anchors, and made ready to be
 * recorded with it. Nothing is refused because of them.
 */
import type { TenantConfig } from '../config/schema.ts';
import { check } from '../pki/check.ts';
import { type CmsVerdict, judgeCms } from '../pki/cms-verdict.ts';
import { type FoundSignature, findSignatures, mayHoldSignatures } from '../pki/embedded-signatures.ts';
import { readTrustFiles, revocationAtHand } from '../pki/revocation-sources.ts';
import type { Circumstances } from '../pki/signer.ts';
import type { Material } from '../pki/types.ts';
import type { StagedMessage, StagedObject, StagedSignature, Store } from '../store/store.ts';
import { createTurnstile } from '../turnstile.ts';

/** A CMS structure with its content inside stays in the message: nothing is kept twice for a signature. Bytes. */
const MAX_KEPT = 2 * 1024 * 1024;
/** A structure may take some 40 MiB while it is taken apart. */
const turnstile = createTurnstile(2);

export interface SignatureDeps {
  readonly store: Pick<Store, 'stage' | 'openStaged'>;
  /** Revocation data from the network is kept below it. */
  readonly dataDir: string;
}

export interface SenderSignatures {
  readonly signatures: readonly StagedSignature[];
  /** What the verdicts rest on. */
  readonly material: readonly Material[];
  /** Drops what was staged: for a message that is not recorded after all. */
  abort(): Promise<void>;
}

/**
 * Looks into a staged message. Where its structure has no part that could hold a signature, nothing is read.
 * @param time when the bytes are known to have existed: now
 * @throws what reading or writing the store throws
 */
export async function inspectSignatures(
  { store, dataDir }: SignatureDeps,
  tenant: TenantConfig,
  { object, index }: StagedMessage,
  time: Date,
): Promise<SenderSignatures> {
  const signatures: StagedSignature[] = [];
  const material = new Map<string, Material>();
  const staged: { abort(): Promise<void> }[] = [];
  const result = {
    signatures,
    get material() {
      return [...material.values()];
    },
    abort: async () => void (await Promise.all(staged.map((writer) => writer.abort()))),
  };
  if (!mayHoldSignatures(index)) return result;

  async function keep(cms: Buffer): Promise<StagedObject> {
    const writer = store.stage(tenant.id);
    staged.push(writer);
    await writer.write(cms);
    return await writer.finish();
  }

  return await turnstile.pass(async () => {
    try {
      const message = store.openStaged(object);
      const found = await findSignatures(index, (from, to) => message.read(from, to));
      if (found.length === 0) return result;
      const circumstances = await circumstancesOf(tenant, dataDir, time);
      for (const signature of found) {
        const { cms } = signature;
        const object = cms === null || cms.length === 0 || cms.length > MAX_KEPT ? null : await keep(cms);
        const verdict = await judge(signature, circumstances);
        for (const item of verdict?.material ?? []) material.set(item.sha256, item);
        signatures.push(toRecord(signature, verdict, object));
      }
      return result;
    } catch (error) {
      await result.abort();
      throw error;
    }
  });
}

/** Null for a signed PDF: it is recognised, not verified. */
async function judge(
  { kind, report }: FoundSignature,
  circumstances: Circumstances,
): Promise<CmsVerdict | null> {
  if (kind === 'pdf') return null;
  if (report !== null) {
    return await judgeCms(report, circumstances).catch((error: unknown): CmsVerdict => {
      // Verifying may fail, storing must not.
      const reason = `the signer could not be verified: ${String(error)}`;
      return {
        verdict: 'indeterminate',
        checks: [...report.checks, check('signer', 'undecided', reason)],
        material: [],
      };
    });
  }
  const checks = [check('cms-form', 'undecided', 'it is too large to be opened')];
  return { verdict: 'indeterminate', checks, material: [] };
}

function toRecord(
  { kind, part, sha256, signer, report }: FoundSignature,
  judged: CmsVerdict | null,
  object: StagedObject | null,
): StagedSignature {
  const signedAt = report?.signers[0]?.signingTime ?? null;
  const checks = judged?.checks.map(({ name, result, reason }) => {
    return { name, result, reason: reason.slice(0, 500) };
  });
  return {
    kind,
    part,
    sha256,
    signer,
    verdict: judged?.verdict ?? 'not-checked',
    ...(checks === undefined ? {} : { checks }),
    ...(signedAt === null ? {} : { signedAt }),
    ...(object === null ? {} : { object }),
  };
}

async function circumstancesOf(
  { senderSignatures, provider }: TenantConfig,
  dataDir: string,
  time: Date,
): Promise<Circumstances> {
  // Anchors that cannot be read make a signature undecided; the mail goes its way.
  const trust = await readTrustFiles(senderSignatures.anchors).catch(() => ({
    anchorsAt: () => [],
    intermediates: [],
  }));
  return { trust, revocation: await revocationAtHand(dataDir, provider.revocation.folder), time };
}
