/** What verifying needs and what comes of it, in the words of ETSI EN 319 102-1. */
import type { CheckFact } from '../evidence/entry.ts';

/** One step of a verdict: what was looked at, how it came out, and why, in plain words. */
export interface CheckResult extends CheckFact {
  /** Stable name of this outcome for programs, such as `body-hash-differs`. The reason may be reworded, this not. */
  readonly code: string;
}

/** A certificate, CRL or OCSP response that a verdict rests on: kept, it lets the verdict be repeated offline. */
export interface Material {
  readonly kind: 'certificate' | 'crl' | 'ocsp';
  /** Lower-case hex SHA-256 of `der`. */
  readonly sha256: string;
  readonly der: Buffer;
}

export interface SignerFact {
  /** Distinguished names on one line. */
  readonly subject: string;
  readonly issuer: string;
  /** Lower-case hex. */
  readonly serial: string;
  /** Lower-case hex SHA-256 of the DER. */
  readonly certificateSha256: string;
}

/** How the integrity header protects: a hash alone says that nothing was damaged, not who wrote it. */
export type Protection = 'signed' | 'hash-only' | 'absent' | 'unreadable';

/**
 * `valid` is TOTAL-PASSED, `invalid` TOTAL-FAILED. Whatever could not be checked makes it `indeterminate`:
 * never valid.
 */
export interface VerdictReport {
  readonly verdict: 'valid' | 'indeterminate' | 'invalid';
  readonly checks: readonly CheckResult[];
  /** Who signed the header (or the XML, where an XML file was verified alone). */
  readonly signer?: SignerFact;
  /** RFC 3339 time that the signer claims. */
  readonly signedAt?: string;
  readonly integrity: Protection;
  readonly material: readonly Material[];
}

/** The roots that count. RFC 5280 6.1: an anchor is a name and a key that are trusted; its own dates say nothing. */
export interface TrustStore {
  /** DER of the certificates trusted for signatures made at that moment. */
  anchorsAt(moment: Date): readonly Buffer[];
  /** DER of certificates that may help to build a path; none of them is trusted for itself. */
  readonly intermediates: readonly Buffer[];
}

export interface RevocationData {
  readonly kind: 'crl' | 'ocsp';
  readonly der: Buffer;
}

/** What is asked of a source: the certificate and who issued it, as DER. */
export interface RevocationQuery {
  readonly certificate: Buffer;
  readonly issuer: Buffer;
}

/** Where CRLs and OCSP responses come from. Nothing that it returns is believed before it is verified. */
export interface RevocationSource {
  /** Never rejects: a source that cannot answer returns nothing. */
  find(query: RevocationQuery): Promise<readonly RevocationData[]>;
}

/** A verdict is as good as its worst check; without checks nothing was decided. */
export function verdictOf(checks: readonly CheckFact[]): VerdictReport['verdict'] {
  if (checks.some(({ result }) => result === 'failed')) return 'invalid';
  return checks.length === 0 || checks.some(({ result }) => result === 'undecided')
    ? 'indeterminate'
    : 'valid';
}
