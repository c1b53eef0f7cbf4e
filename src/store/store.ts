/**
 * The store: the only meeting place of the services. Small, asynchronous, in the domain's words, the
 * same for every engine (contract.test.ts runs against each).
 *
 * Writes (`Transactor`) resolve after the durable commit that holds the effect *and* its evidence entry.
 * Reads (`Reader`) never see half a commit. `Changes` tells what changed, after the commit.
 *
 * Every call names its tenant; nothing of one tenant is reachable under the name of another.
 */
import type {
  AccessEntry,
  Actor,
  ArchiveDigest,
  CheckFact,
  ConfirmationEntry,
  ConfirmationType,
  DeletionIntentEntry,
  DeletionOutcomeEntry,
  EmbeddedSignature,
  Entry,
  EntryKind,
  ExpiredEntry,
  ForwardIntentEntry,
  ForwardOutcomeEntry,
  HandoverIntentEntry,
  HandoverOutcomeEntry,
  HandoverSettledEntry,
  InboundEntry,
  IncidentEntry,
  LoginIntentEntry,
  LoginOutcomeEntry,
  NoticeEntry,
  NotificationEntry,
  ObjectFact,
  OpenedMailEntry,
  OperationEntry,
  OverdueEntry,
  PlacedEntry,
  RefusedEntry,
  ScanEntry,
  SentCopyEntry,
  SubmissionEntry,
  Verdict,
  VerdictEntry,
} from '../evidence/entry.ts';
import type { Fact } from '../evidence/facts.ts';
import type { MessageIndex } from '../mime/types.ts';
import type { LogReader, LogTransactor } from './logs.ts';
import type { RetentionReader, RetentionTransactor } from './retention.ts';
import type { SearchTextReader, SearchTextTransactor } from './search-text.ts';

export interface Store extends Transactor, Reader, AsyncDisposable {
  readonly changes: Changes;
}

/** Bytes on their way into the store: encrypted as they come, never whole in memory beyond 128 KiB. */
export interface ObjectWriter {
  /** Takes over the chunk (the caller must not change it); resolves when the next one is welcome. */
  write(chunk: Uint8Array): Promise<void>;
  /** Makes the bytes durable (file and folder synced). The object exists once a command has named it. */
  finish(): Promise<StagedObject>;
  /** Drops what was written. Safe to call at any time, also after `finish`. */
  abort(): Promise<void>;
}

/** A finished object that no command has named yet. Only the engine reads `storage`. */
export interface StagedObject extends ObjectFact {
  readonly tenant: string;
  readonly storage: unknown;
}

/** A message as bytes: `prefix`, then the object from byte `from` on. */
export interface ByteSource {
  readonly prefix: Uint8Array;
  readonly object: string;
  readonly from: number;
}

/** A mailbox tree belongs to a user (their login) or is shared (its name). */
export interface MailboxOwner {
  readonly type: 'user' | 'shared';
  readonly name: string;
}

/** A copy to place into a facade mailbox, in the same commit as the entry. */
export interface Deposit {
  readonly owner: MailboxOwner;
  /** Mailbox name, decoded (`De-Mail-Bestätigungen`); made if missing. */
  readonly mailbox: string;
  /** The owner's mailbox of this use is meant, whatever its name; null: the one of that name. */
  readonly specialUse?: string | null;
  readonly reason: string;
  /** Header block put before the object's bytes; may be empty. */
  readonly prefix: Uint8Array;
  readonly flags: readonly string[];
}

/** A message object together with its structure index. */
export interface StagedMessage {
  readonly object: StagedObject;
  readonly index: MessageIndex;
  /** Hex (mime/fingerprint.ts). Where it is missing or null, no copy of the message in a Sent mailbox is recognised. */
  readonly fingerprint?: string | null;
}

type Body<E> = Omit<E, 'kind' | 'delivered' | 'message'>;

/** A sender's signature, with the CMS structure where that is to be kept. */
export type StagedSignature = Omit<EmbeddedSignature, 'object'> & { readonly object?: StagedObject };

/** What a tenant may hand over within its day; checked and counted in the commit of the submission. */
export interface DailyQuota {
  /** Epoch ms at which the day began. */
  readonly since: number;
  readonly messages: number;
  readonly recipients: number;
}

export interface Submission extends Omit<Body<SubmissionEntry>, 'signatures'> {
  readonly message: StagedMessage;
  readonly signatures?: readonly StagedSignature[];
  readonly deposits: readonly Deposit[];
  /** Absent: no quota. */
  readonly dailyQuota?: DailyQuota;
}

