/** What operators are told of fetched messages that say less than they should, or something else. */
import type { Directory } from '../directory/directory.ts';
import type { CheckFact } from '../evidence/entry.ts';
import { type Binding, REPEATED } from './bind.ts';
import type { Incidents } from './incidents.ts';
import { anchorsOf } from './judge.ts';
import type { Reading } from './reading.ts';
import { incidentTexts, type Said } from './texts.ts';

export interface Doubts {
  /** A message without a message type of the norm is no De-Mail, and proves nothing either way. */
  integrity(reading: Reading, index: number): void;
  /** A confirmation that fits no letter. */
  unmatched(index: number): void;
  /** What does not hold, and what says again what was confirmed before. */
  binding(index: number, binding: Binding): void;
  doesNotHold(index: number, reason: string): void;
  sentCopyDiffers(index: number, difference: CheckFact): void;
  /** A look at the whole account is complete. */
  roundEnded(): void;
}

export interface DoubtsDeps {
  readonly directory: () => Directory;
  readonly tenant: string;
  readonly incidents: Incidents;
}

const unmatchedIncident = 'unmatched-confirmation';
/**
 * Providers may switch integrity data off for an account and a protocol (TR-01201 FU, function 14). Every type of
 * message must carry it (IO 3.1, row 17); each has an incident of its own, so that none closes another's.
 */
const integrityIncident = {
  normal: 'integrity-missing',
  confirmation: 'integrity-missing confirmations',
  notification: 'integrity-missing notifications',
} as const;

export function createDoubts({ directory, tenant, incidents }: DoubtsDeps): Doubts {
  let unmatched = 0;
  /** Incidents about single messages: of this round, and of the one before. */
  let doubted: { readonly now: string[]; readonly before: string[] } = { now: [], before: [] };
  const nameOf = (index: number) => `${tenant}/${index}`;

  function openForARound(incident: string, text: Said) {
    doubted.now.push(incident);
    incidents.open(tenant, incident, text);
  }

  function doesNotHold(index: number, reason: string) {
    openForARound(`confirmation-does-not-hold ${index}`, incidentTexts.doesNotHold(nameOf(index), reason));
  }

  return {
    integrity({ metadata: { messageType, integrity }, kind }, index) {
      if (messageType === null) return;
      const incident = integrityIncident[kind];
      if (integrity === null) {
        incidents.open(tenant, incident, incidentTexts.integrityMissing(nameOf(index), messageType));
      } else incidents.close(tenant, incident, incidentTexts.integrityPresent(messageType));
    },
    unmatched(index) {
      unmatched += 1;
      incidents.open(tenant, unmatchedIncident, incidentTexts.unmatched(nameOf(index)));
    },
    binding(index, { counts, comparisons }) {
      const failed = comparisons.find((c) => c.result === 'failed');
      const again = comparisons.find((c) => c.name === REPEATED);
      if (counts === 'no' && failed !== undefined) {
        // What the operators are told once and for all is not told of each.
        const config = directory().tenant(tenant);
        if (failed.name === 'signature' && config !== undefined && anchorsOf(config.provider).length === 0)
          return;
        doesNotHold(index, `${failed.name}: ${failed.reason}`);
      } else if (again !== undefined) {
        openForARound(`confirmation-repeated ${index}`, incidentTexts.repeated(nameOf(index), again.reason));
      }
    },
    doesNotHold,
    sentCopyDiffers(index, { name, reason }) {
      const text = incidentTexts.sentCopyDiffers(nameOf(index), `${name}: ${reason}`);
      openForARound(`sent-copy-differs ${index}`, text);
    },
    roundEnded() {
      if (unmatched === 0) incidents.close(tenant, unmatchedIncident, incidentTexts.allMatched);
      unmatched = 0;
      // Told a round ago: an incident must not stay open for what nobody can mend.
      for (const incident of doubted.before)
        incidents.close(tenant, incident, incidentTexts.doesNotHoldNoted);
      doubted = { now: [], before: doubted.now };
    },
  };
}
