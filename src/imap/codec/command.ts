/**
 * What a client can say: the closed union of commands after parsing. Mailbox names are decoded, strings
 * of a search are decoded under its charset, everything else is kept as the client wrote it.
 */
import type { SequenceSet } from './sequence.ts';

export type Command = { readonly tag: string } & CommandBody;

export type CommandBody =
  | { readonly name: PlainName }
  | { readonly name: 'LOGIN'; readonly user: string; readonly password: string }
  | { readonly name: 'AUTHENTICATE'; readonly mechanism: string; readonly initial: string | null }
  | { readonly name: 'ID'; readonly params: readonly (readonly [string, string | null])[] }
  | { readonly name: 'ENABLE'; readonly capabilities: readonly string[] }
  | { readonly name: 'SELECT' | 'EXAMINE'; readonly mailbox: string; readonly condstore: boolean }
  | { readonly name: 'CREATE' | 'DELETE' | 'SUBSCRIBE' | 'UNSUBSCRIBE'; readonly mailbox: string }
  | { readonly name: 'RENAME'; readonly from: string; readonly to: string }
  | ({ readonly name: 'LIST' } & ListRequest)
  | { readonly name: 'LSUB' | 'XLIST'; readonly reference: string; readonly pattern: string }
  | { readonly name: 'GETQUOTAROOT' | 'MYRIGHTS' | 'GETACL'; readonly mailbox: string }
  | { readonly name: 'GETQUOTA' | 'SETQUOTA'; readonly root: string }
  | {
      readonly name: 'LISTRIGHTS' | 'SETACL' | 'DELETEACL';
      readonly mailbox: string;
      readonly identifier: string;
    }
  | { readonly name: 'STATUS'; readonly mailbox: string; readonly items: readonly StatusItem[] }
  | ({ readonly name: 'FETCH' } & FetchRequest)
  | ({ readonly name: 'STORE' } & StoreRequest)
  | ({ readonly name: 'SEARCH' } & SearchRequest)
  | {
      readonly name: 'COPY' | 'MOVE';
      readonly uid: boolean;
      readonly set: SequenceSet;
      readonly mailbox: string;
    }
  | { readonly name: 'UID EXPUNGE'; readonly set: SequenceSet };

export const plainNames = [
  'CAPABILITY',
  'NOOP',
  'LOGOUT',
  'STARTTLS',
  'NAMESPACE',
  'CHECK',
  'CLOSE',
  'UNSELECT',
  'EXPUNGE',
  'IDLE',
] as const;

/** Commands without arguments. */
export type PlainName = (typeof plainNames)[number];
export type CommandName = CommandBody['name'];
/** The command of one name, or of several. */
export type CommandOf<N extends CommandName> = { readonly tag: string } & BodyOf<CommandBody, N>;
type BodyOf<B, N> = B extends { readonly name: infer M }
  ? [Extract<M, N>] extends [never]
    ? never
    : B & { readonly name: Extract<M, N> }
  : never;

export const statusItems = [
  'MESSAGES',
  'RECENT',
  'UIDNEXT',
  'UIDVALIDITY',
  'UNSEEN',
  'SIZE',
  'HIGHESTMODSEQ',
  'APPENDLIMIT',
  'DELETED',
  'DELETED-STORAGE',
] as const;
export type StatusItem = (typeof statusItems)[number];

/** RFC 5258, RFC 5819, RFC 6154. */
export interface ListRequest {
  readonly reference: string;
  readonly patterns: readonly string[];
  /** True where the client used any extension: one response per mailbox, CHILDINFO and so on. */
  readonly extended: boolean;
  readonly select: readonly ('SUBSCRIBED' | 'REMOTE' | 'RECURSIVEMATCH' | 'SPECIAL-USE')[];
  readonly returns: readonly ('SUBSCRIBED' | 'CHILDREN' | 'SPECIAL-USE')[];
  /** RETURN (STATUS (…)), or null. */
  readonly status: readonly StatusItem[] | null;
}

export interface FetchRequest {
  readonly uid: boolean;
  readonly set: SequenceSet;
  readonly items: readonly FetchItem[];
  /** CONDSTORE: only messages with a greater modseq; null without. */
  readonly changedSince: number | null;
}

export type FetchItem =
  | {
      readonly item:
        | 'FLAGS'
        | 'UID'
        | 'INTERNALDATE'
        | 'RFC822.SIZE'
        | 'ENVELOPE'
        | 'BODY'
        | 'BODYSTRUCTURE'
        | 'MODSEQ';
    }
  | {
      readonly item: 'SECTION';
      /** Name of the answer, such as `RFC822.HEADER`; null: printed from the section. */
      readonly legacy: 'RFC822' | 'RFC822.HEADER' | 'RFC822.TEXT' | null;
      /** True: reading does not set \Seen. */
      readonly peek: boolean;
      readonly section: Section;
      readonly partial: { readonly from: number; readonly count: number } | null;
    };

/** `BODY[part.what (fields)]`. `ALL`: the whole message, or the part's body. */
export interface Section {
  readonly part: readonly number[];
  readonly what: 'ALL' | 'HEADER' | 'HEADER.FIELDS' | 'HEADER.FIELDS.NOT' | 'TEXT' | 'MIME';
  /** Field names as the client wrote them. */
  readonly fields: readonly string[];
}

export interface StoreRequest {
  readonly uid: boolean;
  readonly set: SequenceSet;
  readonly op: 'add' | 'remove' | 'replace';
  readonly silent: boolean;
  readonly flags: readonly string[];
  readonly unchangedSince: number | null;
}

export interface SearchRequest {
  readonly uid: boolean;
  /** RFC 4731 return options; null: the plain SEARCH response. */
  readonly returns: readonly ('MIN' | 'MAX' | 'ALL' | 'COUNT')[] | null;
  /** Upper case; null: none was given. */
  readonly charset: string | null;
  /** False: the charset is not known, the answer is NO [BADCHARSET]. */
  readonly charsetKnown: boolean;
  readonly key: SearchKey;
}

/** Days are counted from 1970-01-01, so that dates compare as numbers. */
export type SearchKey =
  | { readonly key: 'all' | 'new' | 'old' | 'recent' }
  | { readonly key: 'and'; readonly keys: readonly SearchKey[] }
  | { readonly key: 'or'; readonly left: SearchKey; readonly right: SearchKey }
  | { readonly key: 'not'; readonly operand: SearchKey }
  | { readonly key: 'flag'; readonly flag: string; readonly set: boolean }
  | { readonly key: 'sequence' | 'uid'; readonly set: SequenceSet }
  | { readonly key: 'before' | 'on' | 'since'; readonly sent: boolean; readonly day: number }
  | { readonly key: 'larger' | 'smaller'; readonly size: number }
  | {
      readonly key: 'envelope';
      readonly field: 'subject' | 'from' | 'to' | 'cc' | 'bcc';
      readonly text: string;
    }
  | { readonly key: 'header'; readonly field: string; readonly text: string }
  | { readonly key: 'body' | 'text'; readonly text: string }
  | { readonly key: 'modseq'; readonly modseq: number };

/** An APPEND up to its message literal. */
export interface AppendHead {
  readonly tag: string;
  readonly mailbox: string;
  readonly flags: readonly string[];
  /** Epoch milliseconds, or null where the client gave no date. */
  readonly internalDate: number | null;
  /** Bytes of the message. */
  readonly size: number;
  /** True: the client waits for `+` before it sends the message. */
  readonly synchronising: boolean;
}
