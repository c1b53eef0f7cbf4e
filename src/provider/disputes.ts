/**
 * A confirmation that counted and turned out invalid is disputed: an incident of its own, until another one counts
 * for every recipient, or an operator closes it.
 */
import type { ConfirmationEntry, Entry } from '../evidence/entry.ts';
import type { Store } from '../store/store.ts';
import type { Incidents } from './incidents.ts';
import { incidentTexts } from './texts.ts';

interface DisputeDeps {
  readonly store: Store;
  readonly tenant: string;
  readonly incidents: Incidents;
}

const prefix = 'confirmation-disputed ';

export function openDispute(
  { tenant, incidents }: DisputeDeps,
  entry: Entry & ConfirmationEntry,
  reason: string,
): void {
  const text = incidentTexts.disputed(`${tenant}/${entry.index}`, reason);
  incidents.open(tenant, `${prefix}${entry.index}`, text);
}

/** Closes the disputes about the letter that another confirmation has ended for all whom they concern. */
export async function endDisputes({ store, tenant, incidents }: DisputeDeps, letter: number): Promise<void> {
  const open = (await store.incidents(tenant)).filter(({ incident }) => incident.startsWith(prefix));
  if (open.length === 0) return;
  const standing = await store.standing(tenant, letter);
  for (const { incident } of open) {
    const about = Number(incident.slice(prefix.length));
    const verdicts = await store.verdictsAbout(tenant, about);
    if (!verdicts.some((verdict) => verdict.letter === letter)) continue;
    const ended = !standing.some(
      ({ fact, index }) => fact === 'disputed' && verdicts.some((verdict) => verdict.index === index),
    );
    if (ended) incidents.close(tenant, incident, incidentTexts.disputeEnded(`${tenant}/${letter}`));
  }
}

/** May an operator close it? Other incidents end by themselves, when what is wrong is well again. */
export function isDispute(incident: string): boolean {
  return incident.startsWith(prefix);
}
