/** CMS signatures (RFC 5652): S/MIME and .p7s. What pkijs would leave unchecked is checked here. */
import { createHash, type KeyObject, type X509Certificate } from 'node:crypto';
import type { IntegrityHash } from '../demail/integrity.ts';
import { check } from './check.ts';
import { type CmsSignerInfo, readSignedData } from './cms-structure.ts';
import { verifySignature } from './signature.ts';
import type { CheckResult } from './types.ts';

export interface CmsInput {
  /** BER, DER or PEM. */
  readonly cms: Buffer;
  /**
   * Digest of the content that a detached signature speaks of; asked for only where it is needed. Null: there
   * is no such content.
   */
  readonly contentDigest?: (hash: IntegrityHash) => Promise<Buffer | null>;
}

/** One signer, and how far the signature is theirs. Whether anyone trusts the certificate is not said here. */
export interface CmsSigner {
  /** DER; null where the signature does not bring the certificate along. */
  readonly certificate: Buffer | null;
  /** Distinguished name on one line, or null. */
  readonly subject: string | null;
  /** RFC 3339 time that the signer claims, or null. */
  readonly signingTime: string | null;
  readonly checks: readonly CheckResult[];
}

export interface CmsReport {
  /** True where every signer's signature fits the content. */
  readonly intact: boolean;
  /** True where the content is inside the CMS structure. */
  readonly opaque: boolean;
  /** The checks of all signers, or the one that says why nothing could be read. */
  readonly checks: readonly CheckResult[];
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
    const checks = [check('cms-form', 'failed', read.reason)];
    return { intact: false, opaque: false, checks, signers: [], certificates: [], crls: [], content: null };
  }
  const { data } = read;
  const digestOf = async (hash: IntegrityHash) =>
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

type Digest = (hash: IntegrityHash) => Promise<Buffer | null>;

async function checkSigner(
  info: CmsSignerInfo,
  contentType: string,
  digestOf: Digest,
): Promise<CheckResult[]> {
  const { digest, scheme, signedBytes, messageDigest, certificate } = info;
  if (digest === null || scheme === null) {
    return [check('cms-algorithm', 'failed', `algorithms ${info.algorithms} are not permitted`)];
  }
  const attributes = (result: CheckResult['result'], reason: string) =>
    check('cms-attributes', result, reason);
  // Without signed attributes, content that looks like attributes could be passed off as such (RFC 8933 3).
  if (signedBytes === null) return [attributes('failed', 'the content alone is signed, no attributes')];
  if (info.contentType !== contentType) {
    return [attributes('failed', 'the signed content type is missing or another than the content has')];
  }
  if (messageDigest === null) return [attributes('failed', 'no digest of the content is signed')];
  const checks = [attributes('passed', 'content type and digest are signed')];
  const actual = await digestOf(digest);
  if (actual === null) {
    return [...checks, check('cms-content', 'undecided', 'the content that was signed is not there')];
  }
  if (!actual.equals(messageDigest)) {
    return [
      ...checks,
      check('cms-content', 'failed', 'the content is not what was signed: its digest differs'),
    ];
  }
  checks.push(check('cms-content', 'passed', `the content has the signed ${digest} digest`));
  if (certificate === null) {
    return [...checks, check('cms-signature', 'undecided', "the signer's certificate did not come along")];
  }
  const key = publicKeyOf(certificate);
  if (key === null)
    return [...checks, check('cms-signature', 'failed', "the certificate's key cannot be used")];
  const fits = verifySignature(scheme.scheme, scheme.hash, key, signedBytes, info.signature);
  return [
    ...checks,
    fits.ok
      ? check('cms-signature', 'passed', `signed with the key of ${oneLine(certificate.subject)}`)
      : check('cms-signature', 'failed', fits.reason),
  ];
}

/** Null where OpenSSL does not know the key: a curve with explicit parameters, say. */
function publicKeyOf(certificate: X509Certificate): KeyObject | null {
  try {
    return certificate.publicKey;
  } catch {
    return null;
  }
}

/** node:crypto parts a name by line breaks. */
function oneLine(name: string | undefined): string {
  return (name ?? '').split('\n').join(', ').slice(0, 500);
}