export interface Refusal extends Body<RefusedEntry> {
  readonly message: StagedMessage;
}

export interface Notice extends Body<NoticeEntry> {
  readonly message: StagedMessage;
  readonly deposits: readonly Deposit[];
  /** Also send it to the tenant's own server, to these addresses. */
  readonly forward?: readonly string[];
}

type FetchedBody<E> = Omit<Body<E>, 'signatures'>;
/** A notice that is written in the commit of what it tells; a second one of that name for the letter is dropped. */
export interface NamedNotice extends Notice {
  readonly once: string;
}

/** `reverifyAt`: epoch ms of the first later look at an indeterminate verdict. */
export type Fetched = (
  | ({ readonly kind: 'inbound' } & FetchedBody<InboundEntry>)
  | ({ readonly kind: 'confirmation' } & FetchedBody<ConfirmationEntry>)
  | ({ readonly kind: 'notification' } & FetchedBody<NotificationEntry>)
  | ({ readonly kind: 'sent-copy' } & FetchedBody<SentCopyEntry>)
) & {
  readonly staged: StagedMessage;
  readonly signatures?: readonly StagedSignature[];
  /** Deposits and forwarding wait for `recordScan`. */
  readonly hold?: true;
  readonly deposits: readonly Deposit[];
  readonly reverifyAt?: number;
  /** Certificates and revocation data that the verdict rests on: kept as a verdict entry of its own. */
  readonly material?: VerdictRecord['material'];
  /** Queue a copy for the tenant's own server: these internal addresses, this prepended block. */
  readonly forward?: { readonly recipients: readonly string[]; readonly prefix: Uint8Array };
  /** What it means for the sender of the letter. */
  readonly notices?: readonly NamedNotice[];
};

export interface HandoverIntent extends Omit<Body<HandoverIntentEntry>, 'handed'> {
  readonly handed: {
    readonly sha256: string;
    readonly size: number;
    readonly header: StagedObject;
    readonly bodyFrom: number;
  };
}

export interface HandoverOutcome extends Body<HandoverOutcomeEntry> {
  /** When to try the deferred recipients again, epoch milliseconds; required for `deferred`. */
  readonly nextAttempt?: number;
  readonly notices?: readonly NamedNotice[];
}

export interface HandoverSettled extends Body<HandoverSettledEntry> {
  readonly notices?: readonly NamedNotice[];
}

export interface VerdictRecord extends Omit<VerdictEntry, 'kind' | 'material'> {
  readonly material: readonly {
    readonly type: 'certificate' | 'crl' | 'ocsp';
    readonly object: StagedObject;
  }[];
  /** Epoch ms of the next look, or null where the verdict is final. */
  readonly nextAttempt: number | null;
}

/** A fetched message whose copies wait for the malware scanner. */
export interface HeldMessage {
  readonly index: number;
  readonly object: string;
  /** Bytes. */
  readonly size: number;
  readonly deposits: readonly Deposit[];
  readonly forward: { readonly recipients: readonly string[]; readonly prefix: Uint8Array } | null;
}

/** What the scanner said of a held message: the copies that are made now, and no others. */
export interface ScanRecord extends Omit<ScanEntry, 'kind' | 'delivered'> {
  readonly deposits: readonly Deposit[];
  readonly forward: HeldMessage['forward'];
}

/** A private message for which no mailbox was found. */
export interface WaitingMessage {
  /** Index of the entry that brought it. */
  readonly index: number;
  /** Addresses that it waits for. */
  readonly addresses: readonly string[];
}

export interface PlacedMessage extends Omit<Body<PlacedEntry>, 'forwarded'> {
  readonly deposits: readonly Deposit[];
  readonly forward?: { readonly recipients: readonly string[]; readonly prefix: Uint8Array };
}

/** A confirmation that was asked for and has not come. */
export interface AwaitedConfirmation {
  readonly letter: number;
  readonly recipient: string;
  readonly confirmation: ConfirmationType;
  /** Epoch ms of the hand-over. */
  readonly since: number;
}

export interface JudgedMessage {
  readonly index: number;
  readonly verdict: Verdict;
  /** RFC 3339 time of the verdict. */
  readonly time: string;
  readonly checks: readonly CheckFact[];
}

export const archiveKinds = ['seal', 'timestamp-renewal', 'hash-tree-renewal'] as const;
export type ArchiveKind = (typeof archiveKinds)[number];

