/** Signatures of De-Mail providers, verified again with what the bundle brings along. */
import { check } from '../../pki/check.ts';
import type { Circumstances } from '../../pki/signer.ts';
import type { CheckResult } from '../../pki/types.ts';
import { UnusableInput, verifyDeMail } from '../../pki/verify-demail.ts';
import type { Entry, Verdict } from '../entry.ts';
import type { BundleFiles } from './bundle-files.ts';
import type { RecordFindings } from './check-records.ts';
import type { BundleLayout } from './layout.ts';

/** The newest verdict that the entries have on each fetched message is compared with the one that comes out now. */
export async function checkMessages(
  files: BundleFiles,
  layout: BundleLayout,
  { existedAt }: RecordFindings,
  circumstances: Circumstances,
): Promise<CheckResult[]> {
  const entries = layout.entries.map(({ entry }) => entry);
  const names = new Map(layout.objects.map(({ fact, name }) => [fact.object, name]));
  const checks: CheckResult[] = [];
  for (const entry of entries) {
    if (!('source' in entry)) continue;
    const name = names.get(entry.message.object)!;
    // A valid record proves that the message existed then: what happened to its signer later is no doubt.
    const sealed = existedAt.get(entry.index);
    const time = sealed !== undefined && sealed < circumstances.time ? sealed : circumstances.time;
    checks.push(
      await messageCheck(files, name, newestVerdict(entry.index, entry.verdict, entries), {
        ...circumstances,
        time,
      }),
    );
  }
  return checks;
}

async function messageCheck(
  files: BundleFiles,
  name: string,
  recorded: Verdict,
  circumstances: Circumstances,
): Promise<CheckResult> {
  const say = (result: CheckResult['result'], reason: string) =>
    check('message', result, `${name}: ${reason}`);
  try {
    const report = await verifyDeMail(files.read(name), circumstances);
    const why = report.checks.find(({ result }) =>
      report.verdict === 'invalid' ? result === 'failed' : result === 'undecided',
    )?.reason;
    if (report.verdict === 'valid')
      return recorded === 'invalid'
        ? say('undecided', 'valid now, and recorded as invalid')
        : say('passed', `${report.signer === undefined ? 'intact' : `signed by ${report.signer.subject}`}`);
    if (report.verdict === 'invalid')
      return recorded === 'invalid'
        ? say('passed', `invalid, and recorded as such: it proves nothing (${why})`)
        : say('failed', `invalid, and recorded as ${recorded}: ${why}`);
    return say('undecided', `${why} (recorded as ${recorded})`);
  } catch (error) {
    if (!(error instanceof UnusableInput))
      return say('undecided', `it cannot be read: ${(error as Error).message}`);
    return say('undecided', `no message that is verified here: ${error.message}`);
  }
}

function newestVerdict(index: number, first: Verdict, entries: readonly Entry[]): Verdict {
  const later = entries.findLast((entry) => entry.kind === 'verdict' && entry.about === index);
  return later?.kind === 'verdict' ? later.verdict : first;
}
