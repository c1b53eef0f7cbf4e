/** Takes a confirmation apart for tests: the XML, and the fields that its integrity header covers. */
import { findXmlPart } from '../../demail/confirmation.ts';
import { decodeContent } from '../../mime/digest.ts';
import { findField, type HeaderField, headerEnd, parseHeader } from '../../mime/header.ts';
import { createIndexer } from '../../mime/structure.ts';

/** @throws Error where the message has no XML part */
export function confirmationParts(message: Buffer): { xml: Buffer; covered: HeaderField[] } {
  const indexer = createIndexer();
  indexer.push(message);
  const part = findXmlPart(indexer.finish());
  if (part === null) throw new Error('the message has no XML part');
  const fields = parseHeader(message.subarray(0, headerEnd(message)));
  const names = /\bh=([^;]*)/.exec(findField(fields, 'x-de-mail-integrity')?.value ?? '')?.[1] ?? '';
  const covered = names
    .split(':')
    .map((name) => findField(fields, name.trim().toLowerCase()))
    .filter((field) => field !== undefined);
  return { xml: decodeContent(message.subarray(part.bodyStart, part.bodyEnd), part.encoding), covered };
}
