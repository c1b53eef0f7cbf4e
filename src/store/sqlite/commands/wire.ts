/** The store's arguments as they travel to the writer thread: what structured clone can carry. */
import type { EmbeddedSignature, NoticeEntry, ObjectFact } from '../../../evidence/entry.ts';
import type { MessageIndex } from '../../../mime/types.ts';
import type {
  Deposit,
  NamedNotice,
  Notice,
  StagedMessage,
  StagedObject,
  StagedSignature,
} from '../../store.ts';
import type { StagedBytes, Staging } from '../objects.ts';
import { type SummaryRow, summaryOf } from '../summary.ts';

export interface WireObject extends ObjectFact {
  readonly storage: Staging;
}

export interface WireMessage {
  readonly object: WireObject;
  /** MessageIndex as JSON. */
  readonly structure: string;
  readonly messageId: string | null;
  readonly fingerprint: string | null;
  readonly summary: SummaryRow | null;
}

/** A deposit as a mailbox row needs it. */
export type WireDeposit = Deposit;

export interface WireNotice {
  readonly body: Omit<NoticeEntry, 'kind' | 'delivered' | 'message'>;
  readonly message: WireMessage;
  readonly deposits: readonly WireDeposit[];
  readonly forward: readonly string[] | null;
  readonly once: string | null;
}

export function toWireNotice(
  { message, deposits, forward, ...body }: Notice,
  once: string | undefined,
): WireNotice {
  return {
    body,
    message: toWireMessage(message),
    deposits,
    forward: forward ?? null,
    once: once ?? null,
  };
}

export function toWireNotices(notices: readonly NamedNotice[] | undefined): readonly WireNotice[] {
  return (notices ?? []).map(({ once, ...notice }) => toWireNotice(notice, once));
}

export function toWireObject(staged: StagedObject): WireObject {
  // What lists are made of stays on this side.
  const { head: _, ...storage } = staged.storage as StagedBytes;
  return { object: staged.object, sha256: staged.sha256, size: staged.size, storage };
}

/** A sender's signature with the object that it is kept as. */
export type WireSignature = Omit<EmbeddedSignature, 'object'> & { readonly object?: WireObject };

export function toWireSignatures(list: readonly StagedSignature[] | undefined): WireSignature[] | null {
  if (list === undefined) return null;
  return list.map(({ object, ...signature }) =>
    object === undefined ? signature : { ...signature, object: toWireObject(object) },
  );
}

export function toWireMessage(message: StagedMessage): WireMessage {
  return {
    object: toWireObject(message.object),
    structure: JSON.stringify(message.index),
    messageId: messageIdOf(message.index),
    fingerprint: message.fingerprint ?? null,
    summary: summaryOf(message.index, (message.object.storage as StagedBytes).head),
  };
}

/** Message-ID as mailboxes look it up. */
function messageIdOf(index: MessageIndex): string | null {
  return index.root.envelope?.messageId?.slice(0, 998) ?? null;
}

/** What an entry says of an object. */
export function factOf(object: WireObject): ObjectFact {
  return { object: object.object, sha256: object.sha256, size: object.size };
}
