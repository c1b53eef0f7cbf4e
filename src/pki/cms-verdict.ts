/** The verdict on a CMS signature: whether it is intact, and whether its signers count. */
import { readCertificate } from './certificate.ts';
import { check } from './check.ts';
import type { CmsReport } from './cms.ts';
import { type Circumstances, checkSigner } from './signer.ts';
import { type CheckResult, type Material, type VerdictReport, verdictOf } from './types.ts';

export type CmsVerdict = Pick<VerdictReport, 'verdict' | 'checks' | 'material'>;

/** Judges every signer of the report: all of them have to hold. */
export async function judgeCms(
  { checks: found, signers, certificates, crls }: CmsReport,
  circumstances: Circumstances,
): Promise<CmsVerdict> {
  const checks: CheckResult[] = signers.length === 0 ? [...found] : [];
  const material = new Map<string, Material>();
  for (const { certificate, signingTime, checks: own } of signers) {
    checks.push(...own);
    const signer = certificate === null ? null : readCertificate(certificate);
    if (signer === null) {
      checks.push(
        check('certificate-chain', 'undecided', 'there is no certificate of the signer to be read'),
      );
      continue;
    }
    const claimed = signingTime === null ? null : new Date(signingTime);
    const report = await checkSigner({ signer, others: certificates, crls, claimed }, circumstances);
    checks.push(...report.checks);
    for (const item of report.material) material.set(item.sha256, item);
  }
  return { verdict: verdictOf(checks), checks, material: [...material.values()] };
}
