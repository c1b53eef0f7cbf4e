/**
 * Indeterminate verdicts, looked at again until revocation data issued after the signing is there. Here the network
 * may be asked. Every other verdict is kept beside the first; an equal one adds nothing.
 */
import type { TenantConfig } from '../config/schema.ts';
import type { Directory } from '../directory/directory.ts';
import type { ConfirmationEntry, Delivery, Entry, InboundEntry, Verdict } from '../evidence/entry.ts';
import { letterOf } from '../evidence/projection.ts';
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { JudgedMessage, MailboxOwner, Store } from '../store/store.ts';
import type { Incidents } from './incidents.ts';
import {
  checkFacts,
  type Judgement,
  judge,
  keywordOf,
  mayChange,
  nextLook,
  shortReason,
  stageMaterial,
  verdictKeywords,
} from './judge.ts';
import type { Reports } from './reports.ts';
import { type Rounds, startRounds } from './rounds.ts';
import { incidentTexts } from './texts.ts';

export interface ReverifyDeps {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly tenant: string;
  readonly dataDir: string;
  readonly reports: Reports;
  readonly incidents: Incidents;
  readonly log: Log;
  readonly clock: Clock;
}

/** So many are judged in one go: each may wait for the network. */
const atOnce = 50;

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
  const next = mayChange(judgement) ? nextLook(time.getTime(), clock.now()) : null;
  if (isSame(latest, judgement)) {
    await store.planReverification(tenant, index, next);
    return;
  }
  // Told first: both have a name and are told once, the other way round a crash would swallow them.
  if (judgement.verdict === 'invalid' && latest.verdict !== 'invalid' && entry.kind === 'confirmation')
    await dispute(deps, entry, judgement);
  await store.recordVerdict(tenant, {
    about: index,
    ...concerned(entry),
    verdict: judgement.verdict,
    checks: checkFacts(judgement.checks),
    material: await stageMaterial(store, tenant, judgement.material),
    nextAttempt: next,
  });
  deps.log.info({ tenant, about: index, verdict: judgement.verdict }, 'verdict');
  await changeKeywords(deps, entry, judgement.verdict);
}

function isSame(latest: JudgedMessage, judgement: Judgement): boolean {
  return (
    latest.verdict === judgement.verdict &&
    JSON.stringify(latest.checks) === JSON.stringify(checkFacts(judgement.checks))
  );
}

/** Whose standing the verdict touches: only a confirmation that counted can be disputed. */
function concerned(entry: Fetched): {
  readonly letter: number | null;
  readonly recipients: readonly string[];
} {
  if (entry.kind === 'inbound') return { letter: entry.index, recipients: [] };
  if (entry.kind === 'confirmation' && entry.counts !== 'no')
    return { letter: entry.letter, recipients: entry.recipients };
  return { letter: entry.letter, recipients: [] };
}

async function dispute(
  { tenant, incidents, reports }: ReverifyDeps,
  entry: Entry & ConfirmationEntry,
  judgement: Judgement,
): Promise<void> {
  if (entry.letter === null || entry.counts === 'no') return;
  const reason = shortReason(judgement) ?? '';
  incidents.open(
    tenant,
    `confirmation-disputed ${entry.index}`,
    incidentTexts.disputed(`${tenant}/${entry.index}`, reason),
  );
  await reports.disputed(entry, reason);
}

/** The copies that the message was delivered as show the latest verdict as a keyword. */
async function changeKeywords(
  { store, tenant }: ReverifyDeps,
  entry: Fetched & Pick<InboundEntry, 'delivered'>,
  verdict: Exclude<Verdict, 'not-checked'>,
): Promise<void> {
  for (const { owner, mailbox } of await deliveriesOf(store, tenant, entry)) {
    const info = await store.mailbox(tenant, ownerOf(owner), mailbox);
    if (info === null || entry.header.messageId === null) continue;
    const named = await store.byMessageId(tenant, info.id, entry.header.messageId);
    // Another message may bear the same Message-ID.
    const uids = (await store.contents(tenant, info.id, named))
      .filter(({ source }) => source.object === entry.message.object)
      .map(({ uid }) => uid);
    if (uids.length === 0) continue;
    const old = verdictKeywords.filter((keyword) => keyword !== keywordOf(verdict));
    await store.changeFlags(tenant, info.id, uids, { op: 'remove', flags: old });
    await store.changeFlags(tenant, info.id, uids, { op: 'add', flags: [keywordOf(verdict)] });
  }
}

/** As deliveries name it: a login, or `shared:` and the name of a shared mailbox. */
function ownerOf(text: string): MailboxOwner {
  return text.startsWith('shared:')
    ? { type: 'shared', name: text.slice('shared:'.length) }
    : { type: 'user', name: text };
}

/** Also the copies that were made later, after a scan. */
async function deliveriesOf(
  store: Store,
  tenant: string,
  entry: Fetched & Pick<InboundEntry, 'delivered'>,
): Promise<readonly Delivery[]> {
  const letter = letterOf(entry);
  if (entry.scan === undefined || entry.delivered.length > 0 || letter === null) return entry.delivered;
  const later = await store.timeline(tenant, letter);
  return later.flatMap((other) =>
    other.kind === 'scan' && other.about === entry.index ? other.delivered : [],
  );
}
