/** Signatures that the sender put into a message, for `verify`: shown beside the verdict, which is the provider's. */
import { createReadStream } from 'node:fs';
import { createIndexer } from '../mime/structure.ts';
import { judgeCms } from '../pki/cms-verdict.ts';
import { findSignatures, mayHoldSignatures } from '../pki/embedded-signatures.ts';
import type { Circumstances } from '../pki/signer.ts';
import type { CheckResult } from '../pki/types.ts';

export interface ShownSignature {
  readonly kind: string;
  readonly part: string;
  readonly sha256: string;
  readonly signer: string | null;
  readonly signedAt: string | null;
  /** Null for what is recognised only: signed PDF. */
  readonly verdict: 'valid' | 'indeterminate' | 'invalid' | null;
  readonly checks: readonly CheckResult[];
}

export async function senderSignatures(
  file: string,
  circumstances: Circumstances,
): Promise<ShownSignature[]> {
  const indexer = createIndexer();
  for await (const chunk of createReadStream(file)) indexer.push(chunk as Buffer);
  const index = indexer.finish();
  if (!mayHoldSignatures(index)) return [];
  const found = await findSignatures(index, async function* (start, end) {
    // `end` of a stream is inclusive, and an empty range cannot be asked for.
    if (end > start) yield* createReadStream(file, { start, end: end - 1 }) as AsyncIterable<Buffer>;
  });
  const shown: ShownSignature[] = [];
  for (const { kind, part, sha256, signer, report } of found) {
    const judged = report === null ? null : await judgeCms(report, circumstances);
    shown.push({
      kind,
      part,
      sha256,
      signer,
      signedAt: report?.signers[0]?.signingTime ?? null,
      verdict: judged?.verdict ?? (kind === 'pdf' ? null : 'indeterminate'),
      checks: judged?.checks ?? [],
    });
  }
  return shown;
}
