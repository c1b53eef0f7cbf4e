/** The provider's own Sent copies that should lie there by now, and do not. */
import type { TenantConfig } from '../config/schema.ts';
import type { Clock } from '../observe/clock.ts';
import type { Store } from '../store/store.ts';
import type { Incidents } from './incidents.ts';
import { incidentTexts } from './texts.ts';

export interface SentCopiesDeps {
  readonly store: Pick<Store, 'missingSentCopies'>;
  readonly incidents: Pick<Incidents, 'open' | 'close'>;
  readonly clock: Clock;
}

const incident = 'sent-copy-missing';
/** An incident must not stay open for what nobody can mend, ms. */
const lookedBack = 30 * 24 * 3_600_000;
const named = 5;

/**
 * To be called after a complete look at the Sent folder: only then is a copy known to be missing. The provider secures
 * and keeps the message before it confirms the dispatch (TR-01201 FU 3.2.2), so the time for that confirmation holds.
 */
export async function watchSentCopies(deps: SentCopiesDeps, { id, provider }: TenantConfig): Promise<void> {
  const { store, incidents, clock } = deps;
  const now = clock.now();
  const due = now - provider.overdue.dispatch;
  const missing = await store.missingSentCopies(id, now - lookedBack, due, named + 1);
  if (missing.length === 0) {
    incidents.close(id, incident, incidentTexts.sentCopiesComplete);
    return;
  }
  const entries = missing.slice(0, named).map((letter) => `${id}/${letter}`);
  incidents.open(id, incident, incidentTexts.sentCopyMissing(entries, missing.length > named));
}
