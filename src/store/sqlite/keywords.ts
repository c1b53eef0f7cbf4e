/**
 * Keywords on the copies of messages, followed entry by entry: on those of a letter what its recipients' facts say, on
 * those of a fetched message its latest verdict. In the commit of the entry: a client never shows what is not proven.
 */

import type Database from 'better-sqlite3';
import type { Entry, SubmissionEntry, VerdictEntry } from '../../evidence/entry.ts';
import {
  keywordOf,
  letterKeywordNames,
  letterKeywords,
  NOT_COUNTED,
  verdictKeywords,
} from '../../evidence/keywords.ts';
import { objectsOf } from '../../evidence/objects-of.ts';
import type { Change } from '../store.ts';
import { nextModseq } from './next-modseq.ts';
import { copiesOfLetter, letterOf, renderingsOf } from './renderings.ts';
import { standingOf } from './standing-rows.ts';

/** The part of the write context that this needs. */
interface KeywordContext {
  readonly changes: Change[];
  sql(text: string): Database.Statement;
  entry(tenant: string, index: number): Entry | null;
}

export function followKeywords(context: KeywordContext, tenant: string, entry: Entry): void {
  if (entry.kind === 'verdict') showVerdict(context, tenant, entry);
  const isAboutLetter = entry.kind === 'confirmation' || entry.kind === 'verdict' || entry.kind === 'overdue';
  if (isAboutLetter && entry.letter !== null) showFacts(context, tenant, entry.letter);
}

function showVerdict(context: KeywordContext, tenant: string, entry: VerdictEntry): void {
  if (entry.verdict === 'not-checked') return;
  const judged = context.entry(tenant, entry.about);
  if (judged === null) return;
  const counts = entry.confirms?.counts;
  const outdated =
    counts === 'yes' || counts === 'provisional' ? [...verdictKeywords, NOT_COUNTED] : verdictKeywords;
  for (const { fact, message } of objectsOf(judged)) {
    if (message) replaceKeywords(context, tenant, fact.object, outdated, [keywordOf(entry.verdict)]);
  }
}

/** A letter that the tenant received has no keywords of this kind: its facts are the recipient's own. */
function showFacts(context: KeywordContext, tenant: string, letter: number): void {
  const submission = context.entry(tenant, letter);
  if (submission?.kind !== 'submission') return;
  const { sql } = context;
  const shownOn = copiesOfLetter(sql, tenant, submission.message.object);
  // First: what stands costs several reads, and a letter without a copy shows it nowhere.
  const lies = sql('SELECT 1 FROM mail WHERE tenant = ? AND object = ?');
  if (!shownOn.some((object) => lies.get(tenant, object) !== undefined)) return;
  const keywords = keywordsOfLetter(context, tenant, submission);
  for (const object of shownOn)
    replaceKeywords(
      context,
      tenant,
      object,
      letterKeywordNames,
      keywords,
      (place) => object === submission.message.object || mayShow(submission, place),
    );
}

interface Place {
  readonly owner_type: string;
  readonly owner_name: string;
}

/** Whoever has read the letter can file what looks like a copy: what became of it is shown to those who sent it. */
function mayShow({ actor, delivered }: SubmissionEntry, { owner_type, owner_name }: Place): boolean {
  return (
    owner_type === 'shared' ||
    actor.name === owner_name ||
    delivered.some(({ owner }) => owner === owner_name)
  );
}

function keywordsOfLetter(
  { sql, entry }: KeywordContext,
  tenant: string,
  { index, transactions }: Entry & SubmissionEntry,
): string[] {
  const recipients = [...new Set(transactions.flatMap((t) => [...t.to, ...t.cc, ...t.bcc]))];
  return letterKeywords(standingOf(sql, entry, tenant, index), recipients);
}

/** What a client's copy shows that is filed only now, when the letter has come so far already. */
export function keywordsOfRendering(
  context: KeywordContext,
  place: Place & { readonly tenant: string },
  object: string,
): string[] {
  const { tenant } = place;
  const letters = renderingsOf(context.sql, tenant, object).flatMap(
    (rendering) => letterOf(context.sql, tenant, rendering) ?? [],
  );
  const submission = letters.length === 1 ? context.entry(tenant, letters[0]!) : null;
  return submission?.kind === 'submission' && mayShow(submission, place)
    ? keywordsOfLetter(context, tenant, submission)
    : [];
}

function replaceKeywords(
  context: KeywordContext,
  tenant: string,
  object: string,
  names: readonly string[],
  keywords: readonly string[],
  isShownIn: (place: Place) => boolean = () => true,
): void {
  const { sql } = context;
  const copies = sql(
    `SELECT m.mailbox, m.uid, m.flags, b.owner_type, b.owner_name FROM mail m JOIN mailbox b ON b.id = m.mailbox
     WHERE m.tenant = ? AND m.object = ?`,
  ).all(tenant, object) as (Place & { mailbox: number; uid: number; flags: string })[];
  for (const { mailbox, uid, flags, ...place } of copies) {
    if (!isShownIn(place)) continue;
    const before = flags === '' ? [] : flags.split(' ');
    const after = [...before.filter((flag) => !names.includes(flag)), ...keywords];
    if (after.length === before.length && after.every((flag) => before.includes(flag))) continue;
    const modseq = nextModseq(sql, mailbox);
    sql('UPDATE mail SET flags = ?, modseq = ? WHERE mailbox = ? AND uid = ?').run(
      after.join(' '),
      modseq,
      mailbox,
      uid,
    );
    context.changes.push({ topic: 'mailbox', tenant, mailbox });
  }
}
