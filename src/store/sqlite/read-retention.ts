/** Reads over what may be erased, what is held, and what was erased. */
import type { Entry, ErasedEntry } from '../../evidence/entry.ts';
import { objectsOf } from '../../evidence/objects-of.ts';
import { leadingKind } from '../../evidence/record-groups.ts';
import type { ErasureProposal, RetentionCandidate, RetentionReader } from '../retention.ts';
import { allHolds, holdsOf, obstaclesOf, unitOf } from './letter-unit.ts';
import type { ReadContext } from './read-context.ts';
import { OF_NO_LETTER } from './schema.ts';

export function retentionReader(context: ReadContext): RetentionReader {
  const { sql } = context;
  return {
    async erasure(tenant, index) {
      const by = sql('SELECT idx FROM erased WHERE tenant = ? AND entry = ?').pluck().get(tenant, index) as
        | number
        | undefined;
      const entry = by === undefined ? null : context.entry(tenant, by);
      return entry?.kind === 'erased' ? (entry as Entry & ErasedEntry) : null;
    },

    async retentionCandidates(tenant, after, before, limit) {
      const rows = sql(
        'SELECT idx AS "index", time FROM message WHERE tenant = ? AND idx > ? AND (letter IS NULL OR letter = idx) ORDER BY idx LIMIT ?',
      ).all(tenant, after, limit) as RetentionCandidate[];
      // Times rise with the index: what comes after is too young as well.
      const young = rows.findIndex(({ time }) => time >= before);
      return young < 0 ? rows : rows.slice(0, young);
    },

    async recordCandidates(tenant, group, after, before, limit) {
      const rows = sql(
        `SELECT idx AS "index", time FROM entry INDEXED BY entry_record
         WHERE tenant = ? AND kind = ? AND idx > ? AND ${OF_NO_LETTER} ORDER BY idx LIMIT ?`,
      ).all(tenant, leadingKind[group], after, limit) as RetentionCandidate[];
      const young = rows.findIndex(({ time }) => time >= before);
      return young < 0 ? rows : rows.slice(0, young);
    },

    async entriesOf(tenant, letter) {
      return [...(unitOf(context, tenant, letter)?.entries ?? [])];
    },

    async obstacles(tenant, letter) {
      const unit = unitOf(context, tenant, letter);
      return unit === null ? ['no-letter'] : obstaclesOf(context, tenant, unit);
    },

    async retentionHolds(tenant, letter) {
      if (letter === undefined) return allHolds(context, tenant);
      const unit = unitOf(context, tenant, letter);
      return unit === null ? [] : holdsOf(context, tenant, unit);
    },

    async proposals(tenant) {
      const indexes = sql('SELECT idx FROM erasure_proposal WHERE tenant = ? ORDER BY idx')
        .pluck()
        .all(tenant) as number[];
      return indexes.flatMap((index): ErasureProposal[] => {
        const entry = context.entry(tenant, index);
        if (entry?.kind !== 'erasure-proposed') return [];
        const { letter, time, actor, legalBasis, copies } = entry;
        return [{ index, letter, time, actor, legalBasis, copies }];
      });
    },

    async announced(tenant, letter) {
      return (
        (sql('SELECT class, announced AS at FROM retention_review WHERE tenant = ? AND letter = ?').get(
          tenant,
          letter,
        ) as { class: string; at: number } | undefined) ?? null
      );
    },

    async copiesOf(tenant, letter) {
      const objects = new Set(
        (unitOf(context, tenant, letter)?.entries ?? []).flatMap((index) => {
          const entry = context.entry(tenant, index);
          return entry === null
            ? []
            : objectsOf(entry).flatMap(({ fact, message }) => (message ? [fact.object] : []));
        }),
      );
      return [...objects].flatMap(
        (object) =>
          sql(
            `SELECT CASE b.owner_type WHEN 'shared' THEN 'shared:' || b.owner_name ELSE b.owner_name END AS owner, b.name AS mailbox
             FROM mail m JOIN mailbox b ON b.id = m.mailbox WHERE m.tenant = ? AND m.object = ?`,
          ).all(tenant, object) as { owner: string; mailbox: string }[],
      );
    },
  };
}
