/** Holds, and erasures that two persons decide on. */
import type { Actor } from '../../../evidence/entry.ts';
import { type CopiesRule, type ErasureResult, type Obstacle, ON_DEMAND } from '../../retention.ts';
import { obstaclesOf, unitOf } from '../letter-unit.ts';
import type { WriteContext } from '../write-context.ts';
import { erase } from './erasure.ts';

export interface WireHold {
  readonly held: boolean;
  readonly actor: Actor;
  readonly reason: string;
  readonly letter: number | null;
  readonly fileReference: string | null;
}

export function holdLetters(
  context: WriteContext,
  tenant: string,
  { held, actor, reason, letter, fileReference }: WireHold,
): boolean {
  if (letter !== null && unitOf(context, tenant, letter) === null)
    throw new Error(`${tenant}/${letter} is no letter, or was erased`);
  const newest = context
    .sql(
      'SELECT held FROM retention_hold WHERE tenant = ? AND letter IS ? AND reference IS ? ORDER BY idx DESC LIMIT 1',
    )
    .pluck()
    .get(tenant, letter, fileReference) as number | undefined;
  if ((newest === 1) === held) return false;
  context.append(tenant, {
    kind: 'retention-hold',
    actor,
    held,
    letter,
    ...(fileReference === null ? {} : { fileReference }),
    reason,
  });
  return true;
}

/** The obstacle by its name, and what to do about it. */
const remedies: Readonly<Record<Obstacle, string>> = {
  'no-letter': 'no-letter: nothing begins there that can be erased, or it goes with another letter',
  held: 'held: retention holds names the legal hold, retention release ends it',
  'handover-open': 'handover-open: it is still to be handed over; queue abandon gives that up',
  'forward-open': 'forward-open: it is still to be forwarded; queue forward sends it now',
  'scan-open': 'scan-open: it waits for the malware scanner',
  'private-waiting': 'private-waiting: it waits for a private mailbox; private deliver places it',
  'deletion-open': 'deletion-open: its copies at the provider are being deleted; try again later',
  'in-force': 'in-force: it says what is still so',
};

export interface WireProposal {
  readonly letter: number;
  readonly actor: Actor;
  readonly legalBasis: string;
  readonly copies: CopiesRule;
  readonly reason: string;
}

export function proposeErasure(
  context: WriteContext,
  tenant: string,
  proposal: WireProposal,
): { index: number } {
  const unit = unitOf(context, tenant, proposal.letter);
  const [obstacle] = unit === null ? (['no-letter'] as const) : obstaclesOf(context, tenant, unit);
  if (obstacle !== undefined)
    throw new Error(`${tenant}/${proposal.letter} cannot be erased: ${remedies[obstacle]}`);
  const { index } = context.append(tenant, { kind: 'erasure-proposed', ...proposal });
  context
    .sql('INSERT INTO erasure_proposal (tenant, idx, letter) VALUES (?, ?, ?)')
    .run(tenant, index, proposal.letter);
  return { index };
}

export function approveErasure(
  context: WriteContext,
  tenant: string,
  { proposal, actor }: { proposal: number; actor: Actor },
): ErasureResult {
  const proposed = proposalOf(context, tenant, proposal);
  if (proposed === null) throw new Error(`nothing is proposed in ${tenant}/${proposal}`);
  if (proposed.actor.name === actor.name)
    throw new Error(`${actor.name} proposed it: a second person must agree`);
  const { letter, legalBasis, copies } = proposed;
  const actors = [proposed.actor, actor];
  const result = erase(context, tenant, { letters: [letter], class: ON_DEMAND, legalBasis, actors, copies });
  const [refusal] = result.refused;
  if (refusal !== undefined)
    throw new Error(`${tenant}/${letter} cannot be erased: ${remedies[refusal.obstacle]}`);
  return result;
}

export function withdrawErasure(
  context: WriteContext,
  tenant: string,
  { proposal, actor, reason }: { proposal: number; actor: Actor; reason: string },
): boolean {
  if (proposalOf(context, tenant, proposal) === null) return false;
  context.sql('DELETE FROM erasure_proposal WHERE tenant = ? AND idx = ?').run(tenant, proposal);
  context.append(tenant, {
    kind: 'operation',
    actor,
    action: 'withdraw-erasure',
    subject: `${tenant}/${proposal}`,
    reason,
  });
  return true;
}

/** What the log says of it: the table is only the way there. */
function proposalOf(context: WriteContext, tenant: string, index: number) {
  const open = context.sql('SELECT 1 FROM erasure_proposal WHERE tenant = ? AND idx = ?').get(tenant, index);
  const entry = open === undefined ? null : context.entry(tenant, index);
  return entry?.kind === 'erasure-proposed' ? entry : null;
}

export function recordAnnounced(
  context: WriteContext,
  tenant: string,
  letters: readonly { letter: number; class: string }[],
): void {
  for (const { letter, class: name } of letters)
    context
      .sql(
        `INSERT INTO retention_review (tenant, letter, class, announced) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET class = excluded.class, announced = excluded.announced WHERE class <> excluded.class`,
      )
      .run(tenant, letter, name, context.now);
}