/** Entries of a tenant that no seal covers yet: [from, to). */
export interface UnsealedRange {
  readonly tenant: string;
  readonly from: number;
  readonly to: number;
  /** The signed checkpoint of size `to`. */
  readonly checkpoint: string;
  /** RFC 3339 time of entry `from`. */
  readonly oldest: string;
  /** Are there other entries than those that seals themselves make? Only then is a seal due. */
  readonly worthSealing: boolean;
}

/** What a seal covers of one tenant: entries [from, to) at `position` and after, then the checkpoint. */
export interface SealRange {
  readonly tenant: string;
  readonly from: number;
  readonly to: number;
  readonly position: number;
  readonly checkpoint: string;
}

/** Part of a tree of hashes: those of tile `n` at `level`, one after the other. */
export interface ArchiveTile {
  readonly level: number;
  readonly n: number;
  readonly hashes: Uint8Array;
}

/** A seal or a renewal (an archive timestamp of RFC 4998). */
export interface ArchiveTimestamp {
  /** From 1, over all tenants. */
  readonly id: number;
  readonly kind: ArchiveKind;
  readonly digest: ArchiveDigest;
  /** RFC 3339. */
  readonly genTime: string;
  /** Name of the time-stamping authority in the configuration. */
  readonly authority: string;
  /** Leaves of its tree. */
  readonly leaves: number;
  /** Does the token hold revocation data issued after genTime? Only then may another one cover it. */
  readonly final: boolean;
  /** It came with a tenant out of another store: of its tree only that tenant's part is held, as nodes. */
  readonly partial: boolean;
}

export interface ArchiveToken {
  /** DER of the ContentInfo, revocation data embedded. */
  readonly token: Buffer;
  /** The authority's response as it came. */
  readonly response: Buffer;
}

export interface ArchiveRecord extends Omit<ArchiveTimestamp, 'id' | 'partial'>, ArchiveToken {
  readonly tiles: readonly ArchiveTile[];
  /** A seal's. */
  readonly ranges: readonly SealRange[];
  /** A renewal's: which ones it renews, and where they stand in its tree. */
  readonly covers: readonly { readonly id: number; readonly position: number }[];
  /** A hash-tree renewal's: logs whose whole leaf list it covers. */
  readonly leafLists: readonly {
    readonly tenant: string;
    readonly size: number;
    readonly position: number;
  }[];
  /** A hash-tree renewal's: entries that did not verify. */
  readonly excluded: readonly { readonly tenant: string; readonly index: number; readonly reason: string }[];
}

/** The files of an entry that are not objects, as seals and exports hold them. */
export interface EntryFiles {
  readonly entry: Entry;
  /** RFC 8785 bytes. */
  readonly bytes: Buffer;
  readonly salt: Buffer;
}

export interface Transactor extends LogTransactor, RetentionTransactor, SearchTextTransactor {
  /** Opens the tenant's log if it has none (first entry `log-opened`); idempotent. */
  openTenant(tenant: string): Promise<void>;

  stage(tenant: string): ObjectWriter;
  /** Reads a finished object that no command has named yet. */
  openStaged(staged: StagedObject): OpenObject;

  /**
   * Message, queue rows, own copies and entry in one commit. Returns the letter = index of its entry.
   * @throws GatewayError `daily-quota`; its detail is `messages N` or `recipients N`: what is used already
   */
  acceptSubmission(tenant: string, submission: Submission): Promise<{ letter: number }>;

  /** A message that was not accepted, kept as evidence. Returns the index of its entry. */
  recordRefusal(tenant: string, refusal: Refusal): Promise<{ index: number }>;

  recordHandoverIntent(tenant: string, intent: HandoverIntent): Promise<void>;
  /** Recipients that were accepted or refused leave the queue; `in-doubt` holds the transaction. */
  recordHandoverOutcome(tenant: string, outcome: HandoverOutcome): Promise<void>;
  settleHandover(tenant: string, settled: HandoverSettled): Promise<void>;
  expireRecipients(tenant: string, expired: Body<ExpiredEntry>): Promise<void>;
  /** Asks for the next attempt now (operator), without an entry of its own. */
  rescheduleTransaction(
    tenant: string,
    letter: number,
    transaction: number,
    nextAttempt: number,
  ): Promise<void>;

  /** Lets a forwarding go at `nextAttempt` (operator), without an entry of its own. @throws where none waits */
  rescheduleForward(tenant: string, letter: number, nextAttempt: number): Promise<void>;

  /** A mail the gateway wrote. `once` names it: a second notice of that name for the letter is dropped (null). */
  deliverNotice(tenant: string, notice: Notice, once?: string): Promise<{ index: number } | null>;

