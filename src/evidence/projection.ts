/**
 * What the store's evidence tables hold, as a pure function of one entry. The writer inserts these rows in
 * the commit of the entry; verification computes them again from the proven entry and compares. So no
 * column that a search or a timeline shows can say anything that the log does not.
 *
 * Every row carries `idx`, the entry that it comes from.
 */
import type { EmbeddedSignature, Entry } from './entry.ts';
import { factsOf } from './facts.ts';
import { objectsOf } from './objects-of.ts';

export type Cell = string | number | null;

/** Table name → columns, `idx` first. The tenant's column comes before all of them. */
export const evidenceTables = {
  /** One row per entry that brought a message. */
  message: ['idx', 'kind', 'time', 'letter', 'message_id', 'sender', 'subject', 'verdict'],
  /** Recipients that an entry speaks of; transaction is null where it has none. */
  message_recipient: ['idx', 'address', 'private_id'],
  /** `tx` is null where a fetched message states the private-id. */
  private_id: ['idx', 'private_id', 'letter', 'tx'],
  /** Message ids that the provider gave to our letters. */
  provider_id: ['idx', 'message_id', 'letter', 'tx'],
  fact: ['idx', 'letter', 'recipient', 'fact', 'time', 'detail'],
  /** Entry → letter that it belongs to. */
  letter_entry: ['idx', 'letter'],
  /** Verdicts that came after the entry that they judge. */
  verdict: ['idx', 'about', 'verdict'],
  file_reference: ['idx', 'reference'],
  /**
   * Keyed digests of every file seen: messages and attachments. An object's address is such a digest, so
   * this also says which objects are evidence and stay as long as the entry.
   */
  digest: ['idx', 'digest', 'name'],
  /** `entry` was erased by this one: the only leave to take its content and its rows away. */
  erased: ['idx', 'entry'],
  /** Holds and their ends: the newest row of a letter, or of a file reference, counts. */
  retention_hold: ['idx', 'letter', 'reference', 'held'],
} as const satisfies Record<string, readonly string[]>;

export type EvidenceTable = keyof typeof evidenceTables;

export interface EvidenceRow {
  readonly table: EvidenceTable;
  readonly cells: readonly Cell[];
}

/** Keyed digest of a hex SHA-256: a bare one would let a reader of the index guess content. */
export type KeyedDigest = (sha256: string) => string;

export function projectionOf(entry: Entry, keyed: KeyedDigest): EvidenceRow[] {
  const rows: EvidenceRow[] = [];
  const add = (table: EvidenceTable, ...cells: Cell[]) => {
    rows.push({ table, cells: [entry.index, ...cells] });
  };
  const signatures = (list: readonly EmbeddedSignature[] = []) => {
    for (const { sha256 } of list) add('digest', keyed(sha256), null);
  };

  const letter = letterOf(entry);
  if (letter !== null) add('letter_entry', letter);
  for (const fact of factsOf(entry))
    add('fact', fact.letter, fact.recipient, fact.fact, fact.time, fact.detail);

  for (const { fact } of objectsOf(entry)) add('digest', fact.object, null);

  switch (entry.kind) {
    case 'submission':
      add(
        'message',
        entry.kind,
        entry.time,
        entry.index,
        entry.header.messageId,
        entry.sender,
        entry.header.subject,
        null,
      );
      for (const t of entry.transactions) {
        add('private_id', t.privateId, entry.index, t.id);
        for (const address of [...t.to, ...t.cc, ...t.bcc]) add('message_recipient', address, t.privateId);
      }
      for (const a of entry.attachments) add('digest', keyed(a.sha256), a.name ?? '');
      signatures(entry.signatures);
      if (entry.fileReference !== undefined) add('file_reference', entry.fileReference);
      break;
    case 'refused':
      add(
        'message',
        entry.kind,
        entry.time,
        entry.index,
        entry.header.messageId,
        entry.sender,
        entry.header.subject,
        null,
      );
      for (const { address } of entry.envelope.recipients) add('message_recipient', address, null);
      for (const a of entry.attachments) add('digest', keyed(a.sha256), a.name ?? '');
      break;
    case 'verdict':
      add('verdict', entry.about, entry.verdict);
      break;
    case 'deletion-outcome':
      // One entry for copies of many letters: it stands in the timeline of each.
      for (const one of new Set(entry.copies.map((copy) => copy.letter)))
        if (one !== null) add('letter_entry', one);
      break;
    case 'handover-intent':
      add('digest', keyed(entry.handed.sha256), null);
      break;
    case 'erased':
      for (const index of entry.entries) add('erased', index);
      break;
    case 'retention-hold':
      add('retention_hold', entry.letter, entry.fileReference ?? null, entry.held ? 1 : 0);
      break;
    case 'notice':
      add('message', entry.kind, entry.time, entry.letter, null, null, entry.about, null);
      break;
    case 'inbound':
    case 'confirmation':
    case 'notification':
    case 'sent-copy':
      add(
        'message',
        entry.kind,
        entry.time,
        letter,
        entry.header.messageId,
        entry.demail.sender ?? entry.header.from,
        entry.header.subject,
        entry.verdict,
      );
      for (const address of recipientsOf(entry)) add('message_recipient', address, entry.demail.privateId);
      for (const a of entry.attachments) add('digest', keyed(a.sha256), a.name ?? '');
      signatures(entry.signatures);
      if (entry.demail.privateId !== null)
        add('private_id', entry.demail.privateId, letter ?? entry.index, null);
      if (entry.kind === 'confirmation' && entry.letter !== null && entry.originalMessageId !== undefined) {
        add('provider_id', entry.originalMessageId, entry.letter, entry.transaction);
      }
      break;
    default:
      break;
  }
  return rows;
}

/** The letter that an entry belongs to: itself for one that begins a letter, null for none. */
export function letterOf(entry: Entry): number | null {
  switch (entry.kind) {
    case 'submission':
    case 'refused':
    case 'inbound':
      return entry.index;
    case 'log-opened':
    case 'log-key':
    case 'lost':
    case 'imported':
    case 'login-intent':
    case 'login-outcome':
    case 'deletion-intent':
    case 'deletion-outcome':
    case 'access':
    case 'operation':
    case 'incident':
    case 'sealed':
    case 'renewed':
    case 'erased':
      return null;
    default:
      return entry.letter;
  }
}

function recipientsOf(entry: Entry): readonly string[] {
  switch (entry.kind) {
    case 'confirmation':
    case 'notification':
      return [...new Set(entry.recipients)];
    case 'inbound':
    case 'sent-copy':
      return [...new Set([...entry.demail.envelopeTo, ...entry.demail.chosenRecipients])];
    default:
      return [];
  }
}
