/** Binds a confirmation to what was handed over: reads both from the store and compares (demail/binding.ts). */
import { createHash } from 'node:crypto';
import {
  compareBinding,
  compareReceived,
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
import type { Match, ReceivedMatch } from './match.ts';
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
  /** The same for a confirmation about a De-Mail that the tenant received. */
  received(
    reading: Reading,
    match: ReceivedMatch,
    recipients: readonly string[],
    judgement: Judgement,
  ): Promise<Binding>;
  /** Every difference between the provider's Sent copy and the attempt that it fits best. */
  sentCopy(match: Match, fields: readonly HeaderField[], bodySha256: string | null): Promise<CheckFact[]>;
}

type Intent = Entry & HandoverIntentEntry;
type Letter = Entry & SubmissionEntry;

/** Name of the comparison that finds an earlier confirmation saying the same. */
export const REPEATED = 'repeated';

/** Body digests kept: one letter has a confirmation of each kind and recipient. */
const MOST_DIGESTS = 256;

export function createBinder(store: Store, tenant: string): Binder {
  const digests = new Map<string, Buffer>();

  async function intentsOf(match: Match): Promise<Intent[]> {
    return intentsIn(await store.timeline(tenant, match.letter), match);
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

  /** Header and digest of the body of a message as it lies in the store. */
  async function partsOf(object: string, algorithm: IntegrityHash) {
    const stored = await store.object(tenant, object);
    if (stored === null) return { fields: [], bodyHash: null };
    const hash = createBodyHash(algorithm);
    let header = Buffer.alloc(0);
    let end: number | null = null;
    for await (const chunk of stored.read()) {
      if (end !== null) {
        hash.push(chunk);
        continue;
      }
      header = Buffer.concat([header, chunk]);
      const found = headerEnd(header);
      if (found < header.length) {
        end = found;
        hash.push(header.subarray(end));
      } else if (header.length > LONGEST_HEADER) return { fields: [], bodyHash: null };
    }
    return { fields: parseHeader(header.subarray(0, end ?? header.length)), bodyHash: hash.digest() };
  }

  function weighed(standing: CheckFact, compared: readonly CheckFact[]): Binding {
    const comparisons = [standing, ...compared].map((c) => ({ ...c, reason: c.reason.slice(0, 500) }));
    return { counts: countsBy(comparisons), comparisons };
  }

  return {
    async received(reading, { entry, recipients: known }, recipients, judgement) {
      const original = readOriginal(reading);
      const letter = await partsOf(entry.message.object, original.hash);
      const { privateId } = reading.metadata;
      const compared = compareReceived({ original, recipients, privateId }, { ...letter, recipients: known });
      return weighed(signatureStanding(judgement), compared);
    },

    async confirmation(reading, match, recipients, judgement) {
      const standing = signatureStanding(judgement);
      const stated = readOriginal(reading);
      const attempts: HandedOver[] = [];
      const timeline = await store.timeline(tenant, match.letter);
      for (const intent of intentsIn(timeline, match)) {
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
      return weighed(standing, [...compared, ...repeated(timeline, match, reading, recipients)]);
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

function intentsIn(timeline: readonly Entry[], { transaction }: Match): Intent[] {
  return timeline.filter((e): e is Intent => e.kind === 'handover-intent' && e.transaction === transaction);
}

/**
 * Another confirmation of that kind, under a Message-ID of its own: true perhaps, as where a letter was sent again in
 * doubt, but two moments for one step. Copies of one confirmation, as sender and recipient get them, share theirs.
 */
function repeated(
  timeline: readonly Entry[],
  { transaction }: Match,
  { confirmationType, header }: Reading,
  recipients: readonly string[],
): CheckFact[] {
  const before = timeline.find(
    (e) =>
      e.kind === 'confirmation' &&
      e.transaction === transaction &&
      e.confirmation === confirmationType &&
      e.counts !== 'no' &&
      e.header.messageId !== header.messageId &&
      e.recipients.some((address) => recipients.includes(address)),
  );
  if (before?.kind !== 'confirmation') return [];
  const reason = `entry ${before.index} confirmed it before, with the time ${before.statedTime ?? '(none)'}`;
  return [{ name: REPEATED, result: 'passed', reason }];
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

/** Longest header that is compared. */
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
