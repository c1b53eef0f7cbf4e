/** From a certificate to an anchor: building paths and validating them (RFC 5280 6, EN 319 102-1 5.2.6). */
import type { BasicConstraints } from 'pkijs';
import {
  type Certificate,
  isNamedIssuer,
  isSignedBy,
  mayKey,
  OID,
  purposesOf,
  readCertificate,
} from './certificate.ts';
import { check } from './check.ts';
import type { CheckResult, TrustStore } from './types.ts';

/** Longer paths do not occur in qualified PKIs; certificates come from outside, and so does the work they make. */
const MAX_PATH = 8;
const MAX_SIGNATURES = 64;

export interface ChainInput {
  readonly leaf: Certificate;
  /** DER of certificates that came along. None of them is trusted for that. */
  readonly others: readonly Buffer[];
  readonly trust: TrustStore;
  /** When the signature was made, as its signer claims. */
  readonly signedAt: Date;
  /** When the signature is known to have existed. */
  readonly time: Date;
  /** What the leaf signs. A time-stamp authority's purpose is checked with its token. Default: messages and documents. */
  readonly purpose?: 'documents' | 'timestamps';
}

export interface ChainReport {
  /** From the leaf to the anchor, or null where none leads to one. */
  readonly path: readonly Certificate[] | null;
  readonly checks: readonly CheckResult[];
}

/**
 * Finds the best path from a signer's certificate to an anchor and says what holds it up. An anchor is a name
 * and a key that are trusted (RFC 5280 6.1.1 d): its own validity says nothing.
 */
export function buildChain(input: ChainInput): ChainReport {
  const { leaf, trust, signedAt } = input;
  const anchors = trust.anchorsAt(signedAt).map(readCertificate).filter(isCertificate);
  const others = [...input.others, ...trust.intermediates]
    .slice(0, 256)
    .map(readCertificate)
    .filter(isCertificate);
  const { paths, problem } = findPaths(leaf, anchors, others);
  if (paths.length === 0) {
    const why =
      problem ?? `no configured anchor issued it, and none of ${others.length} other certificates did`;
    const reason = `no path from ${nameOf(leaf)} to an anchor: ${why}`;
    return { path: null, checks: [check('certificate-chain', 'undecided', reason, 'chain-no-anchor')] };
  }
  const judged = paths.map((path) => ({ path, problems: validate(path, input) }));
  const weight = ({ problems }: (typeof judged)[number]) =>
    problems.reduce((sum, { result }) => sum + (result === 'failed' ? 100 : 1), 0);
  const [first, ...rest] = judged;
  const best = rest.reduce((kept, next) => (weight(next) < weight(kept) ? next : kept), first!);
  if (best.problems.length > 0) return { path: best.path, checks: best.problems };
  const names = best.path.map(nameOf).join(' < ');
  return { path: best.path, checks: [check('certificate-chain', 'passed', `valid when signed: ${names}`)] };
}

function findPaths(
  leaf: Certificate,
  anchors: readonly Certificate[],
  others: readonly Certificate[],
): { readonly paths: Certificate[][]; readonly problem: string | null } {
  const paths: Certificate[][] = [];
  let signatures = 0;
  let problem: string | null = null;
  if (anchors.some(({ sha256 }) => sha256 === leaf.sha256)) return { paths: [[leaf]], problem };

  function extend(path: readonly Certificate[]): void {
    const last = path.at(-1)!;
    for (const [candidates, isAnchor] of [
      [anchors, true],
      [others, false],
    ] as const) {
      for (const issuer of candidates) {
        if (path.some(({ sha256 }) => sha256 === issuer.sha256) || !isNamedIssuer(last, issuer)) continue;
        if (signatures === MAX_SIGNATURES || path.length === MAX_PATH) {
          problem = 'the search for one was given up: too many or too long paths';
          return;
        }
        signatures += 1;
        const signed = isSignedBy(last, issuer);
        if (!signed.ok) problem ??= `${nameOf(issuer)} did not issue ${nameOf(last)}: ${signed.reason}`;
        else if (isAnchor) paths.push([...path, issuer]);
        else extend([...path, issuer]);
      }
    }
  }
  extend([leaf]);
  return { paths, problem };
}

