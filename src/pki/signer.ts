/** Whether a signer's certificate counts: its path to an anchor and its revocation, the same for every kind of signature. */
import { type Certificate, materialOf } from './certificate.ts';
import { buildChain } from './chain.ts';
import { check } from './check.ts';
import { checkRevocation } from './revocation.ts';
import { revocationFrom, revocationMemory } from './revocation-sources.ts';
import type { SignerPin } from './signer-pins.ts';
import type { CheckResult, Material, RevocationSource, TrustStore } from './types.ts';

/** Clocks of signers and ours may differ by that much. */
const CLOCK_SKEW_MS = 5 * 60_000;

export interface Circumstances {
  readonly trust: TrustStore;
  readonly revocation: RevocationSource;
  /**
   * A moment at which the bytes are known to have existed: when they were fetched, say; for a file of unknown
   * origin the present. The signer claims the time of signing, and whoever stole a key can date back; what
   * happened to the key between claim and this moment is therefore a doubt (EN 319 102-1 5.6).
   */
  readonly time: Date;
  /** Who signs for which provider; absent or empty: whoever has a path to an anchor. */
  readonly pins?: readonly SignerPin[];
}

export interface SignerInput {
  readonly signer: Certificate;
  /** DER of certificates that came along; none of them is trusted for that. */
  readonly others: readonly Buffer[];
  /** DER of CRLs that came along; verified like any other. */
  readonly crls?: readonly Buffer[];
  /** When it was signed, as the signer claims; null: nothing is claimed. */
  readonly claimed: Date | null;
}

export interface SignerReport {
  readonly checks: readonly CheckResult[];
  /** The certificates of the path, and the revocation data that the checks rest on. */
  readonly material: readonly Material[];
}

export async function checkSigner(
  { signer, others, crls = [], claimed }: SignerInput,
  { trust, revocation, time }: Circumstances,
): Promise<SignerReport> {
  const checks: CheckResult[] = [];
  if (claimed === null) {
    const reason = 'no time of signing is stated, so the present is taken';
    checks.push(check('signing-time', 'undecided', reason));
  } else if (claimed.getTime() > time.getTime() + CLOCK_SKEW_MS) {
    const reason = `signed ${claimed.toISOString()}, it says, after the moment it is judged at (${time.toISOString()})`;
    checks.push(check('signing-time', 'undecided', reason, 'signing-time-ahead'));
  }
  const signedAt = claimed ?? time;
  const chain = buildChain({ leaf: signer, others, trust, signedAt, time });
  checks.push(...chain.checks);
  const material = (chain.path ?? [signer]).map(({ der }) => materialOf('certificate', der));
  if (chain.path === null) return { checks, material };
  const brought = revocationMemory(crls.map((der) => ({ kind: 'crl', der })));
  const source = crls.length === 0 ? revocation : revocationFrom(brought, revocation);
  const revoked = await checkRevocation({ path: chain.path, source, signedAt, time });
  return { checks: [...checks, ...revoked.checks], material: [...material, ...revoked.material] };
}