  /**
   * A message fetched from the provider. Null when it was recorded before, under this UID or (after a change
   * of UIDVALIDITY, a lost answer, a second folder) as the same bytes of the same account.
   */
  recordFetched(tenant: string, fetched: Fetched): Promise<{ index: number } | null>;

  /** Ends the wait of a held message, in one commit with its copies. False where it waits no more. */
  recordScan(tenant: string, scan: ScanRecord): Promise<boolean>;
  /** Plans the next look at a held message, epoch ms. No entry. */
  planScan(tenant: string, index: number, nextAttempt: number): Promise<void>;

  recordForwardIntent(tenant: string, intent: Body<ForwardIntentEntry>): Promise<void>;
  recordForwardOutcome(
    tenant: string,
    outcome: Body<ForwardOutcomeEntry> & { readonly nextAttempt?: number },
  ): Promise<void>;

  /** A later verdict about a fetched message, with what it rests on. */
  recordVerdict(tenant: string, verdict: VerdictRecord): Promise<{ index: number }>;
  /** Plans the next look at an indeterminate verdict; null: it is final. No entry. */
  planReverification(tenant: string, about: number, nextAttempt: number | null): Promise<void>;
  /** False where nothing of it is awaited any more: the confirmation came in between. */
  recordOverdue(tenant: string, overdue: Body<OverdueEntry>): Promise<boolean>;
  /** Committed before the connection is made. Returns the index that the outcome names. */
  recordLoginIntent(tenant: string, intent: Body<LoginIntentEntry>): Promise<{ index: number }>;
  recordLoginOutcome(tenant: string, outcome: Body<LoginOutcomeEntry>): Promise<void>;
  /** Committed before the first copy goes. Returns the index that the outcome names. */
  recordDeletionIntent(tenant: string, intent: Body<DeletionIntentEntry>): Promise<{ index: number }>;
  recordDeletionOutcome(tenant: string, outcome: Body<DeletionOutcomeEntry>): Promise<void>;
  recordOpened(tenant: string, opened: Body<OpenedMailEntry>): Promise<void>;
  /** Places a private message that waits. False where it waits for none of the addresses any more. */
  placeWaiting(tenant: string, placed: PlacedMessage): Promise<boolean>;
  /** Locks or unlocks a tenant's link (hand-over and fetching), with its entry. False: it already was so. */
  setLock(
    tenant: string,
    lock: {
      readonly locked: boolean;
      readonly actor: Actor;
      readonly reason: string;
      /** What else is locked along with it, such as `token card-1`. */
      readonly scope?: string | undefined;
    },
  ): Promise<boolean>;

  recordAccess(tenant: string, access: Body<AccessEntry>): Promise<void>;
  recordOperation(tenant: string, operation: Body<OperationEntry>): Promise<void>;
  /** False where the incident already had that state: an incident is told once. */
  recordIncident(tenant: string, incident: Body<IncidentEntry>): Promise<boolean>;

  /** A seal or renewal with its entry in every log that it covers. Returns its number. */
  recordArchiveTimestamp(record: ArchiveRecord): Promise<{ id: number }>;
  /**
   * Makes a new tenant key and wraps every key of entry and object by it, in the background of everything else;
   * takes up a rotation that was cut off. @param onProgress told how many rows are done
   * @returns places whose key opened under neither key: they were corrupt before
   */
  rotateKeys(
    tenant: string,
    by: { readonly actor: Actor; readonly reason: string },
    onProgress?: (rows: number) => void,
  ): Promise<{ corrupt: readonly string[] }>;
  /** Puts in the token with its revocation data: again until something covers it. @throws where that is so. */
  finishArchiveToken(id: number, token: Buffer): Promise<void>;

