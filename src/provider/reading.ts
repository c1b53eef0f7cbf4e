/** What a fetched message says about itself. Total: what cannot be read is null, and the message is kept anyway. */
import {
  type Confirmation,
  confirmationType,
  findXmlPart,
  readConfirmation,
} from '../demail/confirmation.ts';
import { type Correlation, correlate } from '../demail/correlation.ts';
import { type Metadata, messageKind, readMetadata, toDemailFacts } from '../demail/metadata.ts';
import { addressesOf } from '../demail/recipients.ts';
import type { ConfirmationType, DemailFacts, HeaderFacts } from '../evidence/entry.ts';
import { normaliseAddress, parseAddressList } from '../mime/address.ts';
import { decodeContent } from '../mime/digest.ts';
import { headerEnd, parseHeader } from '../mime/header.ts';
import { createIndexer } from '../mime/structure.ts';
import type { MessageIndex } from '../mime/types.ts';
import { decodeWords } from '../mime/words.ts';
import type { Reader } from '../store/store.ts';

export interface Reading {
  /** A missing or unknown message type counts as an ordinary De-Mail: it reaches a person, and nothing is lost. */
  readonly kind: 'normal' | 'confirmation' | 'notification';
  readonly header: HeaderFacts;
  readonly facts: DemailFacts;
  readonly metadata: Metadata;
  readonly addressed: {
    readonly envelopeTo: readonly string[];
    readonly actualRecipients: readonly string[];
  };
  readonly isPrivate: boolean;
  readonly confirmationType: ConfirmationType | null;
  /** The XML of a confirmation, where it could be read. */
  readonly confirmation: Confirmation | null;
  readonly correlation: Correlation;
  /** The XML of a notification as text: whom it is about stands in its prose only (IO 3.5). */
  readonly notificationText: string | null;
}

/** Bytes kept of a header; longer ones are read as far as they were kept. */
const longestHeader = 256 * 1024;
/** What the provider writes holds an XML file and a PDF of one page: a longer one is stored, its XML not read. */
const longestStatement = 8 * 1024 * 1024;
const longestXml = 4 * 1024 * 1024;

/** Keeps of a message, while it passes, what reading it needs: its header, or all of what the provider wrote. */
export interface Capture {
  push(chunk: Uint8Array): void;
  /** What was kept, from the first byte on. */
  bytes(): Buffer;
  /** True where that is the whole message. */
  whole(): boolean;
}

export function createCapture(): Capture {
  const chunks: Uint8Array[] = [];
  let kept = 0;
  let state: 'header' | 'all' | 'enough' = 'header';
  return {
    push(chunk) {
      if (state === 'enough') return;
      if (state === 'all' && kept + chunk.length > longestStatement) {
        state = 'enough';
        return;
      }
      chunks.push(chunk);
      kept += chunk.length;
      if (state !== 'header') return;
      const bytes = Buffer.concat(chunks);
      if (headerEnd(bytes) === bytes.length && kept < longestHeader) return;
      state = messageKind(readMetadata(parseHeader(bytes)).messageType) === 'normal' ? 'enough' : 'all';
    },
    bytes: () => Buffer.concat(chunks),
    whole: () => state !== 'enough',
  };
}

export function readMessage(capture: Capture, index: MessageIndex): Reading {
  const bytes = capture.bytes();
  const fields = parseHeader(bytes);
  const metadata = readMetadata(fields);
  const kind = messageKind(metadata.messageType);
  const xml = kind !== 'normal' && capture.whole() ? xmlOf(bytes, index) : null;
  const read = xml === null ? null : readConfirmation(fields, xml);
  const confirmation = read?.ok ? read.confirmation : null;
  const from = metadata.from === null ? undefined : parseAddressList(metadata.from)[0];
  return {
    kind,
    header: {
      messageId: shorten(metadata.internetMessageId),
      subject: metadata.subject === null ? null : shorten(decodeWords(metadata.subject.slice(0, 4_000))),
      from: from === undefined ? null : shorten(normaliseAddress(from.address) ?? from.address),
      date: shorten(metadata.date),
    },
    facts: toDemailFacts(metadata),
    metadata,
    addressed: {
      envelopeTo: metadata.envelopeTo,
      actualRecipients: metadata.actualRecipients === null ? [] : addressesOf(metadata.actualRecipients),
    },
    // A retrieval confirmation implies private (FU 3.3.5), whatever the header says.
    isPrivate: metadata.options.includes('private') || metadata.options.includes('retrieval'),
    confirmationType: confirmationType(fields),
    confirmation,
    correlation: correlate(metadata, confirmation),
    notificationText: kind === 'notification' && xml !== null ? xml.toString('utf8') : null,
  };
}

/** Reads a message that lies in the store already; null where it is not there. */
export async function readStored(store: Reader, tenant: string, object: string): Promise<Reading | null> {
  const stored = await store.object(tenant, object);
  if (stored === null) return null;
  const capture = createCapture();
  const indexer = createIndexer();
  for await (const chunk of stored.read()) {
    capture.push(chunk);
    indexer.push(chunk);
  }
  return readMessage(capture, indexer.finish());
}

function xmlOf(bytes: Buffer, index: MessageIndex): Buffer | null {
  const part = findXmlPart(index);
  if (part === null || part.bodyEnd - part.bodyStart > longestXml) return null;
  return decodeContent(bytes.subarray(part.bodyStart, part.bodyEnd), part.encoding.toLowerCase());
}

function shorten(text: string | null): string | null {
  return text === null ? null : text.slice(0, 998);
}
