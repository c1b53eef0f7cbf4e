/**
 * Replays the entries to what must still be in the outbox: a queue row that was deleted is a letter lost, one
 * that was inserted a letter sent twice.
 */
import type { OpenRecipient } from './audit.ts';
import type { Entry } from './entry.ts';

export interface OutboxReplay {
  entry(entry: Entry): void;
  /** Recipients that must still be in the outbox. */
  waiting(): readonly OpenRecipient[];
  compare(stored: Iterable<OpenRecipient>): { place: string; problem: string }[];
}

export function createOutboxReplay(): OutboxReplay {
  const open = new Map<string, { letter: number; tx: number; address: string; state: string }>();
  const name = (letter: number, tx: number, address: string) => `${letter}.${tx} ${address}`;
  const close = (letter: number, tx: number, addresses: readonly string[]) => {
    for (const address of addresses) open.delete(name(letter, tx, address));
  };
  const setState = (letter: number, tx: number, state: string) => {
    for (const recipient of open.values())
      if (recipient.letter === letter && recipient.tx === tx) recipient.state = state;
  };
  return {
    entry(entry) {
      switch (entry.kind) {
        case 'submission':
          for (const t of entry.transactions) {
            for (const address of [...t.to, ...t.cc, ...t.bcc])
              open.set(name(entry.index, t.id, address), {
                letter: entry.index,
                tx: t.id,
                address,
                state: 'queued',
              });
          }
          break;
        case 'handover-intent':
          setState(entry.letter, entry.transaction, 'attempting');
          break;
        case 'handover-outcome':
          setState(entry.letter, entry.transaction, entry.result === 'in-doubt' ? 'in-doubt' : 'queued');
          if (entry.result === 'in-doubt') break;
          close(
            entry.letter,
            entry.transaction,
            entry.recipients.filter((r) => r.result !== 'deferred').map((r) => r.address),
          );
          break;
        case 'handover-settled':
          if (entry.decision === 'resend') setState(entry.letter, entry.transaction, 'queued');
          else close(entry.letter, entry.transaction, entry.recipients);
          break;
        case 'expired':
          close(entry.letter, entry.transaction, entry.recipients);
          break;
        default:
          break;
      }
    },
    waiting: () => [...open.values()],
    compare(stored) {
      const findings: { place: string; problem: string }[] = [];
      const missing = new Map(open);
      for (const { letter, tx, address, state } of stored) {
        const place = `outbox of letter ${letter}.${tx}`;
        const expected = missing.get(name(letter, tx, address));
        missing.delete(name(letter, tx, address));
        if (expected === undefined)
          findings.push({ place, problem: `${address} waits there, but by the entries it is done` });
        else if (expected.state !== state)
          findings.push({ place, problem: `it is ${state}, by the entries ${expected.state}` });
      }
      for (const { letter, address } of missing.values())
        findings.push({
          place: `outbox of letter ${letter}`,
          problem: `${address} is still to be handed over, but does not wait there`,
        });
      return findings;
    },
  };
}