  // Mailboxes: habits, no evidence.
  ensureMailboxes(tenant: string, owner: MailboxOwner, names: readonly MailboxDefinition[]): Promise<void>;
  createMailbox(tenant: string, owner: MailboxOwner, name: string): Promise<MailboxInfo>;
  /** Children move along. Renaming INBOX moves its messages into the new mailbox (RFC 3501 6.3.5). */
  renameMailbox(tenant: string, owner: MailboxOwner, from: string, to: string): Promise<void>;
  deleteMailbox(tenant: string, owner: MailboxOwner, name: string): Promise<void>;
  subscribeMailbox(
    tenant: string,
    user: string,
    owner: MailboxOwner,
    name: string,
    subscribed: boolean,
  ): Promise<void>;
  /**
   * Own message of a client. In a Sent mailbox that holds a copy of the message already, that one is named and takes
   * the flags over; so in `copyMessages` and `moveMessages` (sqlite/commands/sent-copies.ts).
   */
  appendMessage(
    tenant: string,
    mailbox: number,
    append: AppendMessage,
  ): Promise<{ uid: number; modseq: number }>;
  /** Of messages that came without one, by UID: before they are copied into a Sent mailbox. */
  recordFingerprints(
    tenant: string,
    mailbox: number,
    fingerprints: readonly (readonly [uid: number, fingerprint: string])[],
  ): Promise<void>;
  copyMessages(
    tenant: string,
    from: number,
    uids: readonly number[],
    to: number,
    filing?: Filing,
  ): Promise<CopyResult>;
  /** Copy and expunge in one commit (RFC 6851). */
  moveMessages(
    tenant: string,
    from: number,
    uids: readonly number[],
    to: number,
    filing?: Filing,
  ): Promise<CopyResult>;
  changeFlags(
    tenant: string,
    mailbox: number,
    uids: readonly number[],
    change: FlagChange,
  ): Promise<FlagResult>;
  /** Expunges messages that carry \Deleted; `uids` limits it (UID EXPUNGE). Returns the UIDs expunged. */
  expunge(
    tenant: string,
    mailbox: number,
    uids: readonly number[] | null,
  ): Promise<{ uids: number[]; modseq: number }>;
}

/** What an owner may keep, over all mailboxes; null: no limit. Only clients are held to it, never what comes in. */
export interface MailboxQuota {
  readonly bytes: number | null;
  readonly messages: number | null;
}

/** Which flags somebody may set and take away; keywords of the gateway (`$DeMail…`) nobody. */
export interface FlagRights {
  readonly seen: boolean;
  readonly deleted: boolean;
  /** All other system flags, and keywords. */
  readonly others: boolean;
}

/** How a client's message comes into a mailbox. */
export interface Filing {
  /** Whose \\Seen is meant, in a shared mailbox on either side. */
  readonly user?: string;
  /** Other flags are not set on what is filed; absent: every flag is. */
  readonly settable?: FlagRights;
  /** Of the target's owner. */
  readonly quota?: MailboxQuota;
}

export interface AppendMessage extends Filing {
  readonly message: StagedMessage;
  readonly flags: readonly string[];
  /** Epoch milliseconds. */
  readonly internalDate: number;
}

export interface FlagChange {
  readonly op: 'add' | 'remove' | 'replace';
  readonly flags: readonly string[];
  /** CONDSTORE: messages changed after this modseq are left alone and reported. */
  readonly unchangedSince?: number;
  /** Per-user \Seen in shared mailboxes: the login whose \Seen is meant. */
  readonly user?: string;
  /** Other flags stay as they are; absent: every flag may change. */
  readonly settable?: FlagRights;
}

export interface FlagResult {
  readonly changed: readonly MessageRow[];
  readonly refused: readonly number[];
}

export interface CopyResult {
  readonly uidValidity: number;
  /** Source UID and new UID, ascending. */
  readonly pairs: readonly (readonly [number, number])[];
}

export interface MailboxDefinition {
  readonly name: string;
  /** RFC 6154 attribute such as `\\Sent`, a use of the gateway's own (directory/mailboxes.ts), or null. */
  readonly specialUse: string | null;
}

export interface MailboxInfo {
  readonly id: number;
  readonly owner: MailboxOwner;
  readonly name: string;
  readonly specialUse: string | null;
  readonly uidValidity: number;
  readonly uidNext: number;
  readonly highestModseq: number;
  readonly messages: number;
  /** By the common \\Seen; what counts in a shared mailbox says `unseenBy`. */
  readonly unseen: number;
  /** Sum of message sizes, bytes. */
  readonly bytes: number;
}

export interface MessageRow {
  readonly uid: number;
  readonly modseq: number;
  /** System flags and keywords. */
  readonly flags: readonly string[];
  /** Bytes, prefix included. */
  readonly size: number;
  /** Epoch milliseconds. */
  readonly internalDate: number;
}

/** A message's bytes and its structure. The index speaks of the object; the facade shifts by the prefix. */
export interface MessageContent {
  readonly uid: number;
  readonly source: ByteSource;
  readonly index: MessageIndex;
  /** Where the message is a private De-Mail: the entry that brought it. Copies in other mailboxes are the same. */
  readonly privateOf: number | null;
}