/** Everything that is wrong with a path whose signatures fit. */
function validate(path: readonly Certificate[], { signedAt, time, purpose }: ChainInput): CheckResult[] {
  const problems: CheckResult[] = [];
  const add = (result: 'failed' | 'undecided', code: string, reason: string) =>
    problems.push(check('certificate-chain', result, reason, code));
  const trusted = path.length - 1;
  for (const [index, certificate] of path.entries()) {
    const name = nameOf(certificate);
    if (index !== trusted) {
      const { notBefore, notAfter } = certificate;
      if (signedAt < notBefore) {
        const reason = `${name} is valid from ${iso(notBefore)} on, signed ${iso(signedAt)}`;
        add('failed', 'certificate-not-yet-valid', reason);
      } else if (signedAt > notAfter) {
        add('failed', 'certificate-expired', `${name} expired ${iso(notAfter)}, signed ${iso(signedAt)}`);
      } else if (time > notAfter) {
        // EN 319 102-1 OUT_OF_BOUNDS_NO_POE: whoever has the key of an expired certificate can date back.
        const reason = `${name} expired ${iso(notAfter)}; nothing shows that the signature existed before`;
        add('undecided', 'certificate-expired-since', reason);
      }
      const unknown = unknownCritical(certificate);
      if (unknown !== null) add('undecided', 'certificate-unknown-critical', `${name} has ${unknown}`);
    }
    if (index > 0) {
      const wrong = wrongAsIssuer(certificate, path.slice(1, index));
      if (wrong !== null) add('failed', 'certificate-no-authority', `${name} ${wrong}`);
    }
  }
  const wrong = purpose === 'timestamps' ? null : wrongPurpose(path[0]!);
  if (wrong !== null) add('failed', 'certificate-purpose', `${nameOf(path[0]!)} ${wrong}`);
  return problems;
}

/** RFC 5280 6.1.4 k to n. `below`: the authorities between it and the leaf. */
function wrongAsIssuer(certificate: Certificate, below: readonly Certificate[]): string | null {
  const constraints = certificate.extensions.get(OID.basicConstraints)?.parsedValue as
    | BasicConstraints
    | undefined;
  // Version 1 has no extensions: such a certificate can be an anchor, and nothing but an anchor is made by hand.
  const isVersion1 = certificate.parsed.version === 0;
  const isSelfSigned = certificate.parsed.issuer.isEqual(certificate.parsed.subject);
  if (constraints?.cA !== true && !(isVersion1 && isSelfSigned))
    return 'is no authority, but issued a certificate';
  if (mayKey(certificate, 5) === false) return 'may not issue certificates: its key usage says so';
  const limit = constraints?.pathLenConstraint;
  if (limit === undefined) return null;
  const most = typeof limit === 'number' ? limit : Number.MAX_SAFE_INTEGER;
  // Self-issued certificates (key rollover) do not count: RFC 5280 4.2.1.9.
  const counted = below.filter(({ parsed }) => !parsed.issuer.isEqual(parsed.subject)).length;
  return counted > most ? `allows ${most} authorities below it, there are ${counted}` : null;
}

/** Critical extensions that are taken into account here, or that change nothing without demanded policies. */
const understood = new Set<string>([
  OID.keyUsage,
  OID.basicConstraints,
  OID.extendedKeyUsage,
  OID.policies,
  OID.policyMappings,
  OID.inhibitAnyPolicy,
  OID.subjectKeyIdentifier,
  OID.authorityKeyIdentifier,
  OID.subjectAltName,
  OID.issuerAltName,
  OID.crlDistributionPoints,
  OID.authorityInfoAccess,
  OID.qcStatements,
  OID.ocspNoCheck,
]);

function unknownCritical({ extensions }: Certificate): string | null {
  // Name constraints bind whether critical or not (RFC 5280 4.2.1.10); they are not evaluated, so nothing is concluded.
  if (extensions.has(OID.nameConstraints)) return 'name constraints, which are not evaluated';
  for (const { extnID, critical } of extensions.values()) {
    if (critical && !understood.has(extnID)) return `a critical extension that is not understood (${extnID})`;
  }
  return null;
}

const ANY_PURPOSE = '2.5.29.37.0';
/** E-mail protection, document signing (RFC 9336), and what Microsoft and Adobe call so. */
const signingPurposes = new Set([
  ANY_PURPOSE,
  '1.3.6.1.5.5.7.3.4',
  '1.3.6.1.5.5.7.3.36',
  '1.3.6.1.4.1.311.10.3.12',
  '1.2.840.113583.1.1.5',
]);

function wrongPurpose(leaf: Certificate): string | null {
  if (mayKey(leaf, 0) === false && mayKey(leaf, 1) === false) {
    return 'is for something else than signing: its key usage says so';
  }
  const purposes = purposesOf(leaf);
  if (purposes === null || purposes.some((purpose) => signingPurposes.has(purpose))) return null;
  return `is not for signing messages or documents: its purposes are ${purposes.join(', ').slice(0, 200)}`;
}

/** The common name, or the whole distinguished name. */
export function nameOf({ x509 }: Certificate): string {
  const subject = x509.subject ?? '';
  return JSON.stringify((/^CN=(.*)$/m.exec(subject)?.[1] ?? subject.split('\n').join(', ')).slice(0, 120));
}

function iso(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}

function isCertificate(value: Certificate | null): value is Certificate {
  return value !== null;
}
