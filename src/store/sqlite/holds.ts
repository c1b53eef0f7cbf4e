/** At start: hold the logs that do not continue what was kept of them, release those that do again. */
import { checkHead, keptFiles, LOCAL_SOURCES } from './head-check.ts';
import type { StorePaths } from './paths.ts';
import type { ReadContext } from './read-context.ts';
import { holdRows } from './tenant-logs.ts';
import type { Writer } from './transactor.ts';

/** What witnesses said stays until they say otherwise: they may be out of reach just now. */
export async function holdOrRelease(
  writer: Writer,
  context: ReadContext,
  paths: StorePaths,
  tenant: string,
  warn: (text: string) => void,
): Promise<void> {
  const problems = checkHead(context, tenant, keptFiles(paths, tenant));
  for (const { source } of holdRows(context.sql, tenant)) {
    if (LOCAL_SOURCES.test(source) && !problems.some((problem) => problem.source === source))
      await writer.call('releaseLog', tenant, source);
  }
  for (const problem of problems) {
    await writer.call('holdLog', tenant, problem);
    warn(`nothing is signed for ${tenant}: ${problem.source}: ${problem.reason}`);
  }
}