/** What lists show of a message; it opens no object. */
export interface Summary {
  readonly uid: number;
  readonly source: ByteSource;
  /** Bytes, prefix included. */
  readonly size: number;
  readonly privateOf: number | null;
  /** Of the object alone; null where it has to be read by `contents` and `readSource`. */
  readonly object: {
    /** ENVELOPE and BODYSTRUCTURE as IMAP spells them, one character for each octet. */
    readonly envelope: string;
    readonly structure: string;
    /** From its first byte to its body; null where it is longer than a list needs, or was not asked for. */
    readonly header: Buffer | null;
  } | null;
}

/** An open transaction of the outbox. */
export interface OutboxItem {
  readonly tenant: string;
  readonly letter: number;
  readonly transaction: number;
  readonly privateId: string;
  /** Recipients still to be handed over. */
  readonly recipients: readonly string[];
  readonly state: 'queued' | 'attempting' | 'in-doubt';
  readonly attempts: number;
  /** Epoch milliseconds. */
  readonly acceptedAt: number;
  readonly nextAttempt: number;
  readonly lastReply: string | null;
}

export interface ForwardItem {
  readonly tenant: string;
  /** Index of the entry that it forwards. */
  readonly letter: number;
  readonly recipients: readonly string[];
  readonly source: ByteSource;
  readonly size: number;
  readonly state: 'queued' | 'attempting';
  readonly attempts: number;
  readonly acceptedAt: number;
  readonly nextAttempt: number;
  readonly lastReply: string | null;
}

/** A message of the evidence as searches list it: a submission, something fetched, a notice. */
export interface LetterSummary {
  readonly tenant: string;
  readonly index: number;
  /** RFC 3339. */
  readonly time: string;
  readonly kind: EntryKind;
  /** The letter it belongs to: itself, or the one it confirms; null where it fits none. */
  readonly letter: number | null;
  readonly messageId: string | null;
  readonly sender: string | null;
  readonly subject: string | null;
  readonly recipients: readonly {
    readonly address: string;
    readonly privateId: string | null;
    /** A submission or a De-Mail received: all that stands by now (evidence/standing.ts). Others: what this entry states of it. */
    readonly facts: readonly Fact[];
  }[];
  readonly verdict: Verdict | null;
}

export interface SearchQuery {
  readonly tenant?: string;
  /** Address of sender or recipient, whole or part. */
  readonly address?: string;
  readonly messageId?: string;
  readonly privateId?: string;
  readonly subject?: string;
  readonly kind?: EntryKind;
  /** RFC 3339 bounds on the entry's time, inclusive. */
  readonly since?: string;
  readonly until?: string;
  /** Hex SHA-256 of a file: a whole message or an attachment. */
  readonly sha256?: string;
  readonly fact?: string;
  /** File reference (Aktenzeichen), whole. */
  readonly fileReference?: string;
  readonly limit?: number;
}

export interface OpenObject {
  readonly size: number;
  /** Bytes [from, to), decrypted and authenticated chunk by chunk. Throws `CorruptObject` naming the place. */
  read(from?: number, to?: number): AsyncIterable<Buffer>;
}

/** Head of the open log. */
export interface LogHead {
  /** Entries of this log; the tenant's entries go up to `base + size`. */
  readonly size: number;
  readonly root: Buffer;
  /** The signed checkpoint, C2SP text. */
  readonly checkpoint: string;
}

export interface Reader extends LogReader, RetentionReader, SearchTextReader {
  tenants(): Promise<string[]>;
  head(tenant: string): Promise<LogHead>;
  /**
   * `c2sp.org/tlog-proof@v1` of an entry, under the newest checkpoint that witnesses cosigned if it covers the entry,
   * else under the newest; null for an index that is not there.
   * @param under an older checkpoint to prove it under, such as the one of a seal; it counts where it covers the entry
   */
  proof(tenant: string, index: number, under?: string): Promise<string | null>;

  /** Null for an index that is not there, or was erased (`erasure` says by which entry). @throws CorruptObject */
  entry(tenant: string, index: number): Promise<Entry | null>;
  /** Entries of one letter, in order: its own and every later one that names it. */
  timeline(tenant: string, letter: number): Promise<Entry[]>;
  search(query: SearchQuery): Promise<LetterSummary[]>;
  /** Letters under this Message-ID, private-id or `tenant/index`. */
  resolve(name: string, tenant?: string): Promise<{ tenant: string; letter: number }[]>;
  /** Every fact that an entry of the letter stated, oldest first. */
  facts(tenant: string, letter: number): Promise<Fact[]>;
  /** Those of them that stand by now (evidence/standing.ts). */
  standing(tenant: string, letter: number): Promise<Fact[]>;

