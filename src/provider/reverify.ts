/**
 * Messages looked at again: indeterminate verdicts until revocation data issued after the signing is there, and
 * confirmations that did not count, since anchors are configured and letters come later. Here the network may be
 * asked. Every other verdict is kept beside the first; an equal one adds nothing.
 */
import type { TenantConfig } from '../config/schema.ts';
import type { Directory } from '../directory/directory.ts';
import type { ConfirmationEntry, Entry, VerdictEntry } from '../evidence/entry.ts';
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { JudgedMessage, Store } from '../store/store.ts';
import { type Binding, createBinder } from './bind.ts';
import { endDisputes, openDispute } from './disputes.ts';
import type { Incidents } from './incidents.ts';
import {
  checkFacts,
  type Judgement,
  judge,
  mayChange,
  nextLook,
  shortReason,
  stageMaterial,
} from './judge.ts';
import { readStored } from './reading.ts';
import type { Reports } from './reports.ts';
import { type Rounds, startRounds } from './rounds.ts';
import type { Settlement } from './settle.ts';
import { type Weighed, weighConfirmation } from './weigh.ts';

export interface ReverifyDeps {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly tenant: string;
  readonly dataDir: string;
  readonly reports: Reports;
  readonly settlement: Settlement;
  readonly incidents: Incidents;
  readonly log: Log;
  readonly clock: Clock;
}

/** So many are judged in one go: each may wait for the network. */
const atOnce = 50;
/** A letter that a confirmation speaks of is waited for as long as providers keep messages at least (FU 3.3), ms. */
const longestWait = 90 * 24 * 3_600_000;

type Fetched = Extract<Entry, { readonly source: unknown }>;

export function startReverification(deps: ReverifyDeps): Rounds {
  return startRounds(deps, (stopped) => lookOnce(deps, stopped), 'verdicts could not be looked at again');
}

async function lookOnce(deps: ReverifyDeps, stopped: () => boolean): Promise<void> {
  const { store, tenant, clock, log } = deps;
  for (const index of await store.dueReverifications(tenant, clock.now(), atOnce)) {
    const config = deps.directory().tenant(tenant);
    if (stopped() || config === undefined) return;
    try {
      await lookAt(deps, config, index);
    } catch (error) {
      log.warn({ tenant, index, error: String(error) }, 'verdict could not be looked at again');
      // One that cannot be read must not hold up the others.
      await store.planReverification(tenant, index, clock.now() + 24 * 3_600_000);
    }
  }
}

async function lookAt(deps: ReverifyDeps, config: TenantConfig, index: number): Promise<void> {
  const { store, tenant, clock } = deps;
  const entry = await store.entry(tenant, index);
  const latest = await store.latestVerdict(tenant, index);
  if (entry === null || latest === null || !('source' in entry)) {
    await store.planReverification(tenant, index, null);
    return;
  }
  const object = await store.object(tenant, entry.message.object);
  if (object === null) throw new Error(`the message of ${tenant}/${index} is not in the store`);
  // Its bytes are known to have existed since they came: that moment counts, not the present.
  const time = new Date(entry.time);
  const judgement = await judge(deps, config, object.read(), { time, network: true });
  const earlier = await store.verdictsAbout(tenant, index);
  const confirmation = entry.kind === 'confirmation' ? entry : null;
  const counted = countedBefore(entry, earlier);
  const anew =
    confirmation !== null && counted === null ? await weighAnew(deps, confirmation, judgement) : null;
  const next =
    mayChange(judgement) || (anew?.letter === null && clock.now() - time.getTime() < longestWait)
      ? nextLook(time.getTime(), clock.now())
      : null;
  const says = confirmation !== null && anew !== null && isNews(confirmation, earlier, anew) ? anew : null;
  if (isSame(latest, judgement) && says === null) {
    await store.planReverification(tenant, index, next);
    return;
  }
  // Told first: both have a name and are told once, the other way round a crash would swallow them.
  if (judgement.verdict === 'invalid' && latest.verdict !== 'invalid' && confirmation !== null)
    await dispute(deps, confirmation, counted, judgement);
  await store.recordVerdict(tenant, {
    about: index,
    ...concerned(entry, counted, says),
    verdict: judgement.verdict,
    checks: checkFacts(judgement.checks),
    material: await stageMaterial(store, tenant, judgement.material),
    nextAttempt: next,
  });
  deps.log.info(
    { tenant, about: index, verdict: judgement.verdict, counts: says?.binding.counts },
    'verdict',
  );
  // A dispute may be over as it begins: another confirmation may have come meanwhile.
  if (counted?.letter != null) await endDisputes(deps, counted.letter);
  if (says === null || says.binding.counts === 'no') return;
  if (says.match !== null && confirmation !== null) {
    await deps.settlement.byProvider(says.letter, says.match.transaction);
    const { recipients, statedTime } = says;
    const confirmed = { type: confirmation.confirmation, recipients, statedTime };
    const provider = confirmation.demail.originatorProvider;
    for (const { once, ...notice } of await deps.reports.confirmed(says.match.submission, {
      ...confirmed,
      provider,
    }))
      await store.deliverNotice(tenant, notice, once);
  }
  await endDisputes(deps, says.letter);
}

