/** `check`: what ends soon, what is past its period and stays, what is held, and what would outlive its erasure. */
import type { Config, TenantConfig } from '../config/schema.ts';
import { dueLetters } from '../preservation/retention-review.ts';
import type { StorePaths } from '../store/sqlite/paths.ts';
import type { Reader } from '../store/store.ts';
import type { Result } from './check-result.ts';
import { openReader } from './reader.ts';

const DAY = 86_400_000;
/** What ends within so long is named. */
const SOON = 90 * DAY;
/** The daily run may have been in the middle of it. */
const LATE = 3 * DAY;
/** A hold of that age is to be looked at: does the reason still stand? */
const OLD_HOLD = 366 * DAY;

export async function checkRetention(config: Config, paths: StorePaths): Promise<Result[]> {
  using reader = openReader(paths);
  const known = await reader.tenants();
  const results: Result[] = [];
  for (const tenant of config.tenants) {
    results.push(...classesOf(tenant, config));
    if (!known.includes(tenant.id)) continue;
    try {
      results.push(await dueIn(reader, tenant), ...(await holdsIn(reader, tenant)));
      const proposals = await reader.proposals(tenant.id);
      if (proposals.length > 0)
        results.push(
          warning(
            tenant.id,
            `${proposals.length} proposed erasures wait for a second person: retention proposals`,
          ),
        );
    } catch (error) {
      results.push({ check: 'retention', subject: tenant.id, good: false, detail: (error as Error).message });
    }
  }
  return results;
}

function good(subject: string, detail: string): Result {
  return { check: 'retention', subject, good: true, detail };
}

function warning(subject: string, detail: string): Result {
  return { check: 'retention', subject, good: true, warning: true, detail };
}

/** Only what the configuration says. */
function classesOf({ id, retention, provider }: TenantConfig, { preservation }: Config): Result[] {
  if (!letterEnds(retention)) return [];
  const results: Result[] = [];
  if (provider.deleteAfter === undefined)
    results.push(
      warning(
        id,
        'no provider.deleteAfter: what is erased here may lie on at the provider; set it to less than the shortest period',
      ),
    );
  if (preservation.backup !== undefined) {
    const days = Math.ceil((preservation.backup.keep * preservation.backup.every) / DAY);
    results.push(
      good(id, `erased content is gone from backups about ${days} days later (preservation.backup)`),
    );
  }
  return results;
}

function letterEnds({ classes }: TenantConfig['retention']): boolean {
  return classes.some(({ keep }) => keep !== 'forever');
}

async function dueIn(reader: Reader, tenant: TenantConfig): Promise<Result> {
  const now = Date.now();
  const count = { soon: 0, announced: 0, late: 0, stays: 0 };
  const obstacles = new Map<string, number>();
  for await (const due of dueLetters(reader, tenant, now + SOON)) {
    if (due.obstacles.length > 0) {
      if (due.until > now) continue;
      count.stays++;
      for (const one of due.obstacles) obstacles.set(one, (obstacles.get(one) ?? 0) + 1);
      continue;
    }
    count.soon++;
    if (due.announcedAt === null) {
      if (due.until - due.class.reviewBefore < now - LATE) count.late++;
      continue;
    }
    count.announced++;
    if (Math.max(due.until, due.announcedAt + due.class.reviewBefore) < now - LATE) count.late++;
  }
  const said = [
    letterEnds(tenant.retention)
      ? `${tenant.retention.classes.length} classes`
      : 'letters are kept for ever (retention.classes)',
    `${count.soon} letters and entries end within 90 days, ${count.announced} of them announced`,
    ...(count.stays === 0
      ? []
      : [
          `${count.stays} are past their period and stay: ${[...obstacles].map(([name, n]) => `${name} ${n}`).join(', ')}`,
        ]),
    ...(count.late === 0
      ? []
      : [
          `${count.late} should have been announced or erased: does the gateway run? retention run says why not`,
        ]),
  ].join('; ');
  return count.stays + count.late > 0 ? warning(tenant.id, said) : good(tenant.id, said);
}

async function holdsIn(reader: Reader, { id }: TenantConfig): Promise<Result[]> {
  const holds = await reader.retentionHolds(id);
  if (holds.length === 0) return [];
  const times = await Promise.all(
    holds.map(async ({ index }) => (await reader.entry(id, index))?.time ?? ''),
  );
  const oldest = times.filter((time) => time !== '').sort()[0];
  const detail = `${holds.length} legal holds, the oldest since ${oldest ?? 'unknown'}`;
  return [
    oldest !== undefined && Date.now() - Date.parse(oldest) > OLD_HOLD
      ? warning(id, `${detail}: does its reason still stand? retention holds`)
      : good(id, detail),
  ];
}