  object(tenant: string, object: string): Promise<OpenObject | null>;
  /** Null for an index that is not there, or was erased. @throws CorruptObject */
  entryFiles(tenant: string, index: number): Promise<EntryFiles | null>;

  /** Entries of a tenant, over all its logs. */
  entryCount(tenant: string): Promise<number>;
  /** The leaf hashes of a tenant's first `size` entries, in order, a run of them at a time. */
  leafHashes(tenant: string, size: number): AsyncIterable<Uint8Array>;
  /** Of each tenant that has entries under no seal. */
  unsealed(): Promise<UnsealedRange[]>;
  /** All seals and renewals, ascending. */
  archiveTimestamps(): Promise<ArchiveTimestamp[]>;
  archiveToken(id: number): Promise<ArchiveToken | null>;
  /** What a seal covers, by position. */
  archiveRanges(id: number): Promise<SealRange[]>;
  /** Renewals of one archive timestamp, ascending: their number, and where it stands in their tree. */
  renewalsOf(id: number): Promise<{ id: number; kind: ArchiveKind; position: number }[]>;
  /** Every renewal with what it covers, ascending. */
  archiveCovers(): Promise<{ id: number; kind: ArchiveKind; covers: number }[]>;
  archiveLeafLists(id: number): Promise<ArchiveRecord['leafLists']>;
  archiveExcluded(id: number): Promise<ArchiveRecord['excluded']>;
  /** Hashes of a tile of an archive timestamp's tree; empty where there is none. */
  archiveTile(id: number, level: number, n: number): Promise<Uint8Array>;
  /** Node of the tree of a partial one, by binary level; null where that part is not held. */
  archiveNode(id: number, level: number, n: number): Promise<Buffer | null>;
  /** The seal over an entry, and the entry's position in its tree. */
  sealOf(tenant: string, index: number): Promise<{ id: number; position: number } | null>;

  /** Transactions that may be tried at `now` (epoch ms), oldest first; not those in doubt. */
  dueTransactions(tenant: string, now: number, limit: number): Promise<OutboxItem[]>;
  /** Epoch ms of the next attempt that is not yet due, or null. */
  nextTransactionAt(tenant: string, now: number): Promise<number | null>;
  /** Every open transaction: queued, attempting, in doubt. */
  openTransactions(tenant: string): Promise<OutboxItem[]>;
  transaction(tenant: string, letter: number, transaction: number): Promise<OutboxItem | null>;
  submissionOf(tenant: string, letter: number): Promise<(Entry & SubmissionEntry) | null>;

  dueForwards(tenant: string, now: number, limit: number): Promise<ForwardItem[]>;
  nextForwardAt(tenant: string, now: number): Promise<number | null>;
  openForwards(tenant: string): Promise<ForwardItem[]>;

  /** UIDs recorded under this folder and UIDVALIDITY. */
  fetchedUids(tenant: string, account: string, folder: string, uidValidity: string): Promise<Set<number>>;
  /** The entry that brought a message of these bytes (hex SHA-256) from this account; null where none did. */
  fetchedAs(tenant: string, account: string, sha256: string): Promise<number | null>;
  /** Intents without an outcome, oldest first: under way, or cut off by a kill. */
  openIntents(tenant: string): Promise<(Entry & (LoginIntentEntry | DeletionIntentEntry))[]>;
  /** The transaction with this private-id. */
  byPrivateId(tenant: string, privateId: string): Promise<{ letter: number; transaction: number } | null>;
  /** Transactions that a confirmation with this provider message id was matched to. */
  byProviderMessageId(
    tenant: string,
    messageId: string,
  ): Promise<{ letter: number; transaction: number } | null>;
  /** Messages whose verdict is to be looked at again by `now` (epoch ms), oldest first. */
  dueReverifications(tenant: string, now: number, limit: number): Promise<number[]>;
  nextReverificationAt(tenant: string, now: number): Promise<number | null>;
  /** Messages that wait for the malware scanner and are to be looked at by `now` (epoch ms), oldest first. */
  held(tenant: string, now: number, limit: number): Promise<HeldMessage[]>;
  /** The newest verdict about an entry: its own, or a later one. */
  latestVerdict(tenant: string, index: number): Promise<JudgedMessage | null>;
  /** Every verdict that came after the entry, oldest first. */
  verdictsAbout(tenant: string, index: number): Promise<(Entry & VerdictEntry)[]>;
  /** Confirmations of this type that were asked for, handed over before `before` (epoch ms), not told yet. */
  awaited(
    tenant: string,
    confirmation: ConfirmationType,
    before: number,
    limit: number,
  ): Promise<AwaitedConfirmation[]>;
  /** Letters handed over in that time (epoch ms, both ends included) without a Sent copy of the provider's, oldest first. */
  missingSentCopies(tenant: string, from: number, to: number, limit: number): Promise<number[]>;
  /** Private messages that wait for a mailbox, oldest first. */
  waitingPrivate(tenant: string): Promise<WaitingMessage[]>;
  /** Why nothing is handed over or fetched: an operator's lock, or a log that is held; null where neither. */
  lock(tenant: string): Promise<{ reason: string; since: string; actor: string } | null>;
  /** Open incidents. */
  incidents(tenant: string): Promise<{ incident: string; since: string; text: string }[]>;

