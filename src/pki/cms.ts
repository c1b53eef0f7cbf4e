/** CMS signatures (RFC 5652): S/MIME and .p7s. What pkijs would leave unchecked is checked here. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { CheckFact } from '../evidence/entry.ts';
import { type CmsSignerInfo, readSignedData } from './cms-structure.ts';
import { fitsKey, type SignatureHash } from './signature-value.ts';

export interface CmsInput {
  /** BER, DER or PEM. */
  readonly cms: Buffer;
  /**
   * Digest of the content that a detached signature speaks of; asked for only where it is needed. Null: there
   * is no such content.
   */
  readonly contentDigest?: (hash: SignatureHash) => Promise<Buffer | null>;
}

/** One signer, and how far the signature is theirs. Whether anyone trusts the certificate is not said here. */
export interface CmsSigner {
  /** DER; null where the signature does not bring the certificate along. */
  readonly certificate: Buffer | null;
  /** Distinguished name on one line, or null. */
  readonly subject: string | null;
  /** RFC 3339 time that the signer claims, or null. */
  readonly signingTime: string | null;
  readonly checks: readonly CheckFact[];
}

export interface CmsReport {
  /** True where every signer's signature fits the content. */
  readonly intact: boolean;
  /** True where the content is inside the CMS structure. */
  readonly opaque: boolean;
  /** The checks of all signers, or the one that says why nothing could be read. */
  readonly checks: readonly CheckFact[];
  readonly signers: readonly CmsSigner[];
  /** DER, all that came along: help for building chains. */
  readonly certificates: readonly Buffer[];
  readonly crls: readonly Buffer[];
  /** What was signed, where it is inside. */
  readonly content: Buffer | null;
}

/** Verifies every signer of a CMS SignedData against the content. Total: hostile input is an answer. */
export async function verifyCms({ cms, contentDigest }: CmsInput): Promise<CmsReport> {
  const read = readSignedData(cms);
  if (!read.ok) {
    const checks: CheckFact[] = [{ name: 'cms-form', result: 'failed', reason: read.reason }];
    return { intact: false, opaque: false, checks, signers: [], certificates: [], crls: [], content: null };
  }
  const { data } = read;
  const digestOf = async (hash: SignatureHash) =>
    data.content === null
      ? ((await contentDigest?.(hash)) ?? null)
      : createHash(hash).update(data.content).digest();
  const signers: CmsSigner[] = [];
  for (const info of data.signers) {
    const checks = await checkSigner(info, data.contentType, digestOf);
    signers.push({
      certificate: info.certificate?.raw ?? null,
      subject: info.certificate === null ? null : oneLine(info.certificate.subject),
      signingTime: info.signingTime?.toISOString() ?? null,
      checks,
    });
  }
  const checks = signers.flatMap((signer) => signer.checks);
  return {
    intact: checks.every(({ result }) => result === 'passed'),
    opaque: data.content !== null,
    checks,
    signers,
    certificates: data.certificates,
    crls: data.crls,
    content: data.content,
  };
}

type Digest = (hash: SignatureHash) => Promise<Buffer | null>;

async function checkSigner(info: CmsSignerInfo, contentType: string, digestOf: Digest): Promise<CheckFact[]> {
  const { digest, scheme, signedBytes, messageDigest, certificate } = info;
  const fail = (name: string, reason: string): CheckFact[] => [{ name, result: 'failed', reason }];
  if (digest === null || scheme === null) {
    return fail('cms-algorithm', `algorithms ${info.algorithms} are not permitted`);
  }
  // Without signed attributes, content that looks like attributes could be passed off as such (RFC 8933 3).
  if (signedBytes === null) return fail('cms-attributes', 'nothing but the content is signed, no attributes');
  if (info.contentType !== contentType) {
    return fail('cms-attributes', 'the signed content type is missing or another than the content has');
  }
  if (messageDigest === null) return fail('cms-attributes', 'no digest of the content is signed');
  const attributes: CheckFact = {
    name: 'cms-attributes',
    result: 'passed',
    reason: 'content type and digest are signed',
  };
  const actual = await digestOf(digest);
  if (actual === null) {
    const reason = 'the content that was signed is not there';
    return [attributes, { name: 'cms-content', result: 'undecided', reason }];
  }
  if (actual.length !== messageDigest.length || !timingSafeEqual(actual, messageDigest)) {
    return [attributes, ...fail('cms-content', 'the content is not what was signed: its digest differs')];
  }
  const content: CheckFact = {
    name: 'cms-content',
    result: 'passed',
    reason: `the content has the signed ${digest} digest`,
  };
  if (certificate === null) {
    const reason = "the signer's certificate did not come along";
    return [attributes, content, { name: 'cms-signature', result: 'undecided', reason }];
  }
  let fits = false;
  try {
    fits = fitsKey(scheme, certificate.publicKey, signedBytes, info.signature, 'der');
  } catch {
    // OpenSSL cannot use the key: a curve with explicit parameters, say.
  }
  const signature: CheckFact = fits
    ? {
        name: 'cms-signature',
        result: 'passed',
        reason: `signed with the key of ${oneLine(certificate.subject)}`,
      }
    : {
        name: 'cms-signature',
        result: 'failed',
        reason: "the signature was not made by the certificate's key",
      };
  return [attributes, content, signature];
}

/** node:crypto parts a name by line breaks. */
function oneLine(name: string | undefined): string {
  return (name ?? '').split('\n').join(', ').slice(0, 500);
}
