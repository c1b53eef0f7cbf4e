/**
 * The entries of a tenant's evidence log: what the log says, in a closed set of kinds. An entry is a
 * canonical JSON object (RFC 8785); everything else the store knows about a letter is derived from its
 * entries (facts.ts, projection.ts), so that what is shown can be recomputed from what is proven.
 *
 * `v` is the version of this format. Old versions stay readable for ever; a change adds a version.
 */
import type { Attachment } from '../mime/types.ts';

export const ENTRY_VERSION = 1;

/** Dispatch options of a De-Mail (TR-01201 FU 3.3). */
export const dispatchOptions = ['dispatch', 'receipt', 'retrieval', 'authoritative', 'private'] as const;
export type DispatchOption = (typeof dispatchOptions)[number];

/** A stored object as the log names it. `object` is its keyed address within the tenant (hex). */
export interface ObjectFact {
  readonly object: string;
  /** Lower-case hex SHA-256 of the plain bytes. */
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/** What in the client's message chose a dispatch option, in the order in which they count. */
export const optionSources = [
  'header',
  'subject-tag',
  'delivery-receipt',
  'sensitivity',
  'read-receipt',
  'importance',
  'default',
  'implied',
] as const;
export type OptionSource = (typeof optionSources)[number];

/** A signature inside a message: an evidence object of its own. */
export interface EmbeddedSignature {
  readonly kind: 'smime-signed' | 'smime-opaque' | 'p7s' | 'pdf';
  /** IMAP part number, such as `1.2`. */
  readonly part: string;
  readonly sha256: string;
  readonly signer: string | null;
  readonly verdict: Verdict;
  /** How the verdict came about; absent where nothing was checked. */
  readonly checks?: readonly CheckFact[];
  /** RFC 3339 time that the signer claims. */
  readonly signedAt?: string;
  /** The CMS structure itself, kept as an object; absent where there is none, or one too large. */
  readonly object?: ObjectFact;
}

/** What a malware scanner said of a message. */
export interface ScanFact {
  /** `not-scanned`: it could not, `detail` says why; nothing was delivered for that. */
  readonly result: 'clean' | 'infected' | 'not-scanned';
  /** Name of what was found, or why nothing was looked for. */
  readonly detail?: string;
  /** Version of scanner and signatures, as it says. */
  readonly scanner?: string;
}

/** One step of a verdict, in words (ETSI EN 319 102-1). */
export interface CheckFact {
  readonly name: string;
  readonly result: 'passed' | 'failed' | 'undecided';
  readonly reason: string;
}

/** Who acted: a login, a relay host, an operator, or the gateway itself. */
export interface Actor {
  readonly type: 'user' | 'relay' | 'operator' | 'gateway';
  readonly name: string;
  /** Peer address, where there is one. */
  readonly address?: string;
}

export interface HeaderFacts {
  readonly messageId: string | null;
  /** Decoded, at most 998 characters. */
  readonly subject: string | null;
  /** addr-spec of From, as asserted. */
  readonly from: string | null;
  /** The Date header as it stands. */
  readonly date: string | null;
}

export interface EnvelopeRecipient {
  readonly address: string;
  /** RFC 3461 NOTIFY values, upper case. */
  readonly notify?: readonly string[];
  readonly orcpt?: string;
}

/** One hand-over to the provider: a Bcc recipient has one of its own. `id` counts from 0 within the letter. */
export interface Transaction {
  readonly id: number;
  readonly privateId: string;
  readonly to: readonly string[];
  readonly cc: readonly string[];
  readonly bcc: readonly string[];
}

/** A copy placed into a facade mailbox. */
export interface Delivery {
  /** Login of the owner, or name of the shared mailbox. */
  readonly owner: string;
  readonly mailbox: string;
  /** Why there: an address that matched, or the fallback rule. */
  readonly reason: string;
}

/** One documented change to the header between the bytes as submitted and as handed over. */
export interface HeaderEdit {
  readonly op: 'add' | 'remove' | 'replace';
  readonly name: string;
  readonly before?: string;
  readonly after?: string;
}

export type RecipientResult = {
  readonly address: string;
  readonly result: 'accepted' | 'refused' | 'deferred';
  /** The peer's reply, as it came, at most 1,000 characters. */
  readonly reply: string;
};

export interface Peer {
  readonly endpoint: string;
  /** Hex SHA-256 of the peer's certificate (DER), where TLS was used. */
  readonly certificate?: string;
}

export interface OpenedEntry {
  readonly kind: 'log-opened';
  /** Origin line of the checkpoints. */
  readonly origin: string;
  /** Verifier key of the log, signed-note form. */
  readonly key: string;
  /** The log that was closed before this one was opened. */
  readonly predecessor?: ClosedLog;
}

/** A log that nothing is added to any more, because it no longer continued what had been seen of it. */
export interface ClosedLog {
  readonly origin: string;
  /** The key that signed last. */
  readonly key: string;
  /** Index of its first entry. */
  readonly base: number;
  /** Entries that the database held of it, and their root (base64). */
  readonly size: number;
  readonly root: string;
  /** What was seen of it elsewhere and is not in the database. */
  readonly known: readonly {
    readonly source: string;
    readonly reason: string;
    readonly size: number;
    /** The signed checkpoint, where there is one. */
    readonly checkpoint: string | null;
  }[];
  readonly actor: Actor;
  readonly reason: string;
  /** The final note (log-notes.ts), signed by the closed log's key; null where that key is lost. */
  readonly note: string | null;
}

/**
 * The entries before came out of another store, as they were: their log was closed with them, and goes on here. Stands
 * behind the `log-opened` of the log that goes on.
 */
export interface ImportedEntry {
  readonly kind: 'imported';
  readonly actor: Actor;
  /** Origin of the log that was open there. */
  readonly origin: string;
  /** Entries that came: all before the log that goes on. */
  readonly entries: number;
  /** Of these, entries that had been erased before: their commitments came. */
  readonly erased: number;
  /** The last checkpoint of the log there. */
  readonly checkpoint: string;
  readonly export: {
    readonly format: string;
    /** Hex SHA-256 of the export's list of files. */
    readonly sha256: string;
    /** That list as the log there signed it (a signed note). */
    readonly note: string;
    /** Steps of its verification that could not be decided. */
    readonly undecided: number;
  };
  /** Numbers of the seals and renewals over these entries: as the entries name them, and as they are here. */
  readonly archiveTimestamps: readonly (readonly [number, number])[];
}

/** This index was given in a log that was closed, to an entry that is lost: it names nothing else. */
export interface LostEntry {
  readonly kind: 'lost';
  readonly origin: string;
}

/** The log is signed by another key from here on; the checkpoint over this entry carries both signatures. */
export interface LogKeyEntry {
  readonly kind: 'log-key';
  readonly actor: Actor;
  readonly reason: string;
  /** Verifier keys. */
  readonly previous: string;
  readonly key: string;
  /** RFC 3339 time up to which the previous key signs too; absent: only over this entry. */
  readonly until?: string;
  /** The change as a note (log-notes.ts), signed by both keys. */
  readonly note: string;
}

export interface SubmissionEntry {
  readonly kind: 'submission';
  readonly actor: Actor;
  readonly listener: string;
  readonly envelope: {
    readonly from: string;
    readonly recipients: readonly EnvelopeRecipient[];
    readonly ret?: string;
    readonly envid?: string;
  };
  /** De-Mail address that the letter is sent from. */
  readonly sender: string;
  readonly header: HeaderFacts;
  readonly message: ObjectFact;
  readonly attachments: readonly Attachment[];
  readonly options: readonly DispatchOption[];
  /** Which control chose each option. */
  readonly optionSources?: readonly {
    readonly option: DispatchOption;
    readonly by: OptionSource;
    readonly value?: string;
  }[];
  /** File reference (Aktenzeichen), as the sender gave it. */
  readonly fileReference?: string;
  /** Signatures that the sender put into the message. */
  readonly signatures?: readonly EmbeddedSignature[];
  /** Absent where no scanner is configured. */
  readonly scan?: ScanFact;
  /** What the client asked for as private-id, before the random part. */
  readonly clientPrivateId?: string;
  /** Headers that the client set and that were not honoured. */
  readonly removedHeaders: readonly { readonly name: string; readonly value: string }[];
  readonly transactions: readonly Transaction[];
  readonly delivered: readonly Delivery[];
}

/** A message that a client wanted to send and that was refused because of malware: its bytes are kept. */
export interface RefusedEntry {
  readonly kind: 'refused';
  readonly actor: Actor;
  readonly listener: string;
  readonly envelope: SubmissionEntry['envelope'];
  readonly sender: string;
  readonly header: HeaderFacts;
  readonly message: ObjectFact;
  readonly attachments: readonly Attachment[];
  readonly options: readonly DispatchOption[];
  readonly scan: ScanFact;
}

/** Intent: committed before the first byte of the hand-over leaves. */
export interface HandoverIntentEntry {
  readonly kind: 'handover-intent';
  readonly letter: number;
  readonly transaction: number;
  readonly attempt: number;
  readonly endpoint: string;
  readonly recipients: readonly string[];
  /** Bytes as handed over: `header`, then the submitted object from byte `bodyFrom`. */
  readonly handed: {
    readonly sha256: string;
    readonly size: number;
    readonly header: ObjectFact;
    readonly bodyFrom: number;
  };
  readonly edits: readonly HeaderEdit[];
}

/** How one hand-over ended. `in-doubt`: it broke where nobody can know. */
export interface HandoverOutcomeEntry {
  readonly kind: 'handover-outcome';
  readonly letter: number;
  readonly transaction: number;
  readonly attempt: number;
  readonly result: 'done' | 'deferred' | 'in-doubt';
  readonly recipients: readonly RecipientResult[];
  readonly reply: string;
  readonly peer: Peer;
}

/** A doubt settled: by the provider's word, or by an operator. */
export interface HandoverSettledEntry {
  readonly kind: 'handover-settled';
  readonly letter: number;
  readonly transaction: number;
  readonly recipients: readonly string[];
  readonly decision: 'handed-over' | 'resend' | 'abandoned';
  readonly by: 'dispatch-confirmation' | 'sent-copy' | 'policy' | 'operator';
  readonly actor: Actor;
  readonly reason: string;
}

/** The time for retries is over for these recipients. */
export interface ExpiredEntry {
  readonly kind: 'expired';
  readonly letter: number;
  readonly transaction: number;
  readonly recipients: readonly string[];
  readonly lastReply: string;
}

/** A mail the gateway itself wrote: delay notice, non-delivery report, notice to operators. */
export interface NoticeEntry {
  readonly kind: 'notice';
  readonly letter: number | null;
  readonly about:
    | 'delayed'
    | 'failed'
    | 'in-doubt'
    | 'settled'
    | 'incident'
    | 'relayed'
    | 'delivered'
    | 'overdue'
    | 'disputed'
    | 'malware'
    | 'private'
    | 'retention';
  readonly text: string;
  /** Recipients of the letter that it tells of; absent where it is about none, or an earlier release wrote it. */
  readonly recipients?: readonly string[];
  readonly message: ObjectFact;
  readonly delivered: readonly Delivery[];
}

/** Where a fetched message lay at the provider. */
export interface FetchedFrom {
  readonly account: string;
  readonly folder: string;
  readonly uidValidity: string;
  readonly uid: number;
}

/** De-Mail metadata of a fetched message, as far as it could be read (TR-01201 IO 3.1). */
export interface DemailFacts {
  readonly messageType: string | null;
  readonly messageId: string | null;
  readonly privateId: string | null;
  readonly sender: string | null;
  readonly authLevel: string | null;
  readonly originatorProvider: string | null;
  readonly options: readonly DispatchOption[];
  readonly chosenRecipients: readonly string[];
  readonly envelopeTo: readonly string[];
}

export type Verdict = 'not-checked' | 'valid' | 'indeterminate' | 'invalid';

interface FetchedEntry {
  readonly source: FetchedFrom;
  readonly message: ObjectFact;
  readonly header: HeaderFacts;
  readonly demail: DemailFacts;
  readonly attachments: readonly Attachment[];
  readonly verdict: Verdict;
  /** How the verdict came about; absent where nothing was checked. */
  readonly checks?: readonly CheckFact[];
  readonly signatures?: readonly EmbeddedSignature[];
  /** Absent where no scanner is configured, or nobody gets a copy. */
  readonly scan?: ScanFact;
  readonly delivered: readonly Delivery[];
  /** Private (FU 3.3), or about a letter that is; absent where it is not. */
  readonly private?: true;
  /** Addresses for which no mailbox may take it: it waits for them. Empty string: nobody of the tenant is named. */
  readonly waitsFor?: readonly string[];
}

/** A De-Mail received by the tenant. */
export interface InboundEntry extends FetchedEntry {
  readonly kind: 'inbound';
}

export const confirmationTypes = ['dispatch', 'receipt', 'retrieval'] as const;
export type ConfirmationType = (typeof confirmationTypes)[number];

/**
 * A confirmation. `letter` is what it confirms: a submission, or (then without transaction) a De-Mail received; null
 * where it fits nothing that we know: evidence all the same.
 */
export interface ConfirmationEntry extends FetchedEntry {
  readonly kind: 'confirmation';
  readonly confirmation: ConfirmationType;
  readonly letter: number | null;
  readonly transaction: number | null;
  /** Recipients that it speaks of. */
  readonly recipients: readonly string[];
  /** Time that the confirmation states (RFC 3339), or null. */
  readonly statedTime: string | null;
  readonly matchedBy: 'private-id' | 'message-id' | null;
  /**
   * Does it count? `no`: it is stored and shown, and states no fact. `provisional`: all holds but the revocation
   * status, which is not final yet. Absent: the release that wrote it did not check.
   */
  readonly counts?: 'yes' | 'provisional' | 'no';
  /** Each comparison between confirmation and letter. */
  readonly comparisons?: readonly CheckFact[];
  /** X-de-mail-message-id that the provider gave the letter, as the confirmation states it. */
  readonly originalMessageId?: string;
}

/** A provider's notification, malware message or identification. */
export interface NotificationEntry extends FetchedEntry {
  readonly kind: 'notification';
  readonly notification: string;
  readonly letter: number | null;
  readonly transaction: number | null;
  readonly recipients: readonly string[];
  readonly matchedBy: 'private-id' | 'message-id' | null;
}

/** A later verdict about a fetched message: every verdict is kept, the latest is shown. */
export interface VerdictEntry {
  readonly kind: 'verdict';
  /** Index of the entry that is judged. */
  readonly about: number;
  readonly letter: number | null;
  readonly recipients: readonly string[];
  readonly verdict: Verdict;
  readonly checks: readonly CheckFact[];
  /** Certificates and revocation data that it rests on. */
  readonly material: readonly (ObjectFact & { readonly type: 'certificate' | 'crl' | 'ocsp' })[];
  /**
   * What a confirmation is worth that did not count when it came: an anchor was configured since, or the letter that
   * it speaks of came after it.
   */
  readonly confirms?: {
    readonly confirmation: ConfirmationType;
    readonly transaction: number | null;
    readonly statedTime: string | null;
    readonly counts: 'yes' | 'provisional' | 'no';
    readonly comparisons: readonly CheckFact[];
  };
}

/** A fetched message that had to wait for the malware scanner, and what became of its copies. */
export interface ScanEntry extends ScanFact {
  readonly kind: 'scan';
  /** Index of the entry that brought the message. */
  readonly about: number;
  readonly letter: number | null;
  readonly delivered: readonly Delivery[];
}

/** A confirmation that was asked for has not come in time: silence is an event. */
export interface OverdueEntry {
  readonly kind: 'overdue';
  readonly letter: number;
  readonly confirmation: ConfirmationType;
  readonly recipients: readonly string[];
  /** RFC 3339 time of the hand-over. */
  readonly since: string;
}

/** A login at the provider is about to happen: at level high it serves what lies there (FU 3.3.5). */
export interface LoginIntentEntry {
  readonly kind: 'login-intent';
  readonly account: string;
  readonly protocol: 'imap' | 'smtp';
  readonly level: 'normal' | 'high';
  readonly reason: string;
  readonly actor: Actor;
}

export interface LoginOutcomeEntry {
  readonly kind: 'login-outcome';
  readonly account: string;
  readonly protocol: 'imap' | 'smtp';
  readonly intent: number;
  readonly result: 'logged-in' | 'failed' | 'unknown';
  readonly detail: string;
}

/** A copy at the provider whose bytes are in the store. `entry` brought it, `letter` is what that belongs to. */
export interface DeletableCopy {
  readonly uid: number;
  readonly entry: number;
  readonly letter: number | null;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/** Copies at the provider are about to be deleted; each was compared with the store byte for byte. */
export interface DeletionIntentEntry {
  readonly kind: 'deletion-intent';
  readonly account: string;
  readonly folder: string;
  readonly uidValidity: string;
  readonly copies: readonly DeletableCopy[];
  /** The rule that allows it, in words. */
  readonly reason: string;
}

export interface DeletionOutcomeEntry {
  readonly kind: 'deletion-outcome';
  readonly account: string;
  readonly folder: string;
  readonly intent: number;
  readonly result: 'deleted' | 'failed' | 'unknown';
  /** Those that are gone; of `unknown` those that may be. */
  readonly copies: readonly DeletableCopy[];
  readonly detail: string;
}

/** Somebody opened a private De-Mail. */
export interface OpenedMailEntry {
  readonly kind: 'opened';
  readonly actor: Actor;
  /** The letter that the message is, or belongs to. */
  readonly letter: number;
  /** As the client names it. */
  readonly mailbox: string;
  /** Index of the entry that brought the message, where that is not the letter itself. */
  readonly about?: number;
  /** How the session had logged in. */
  readonly method?: 'password' | 'password and client certificate';
  /** Hex SHA-256 of the client certificate (DER). */
  readonly certificate?: string;
}

/** A private De-Mail that waited was placed after all. */
export interface PlacedEntry {
  readonly kind: 'placed';
  readonly actor: Actor;
  readonly letter: number;
  /** Index of the entry that brought the message. */
  readonly about: number;
  /** Addresses that it waited for. */
  readonly addresses: readonly string[];
  readonly reason: string;
  readonly delivered: readonly Delivery[];
  /** Addresses at the tenant's own server that it was queued for. */
  readonly forwarded: readonly string[];
}

/** The provider's own Sent copy of a letter. */
export interface SentCopyEntry extends FetchedEntry {
  readonly kind: 'sent-copy';
  readonly letter: number | null;
  readonly transaction: number | null;
  /** Every difference to what was handed over; `failed` where it is none that a provider may make. */
  readonly comparisons?: readonly CheckFact[];
}

export interface ForwardIntentEntry {
  readonly kind: 'forward-intent';
  /** Index of the entry whose message is forwarded. */
  readonly letter: number;
  readonly attempt: number;
  readonly endpoint: string;
  readonly recipients: readonly string[];
  readonly sha256: string;
  readonly size: number;
}

export interface ForwardOutcomeEntry {
  readonly kind: 'forward-outcome';
  readonly letter: number;
  readonly attempt: number;
  readonly result: 'done' | 'deferred' | 'failed' | 'in-doubt';
  readonly recipients: readonly RecipientResult[];
  readonly reply: string;
  readonly peer: Peer;
}

/** Somebody looked. */
export interface AccessEntry {
  readonly kind: 'access';
  readonly actor: Actor;
  readonly action: 'search' | 'show' | 'verify' | 'export' | 'report';
  readonly query: string;
}

/** A letter, or all letters under a file reference, must not be erased (a dispute, an audit), or may be again. */
export interface RetentionHoldEntry {
  readonly kind: 'retention-hold';
  readonly actor: Actor;
  readonly held: boolean;
  /** Null where `fileReference` names them. */
  readonly letter: number | null;
  readonly fileReference?: string;
  readonly reason: string;
}

/** Somebody asks for the erasure of a letter before its time; nothing happens until another person agrees. */
export interface ErasureProposedEntry {
  readonly kind: 'erasure-proposed';
  readonly actor: Actor;
  readonly letter: number;
  readonly legalBasis: string;
  readonly copies: 'stay' | 'remove';
  readonly reason: string;
}

/** Entries were erased: keys, salts, and all that was derived from them. Says nothing about any person but who acted. */
export interface ErasedEntry {
  readonly kind: 'erased';
  /** Letters (first entries) that are gone. */
  readonly letters: readonly number[];
  /** Every entry that is gone, ascending. */
  readonly entries: readonly number[];
  /** Name of the retention class; `on-demand` where persons asked for it. */
  readonly class: string;
  readonly legalBasis: string;
  /** The gateway by its schedule, or the two persons: who proposed it, and who agreed. */
  readonly actors: readonly Actor[];
  readonly copies: 'stay' | 'remove';
  /** Erased before, and again because an older backup brought it back. */
  readonly again?: true;
}

/** Somebody intervened: queue release, unlock, … */
export interface OperationEntry {
  readonly kind: 'operation';
  readonly actor: Actor;
  readonly action: string;
  readonly subject: string;
  readonly reason: string;
}

/** Something is wrong for this tenant, or is well again. */
export interface IncidentEntry {
  readonly kind: 'incident';
  readonly incident: string;
  readonly state: 'opened' | 'closed';
  readonly text: string;
}

/** Digests that archive timestamps use. */
export const archiveDigests = ['sha256', 'sha384', 'sha512'] as const;
export type ArchiveDigest = (typeof archiveDigests)[number];

interface ArchiveTimestampEntry {
  /** Number of the archive timestamp; it covers other tenants as well. */
  readonly archiveTimestamp: number;
  readonly digest: ArchiveDigest;
  /** RFC 3339 genTime of the token. */
  readonly genTime: string;
  /** Name of the time-stamping authority in the configuration. */
  readonly authority: string;
  /** The token as it came (hex SHA-256 of its DER; bytes). */
  readonly token: { readonly sha256: string; readonly size: number };
}

/** Entries [from, to) of this log, and its checkpoint of size `to`, stand under one timestamp (RFC 4998 4). */
export interface SealedEntry extends ArchiveTimestampEntry {
  readonly kind: 'sealed';
  readonly from: number;
  readonly to: number;
  /** Entries of it that did not verify, and why: they are not covered. Absent: none. */
  readonly excluded?: readonly { readonly index: number; readonly reason: string }[];
}

/** Earlier archive timestamps that cover this log were renewed (RFC 4998 5.2). */
export interface RenewedEntry extends ArchiveTimestampEntry {
  readonly kind: 'renewed';
  readonly method: 'timestamp' | 'hash-tree';
  /** Archive timestamps that it renews. */
  readonly covers: readonly number[];
  /** Entries of this log that did not verify, and why: they are not covered. */
  readonly excluded: readonly { readonly index: number; readonly reason: string }[];
}

export type EntryBody =
  | OpenedEntry
  | LogKeyEntry
  | LostEntry
  | ImportedEntry
  | SubmissionEntry
  | HandoverIntentEntry
  | HandoverOutcomeEntry
  | HandoverSettledEntry
  | ExpiredEntry
  | NoticeEntry
  | InboundEntry
  | ConfirmationEntry
  | NotificationEntry
  | SentCopyEntry
  | ForwardIntentEntry
  | ForwardOutcomeEntry
  | VerdictEntry
  | RefusedEntry
  | ScanEntry
  | OverdueEntry
  | LoginIntentEntry
  | LoginOutcomeEntry
  | DeletionIntentEntry
  | DeletionOutcomeEntry
  | OpenedMailEntry
  | PlacedEntry
  | AccessEntry
  | OperationEntry
  | IncidentEntry
  | SealedEntry
  | RenewedEntry
  | RetentionHoldEntry
  | ErasureProposedEntry
  | ErasedEntry;

export type EntryKind = EntryBody['kind'];

export type Entry = {
  readonly v: typeof ENTRY_VERSION;
  readonly tenant: string;
  /** Position in the tenant's log, from 0. */
  readonly index: number;
  /** RFC 3339, UTC, milliseconds. */
  readonly time: string;
} & EntryBody;