function isSame(latest: JudgedMessage, judgement: Judgement): boolean {
  // Entries are kept in canonical form, so the order of members says nothing.
  const words = (checks: JudgedMessage['checks']) =>
    JSON.stringify(checks.map(({ name, result, reason }) => [name, result, reason]));
  return latest.verdict === judgement.verdict && words(latest.checks) === words(checkFacts(judgement.checks));
}

type Confirmation = Entry & ConfirmationEntry;
type Later = Entry & VerdictEntry;
type Standing = Pick<ConfirmationEntry, 'letter' | 'recipients'>;
/** What a confirmation says that fits a letter. */
type Anew = Weighed & {
  readonly letter: number;
  readonly binding: Binding;
  readonly statedTime: string | null;
};

/** Whom it counts for, if it counted: when it came, or by a later verdict. */
function countedBefore(entry: Fetched, earlier: readonly Later[]): Standing | null {
  if (entry.kind !== 'confirmation') return null;
  if (entry.letter !== null && entry.counts !== 'no') return entry;
  return earlier.find(({ confirms }) => confirms !== undefined && confirms.counts !== 'no') ?? null;
}

async function weighAnew(
  { store, tenant }: ReverifyDeps,
  entry: Confirmation,
  judgement: Judgement,
): Promise<Anew | { readonly letter: null } | null> {
  const reading = await readStored(store, tenant, entry.message.object);
  if (reading === null || reading.correlation.conflict) return null;
  const weighed = await weighConfirmation(store, tenant, createBinder(store, tenant), reading, judgement);
  const { letter, binding } = weighed;
  if (letter === null || binding === null) return { letter: null };
  return { ...weighed, letter, binding, statedTime: reading.confirmation?.statedTime ?? null };
}

/** It counts now, or fits a letter for the first time. */
function isNews(
  entry: Confirmation,
  earlier: readonly Later[],
  anew: NonNullable<Awaited<ReturnType<typeof weighAnew>>>,
): anew is Anew {
  if (anew.letter === null) return false;
  if (anew.binding.counts !== 'no') return true;
  return entry.letter === null && earlier.every(({ letter }) => letter === null);
}

/** Whose standing the verdict touches: only a confirmation that counts. */
function concerned(
  entry: Fetched,
  counted: Standing | null,
  says: Anew | null,
): Pick<VerdictEntry, 'letter' | 'recipients' | 'confirms'> {
  if (says !== null && entry.kind === 'confirmation') {
    const { letter, transaction, recipients, statedTime, binding } = says;
    const { confirmation } = entry;
    return { letter, recipients, confirms: { confirmation, transaction, statedTime, ...binding } };
  }
  if (counted !== null) return { letter: counted.letter, recipients: counted.recipients };
  return { letter: entry.kind === 'inbound' ? entry.index : entry.letter, recipients: [] };
}

async function dispute(
  deps: ReverifyDeps,
  entry: Confirmation,
  counted: Standing | null,
  judgement: Judgement,
): Promise<void> {
  if (counted === null) return;
  const reason = shortReason(judgement) ?? '';
  openDispute(deps, entry, reason);
  await deps.reports.disputed({ ...entry, letter: counted.letter, recipients: counted.recipients }, reason);
}
