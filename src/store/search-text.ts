/**
 * The search text of messages as the store keeps it: beside each indexed message a filter that says which texts it
 * cannot contain, and the folded text that decides. A derivative of what lies in the mailboxes: without it every
 * search gives the same answer, by reading.
 */
import type { MessageIndex } from '../mime/types.ts';

/** Where a text is looked for. The first five are fields of the envelope, `header` whole lines of the header. */
export const textPlaces = ['subject', 'from', 'to', 'cc', 'bcc', 'header', 'body'] as const;
export type TextPlace = (typeof textPlaces)[number];

/** What is looked for, folded as the text was. */
export interface Needle {
  readonly where: TextPlace;
  readonly text: string;
}

/** A message of a mailbox whose text is indexed. */
export interface IndexedMessage {
  readonly object: string;
  /** Block of header fields before the object's bytes: not part of the index. */
  readonly prefix: Uint8Array;
  /** Per needle: false where the object does not contain it for certain. */
  readonly may: readonly boolean[];
}

/** The text of one message, to be indexed. */
export interface SearchText {
  readonly object: string;
  readonly texts: readonly Needle[];
  /** All of it as `searchText` gives it back; null: not kept, only filtered by. */
  readonly whole: string | null;
}

export interface DueTexts {
  /** `index` null: nothing can be indexed of it. */
  readonly messages: readonly { readonly object: string; readonly index: MessageIndex | null }[];
  /** Where `recordSearchTexts` is to put the mark of the first filling. */
  readonly filled?: string | null;
}

export interface SearchTextState {
  /** Of the rules by which text was taken out and folded. */
  readonly edition: number;
  readonly indexed: number;
  /** Messages that came and are not indexed yet. */
  readonly waiting: number;
  /** False while what lay there when it was switched on is still being indexed. */
  readonly filled: boolean;
}

export interface SearchTextReader {
  /** Null where it is switched off. */
  searchTextEdition(tenant: string): Promise<number | null>;
  /** How far it is; counts rows. Null where it is switched off. */
  searchTextState(tenant: string): Promise<SearchTextState | null>;
  /** Messages whose text is to be indexed next; private ones never are. Null: none. */
  dueSearchTexts(tenant: string, limit: number): Promise<DueTexts | null>;
  /** Messages with UIDs from `from` to `to` whose text is indexed, by UID; the others are not (yet). */
  indexedMessages(
    tenant: string,
    mailbox: number,
    from: number,
    to: number,
    needles: readonly Needle[],
  ): Promise<ReadonlyMap<number, IndexedMessage>>;
  /** The text of an indexed object; null where it was not kept, or is gone. */
  searchText(tenant: string, object: string): Promise<string | null>;
}

export interface SearchTextTransactor {
  /** Switches the tenant's search text on, empty. Nothing happens where it is on already. */
  openSearchText(tenant: string, edition: number): Promise<void>;
  /** Switches it off and takes some of it away. False: there is more. */
  dropSearchText(tenant: string): Promise<boolean>;
  /** Takes in texts; `done` are objects that are dealt with, with or without a text. */
  recordSearchTexts(
    tenant: string,
    texts: readonly SearchText[],
    done: readonly string[],
    filled?: string | null,
  ): Promise<void>;
}
