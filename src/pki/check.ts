/** Builds the steps of a verdict. */
import type { CheckResult } from './types.ts';

/** One step; its code is `<name>-<result>` unless the failure has a name of its own. */
export function check(
  name: string,
  result: CheckResult['result'],
  reason: string,
  code = `${name}-${result}`,
): CheckResult {
  return { name, result, reason, code };
}
