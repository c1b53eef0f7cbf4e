/** Binds a confirmation to what was handed over: reads both from the store and compares (demail/binding.ts). */
import { createHash } from 'node:crypto';
import {
  compareBinding,
  compareSentCopy,
  countsBy,
  type HandedOver,
  type OriginalStatement,
} from '../demail/binding.ts';
import { createBodyHash, type IntegrityHash } from '../demail/integrity.ts';
import type { CheckFact, Entry, HandoverIntentEntry, SubmissionEntry } from '../evidence/entry.ts';
import { type HeaderField, headerEnd, parseHeader } from '../mime/header.ts';
import { readCertificate } from '../pki/certificate.ts';
import { originalHeaderHash } from '../pki/original-header.ts';
import { verifySignature } from '../pki/signature.ts';
import type { Store } from '../store/store.ts';
import { type Judgement, signatureStanding } from './judge.ts';
import type { Match } from './match.ts';
import type { Reading } from './reading.ts';

export interface Binding {
  readonly counts: 'yes' | 'provisional' | 'no';
  readonly comparisons: readonly CheckFact[];
}

export interface Binder {
  confirmation(
    reading: Reading,
    match: Match,
    recipients: readonly string[],
    judgement: Judgement,
  ): Promise<Binding>;
  /** Every difference between the provider's Sent copy and the attempt that it fits best. */
  sentCopy(match: Match, fields: readonly HeaderField[], bodySha256: string | null): Promise<CheckFact[]>;
}

type Intent = Entry & HandoverIntentEntry;
type Letter = Entry & SubmissionEntry;

/** Body digests kept: one letter has a confirmation of each kind and recipient. */
const MOST_DIGESTS = 256;

export function createBinder(store: Store, tenant: string): Binder {
  const digests = new Map<string, Buffer>();

  async function intentsOf(match: Match): Promise<Intent[]> {
    const timeline = await store.timeline(tenant, match.letter);
    return timeline.filter(
      (e): e is Intent => e.kind === 'handover-intent' && e.transaction === match.transaction,
    );
  }

  async function fieldsOf({ handed }: Intent): Promise<readonly HeaderField[]> {
    const object = await store.object(tenant, handed.header.object);
    if (object === null) return [];
    const chunks: Buffer[] = [];
    for await (const chunk of object.read()) chunks.push(chunk);
    return parseHeader(Buffer.concat(chunks));
  }

  /** The body is the submitted object's from `bodyFrom` on; streamed, and computed once per algorithm. */
  async function bodyDigest(
    letter: Letter,
    { handed }: Intent,
    algorithm: IntegrityHash | 'plain',
  ): Promise<Buffer | null> {
    const key = `${letter.message.object}/${handed.bodyFrom}/${algorithm}`;
    const kept = digests.get(key);
    if (kept !== undefined) return kept;
    const object = await store.object(tenant, letter.message.object);
    if (object === null) return null;
    const plain = createHash('sha256');
    const hash =
      algorithm === 'plain'
        ? { push: (chunk: Uint8Array) => void plain.update(chunk), digest: () => plain.digest() }
        : createBodyHash(algorithm);
    for await (const chunk of object.read(handed.bodyFrom)) hash.push(chunk);
    const digest = hash.digest();
    if (digests.size >= MOST_DIGESTS) digests.delete(digests.keys().next().value!);
    digests.set(key, digest);
    return digest;
  }

  return {
    async confirmation(reading, match, recipients, judgement) {
      const standing = signatureStanding(judgement);
      const stated = readOriginal(reading);
      const attempts: HandedOver[] = [];
      for (const intent of await intentsOf(match)) {
        attempts.push({
          attempt: intent.attempt,
          privateId: match.submission.transactions.find((t) => t.id === match.transaction)!.privateId,
          sender: match.submission.sender,
          fields: await fieldsOf(intent),
          bodyHash: stated.ok ? await bodyDigest(match.submission, intent, stated.hash) : null,
          recipients: intent.recipients,
        });
      }
      const { privateId } = reading.metadata;
      const compared = compareBinding({ original: stated, recipients, privateId }, attempts);
      const comparisons = [standing, ...compared].map((c) => ({ ...c, reason: c.reason.slice(0, 500) }));
      return { counts: countsBy(comparisons), comparisons };
    },

    async sentCopy(match, fields, bodySha256) {
      let best: CheckFact[] | null = null;
      const failures = (list: readonly CheckFact[]) => list.filter((c) => c.result === 'failed').length;
      for (const intent of await intentsOf(match)) {
        const body = await bodyDigest(match.submission, intent, 'plain');
        const compared = compareSentCopy(
          { fields, bodySha256: bodySha256 ?? '' },
          { fields: await fieldsOf(intent), bodySha256: body?.toString('hex') ?? '' },
        );
        if (best === null || failures(compared) <= failures(best)) best = compared;
      }
      return best ?? [];
    },
  };
}

function readOriginal({ confirmation }: Reading): OriginalStatement & { readonly hash: IntegrityHash } {
  const unread = { ok: false, hash: 'sha256' } as const;
  if (confirmation === null) return { ...unread, reason: 'its XML cannot be read' };
  const original = originalHeaderHash(confirmation.original, confirmation.hash);
  if (!original.ok) return { ...unread, reason: original.reason };
  const { value, headerHash, covered, fits } = original;
  return {
    ok: true,
    hash: value.hash,
    algorithm: value.scheme === null ? value.hash : `${value.hash}/${value.scheme}`,
    bodyHash: value.bodyHash,
    headerHash,
    isSigned: value.scheme !== null,
    headerFits: fits ?? signatureFits(original),
    covered,
  };
}

function signatureFits({
  value,
  certificate,
  signedBytes,
}: Extract<ReturnType<typeof originalHeaderHash>, { ok: true }>): boolean {
  const signer = certificate === null ? null : readCertificate(certificate);
  if (signer === null || value.scheme === null) return false;
  try {
    return verifySignature(value.scheme, value.hash, signer.x509.publicKey, signedBytes, value.value).ok;
  } catch {
    // OpenSSL does not take every key: explicit curve parameters, say.
    return false;
  }
}

/** Longest header of a Sent copy that is compared. */
const LONGEST_HEADER = 1024 * 1024;

/** SHA-256 of a message's body while it passes; null where its header has no end in sight. */
export function createBodyDigest(): { push(chunk: Uint8Array): void; finish(): string | null } {
  const hash = createHash('sha256');
  let header: Buffer | null = Buffer.alloc(0);
  return {
    push(chunk) {
      if (header === null) return void hash.update(chunk);
      if (header.length > LONGEST_HEADER) return;
      header = Buffer.concat([header, chunk]);
      const end = headerEnd(header);
      if (end === header.length) return;
      hash.update(header.subarray(end));
      header = null;
    },
    finish: () => (header !== null && header.length > LONGEST_HEADER ? null : hash.digest('hex')),
  };
}