  mailboxes(tenant: string, owner: MailboxOwner): Promise<MailboxInfo[]>;
  mailbox(tenant: string, owner: MailboxOwner, name: string): Promise<MailboxInfo | null>;
  mailboxById(tenant: string, mailbox: number): Promise<MailboxInfo | null>;
  subscriptions(tenant: string, user: string): Promise<{ owner: MailboxOwner; name: string }[]>;
  /** What the owner keeps, over all mailboxes. */
  mailboxUsage(tenant: string, owner: MailboxOwner): Promise<{ messages: number; bytes: number }>;
  /** Messages of a shared mailbox that the user has not seen. */
  unseenBy(tenant: string, mailbox: number, user: string): Promise<number>;
  /** All messages, ascending by UID. `user`: whose \Seen counts in a shared mailbox. */
  messages(tenant: string, mailbox: number, user?: string): Promise<MessageRow[]>;
  /** Messages with a modseq above `since`, and the UIDs expunged since then, of one moment. -1: all there are, and none expunged. */
  changesSince(
    tenant: string,
    mailbox: number,
    since: number,
    user?: string,
  ): Promise<{ changed: MessageRow[]; expunged: number[]; highestModseq: number; uidNext: number }>;
  contents(tenant: string, mailbox: number, uids: readonly number[]): Promise<MessageContent[]>;
  /** The same for lists, `uids` ascending; headers only where `withHeader`. */
  summaries(
    tenant: string,
    mailbox: number,
    uids: readonly number[],
    withHeader: boolean,
  ): Promise<Summary[]>;
  /** Private De-Mails in the mailbox: UID → entry that brought it. */
  privateMessages(tenant: string, mailbox: number): Promise<ReadonlyMap<number, number>>;
  /** Messages of the mailbox under this Message-ID (as in ENVELOPE). */
  byMessageId(tenant: string, mailbox: number, messageId: string): Promise<number[]>;
  /** Those of the messages that have a Message-ID and no fingerprint. */
  withoutFingerprint(tenant: string, mailbox: number, uids: readonly number[]): Promise<number[]>;
  /** Bytes [from, to) of a composed message. */
  readSource(tenant: string, source: ByteSource, from?: number, to?: number): AsyncIterable<Buffer>;
}

export type Change =
  | { readonly topic: 'outbox'; readonly tenant: string }
  | { readonly topic: 'forward'; readonly tenant: string }
  | { readonly topic: 'mailbox'; readonly tenant: string; readonly mailbox: number }
  | { readonly topic: 'mailboxes'; readonly tenant: string; readonly owner: MailboxOwner }
  /** Locked, unlocked, held or released. */
  | { readonly topic: 'lock'; readonly tenant: string }
  /** A new checkpoint was signed. */
  | { readonly topic: 'log'; readonly tenant: string };

export interface Changes {
  /** Calls `listener` after each commit that changed something; dispose to stop. */
  subscribe(listener: (change: Change) => void): Disposable;
}

/** A stored object, entry or row does not say what was written. Names the place. */
export class CorruptObject extends Error {
  constructor(place: string, cause?: unknown) {
    super(`corrupt: ${place}`, { cause });
    this.name = 'CorruptObject';
  }
}

/** What the tables say of seals and renewals. */
export type ArchiveRows = Pick<
  Reader,
  | 'archiveTimestamps'
  | 'archiveRanges'
  | 'renewalsOf'
  | 'archiveCovers'
  | 'archiveLeafLists'
  | 'archiveExcluded'
  | 'archiveTile'
  | 'archiveNode'
>;
