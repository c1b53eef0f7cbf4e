/**
 * What a crash cut off. A hand-over whose outcome is missing is in doubt. An outcome may be recorded, and the mail
 * about it not written: each report has a name within its letter, so what was told already is not told again.
 */
import type {
  Entry,
  HandoverIntentEntry,
  NoticeEntry,
  RecipientResult,
  SubmissionEntry,
} from '../evidence/entry.ts';
import type { Clock } from '../observe/clock.ts';
import type { Store } from '../store/store.ts';
import type { Reports } from './reports.ts';
import type { Settlement } from './settle.ts';

export interface ResumeDeps {
  readonly store: Store;
  readonly tenant: string;
  readonly reports: Reports;
  readonly clock: Clock;
}

interface CutOffDeps extends ResumeDeps {
  readonly settlement: Settlement;
}

/** Letters older than this are not looked at again: longer than retries last by default. */
const lookBack = 8 * 24 * 3_600_000;

/** Tells what is still to be told about doubts and failures. */
export async function resumeReports(deps: ResumeDeps): Promise<void> {
  const { store, tenant, reports } = deps;
  for (const item of await store.openTransactions(tenant)) {
    if (item.state === 'in-doubt') await reports.inDoubt(item, item.lastReply ?? '');
  }
  const since = new Date(deps.clock.now() - lookBack).toISOString();
  for (const fact of ['refused', 'expired', 'abandoned'] as const) {
    for (const { index } of await store.search({ tenant, kind: 'submission', fact, since, limit: 10_000 })) {
      await resumeLetter(deps, await store.timeline(tenant, index));
    }
  }
}

async function resumeLetter({ reports }: ResumeDeps, timeline: readonly Entry[]): Promise<void> {
  const letter = timeline.find((e): e is Entry & SubmissionEntry => e.kind === 'submission');
  if (letter === undefined) return;
  const told = timeline.filter((e) => e.kind === 'notice').filter((e) => e.about === 'failed');
  const untold = (results: readonly RecipientResult[]) =>
    results.filter((r) => r.result === 'refused' && !told.some((notice) => tells(notice, r.address)));
  for (const entry of timeline) {
    if (entry.kind === 'handover-outcome') {
      await reports.failed(letter, entry.transaction, untold(entry.recipients));
    } else if (entry.kind === 'expired') {
      const results = entry.recipients.map((address) => refused(address, entry.lastReply));
      await reports.failed(letter, entry.transaction, untold(results));
    } else if (entry.kind === 'handover-settled' && entry.decision === 'abandoned' && entry.by === 'policy') {
      const results = entry.recipients.map((address) => refused(address, entry.reason));
      await reports.failed(letter, entry.transaction, untold(results));
    }
  }
}

/** Notices of earlier releases name their recipients in the text alone. */
function tells({ recipients, text }: Pick<NoticeEntry, 'recipients' | 'text'>, address: string): boolean {
  return recipients?.includes(address) ?? text.includes(address);
}

function refused(address: string, reply: string): RecipientResult {
  return { address, result: 'refused', reply };
}

/** After a crash nobody knows what became of an attempt that has an intent and no outcome: it is in doubt. */
export async function holdCutOff(deps: CutOffDeps): Promise<void> {
  const { store, tenant } = deps;
  for (const item of await store.openTransactions(tenant)) {
    if (item.state !== 'attempting') continue;
    const timeline = await store.timeline(tenant, item.letter);
    const intent = timeline.findLast(
      (e): e is Entry & HandoverIntentEntry =>
        e.kind === 'handover-intent' && e.transaction === item.transaction,
    );
    const reply = 'the gateway stopped between handing over and the reply';
    await store.recordHandoverOutcome(tenant, {
      letter: item.letter,
      transaction: item.transaction,
      attempt: intent?.attempt ?? item.attempts,
      result: 'in-doubt',
      recipients: (intent?.recipients ?? item.recipients).map((address) => ({
        address,
        result: 'deferred',
        reply,
      })),
      reply,
      peer: { endpoint: intent?.endpoint ?? '' },
    });
    await deps.settlement.byProvider(item.letter, item.transaction);
  }
}
