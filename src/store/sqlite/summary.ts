/**
 * What lists of messages show, beside the object and not in it: ENVELOPE and BODYSTRUCTURE as IMAP spells them, and the
 * header. Made once, at ingest; so summary a mailbox opens no object and parses nothing.
 */
import { octets } from '../../imap/codec/printer.ts';
import { printBodyStructure, printEnvelope } from '../../imap/codec/structure.ts';
import type { MessageIndex } from '../../mime/types.ts';

/** A header longer than that is read from its object: no honest one is so long. */
export const SUMMARY_HEADER = 32 * 1024;

export interface SummaryRow {
  /** Text: octets that are UTF-8 are kept as such. */
  readonly envelope: string;
  readonly structure: string;
  /** Up to the body, the empty line included; null where it is too long. */
  readonly header: Uint8Array | null;
}

/**
 * @param head first bytes of the message, at least its header where that is not too long
 * @returns null where there is no envelope
 */
export function summaryOf({ root }: MessageIndex, head: Buffer): SummaryRow | null {
  if (root.envelope === null) return null;
  const whole = root.bodyStart <= Math.min(SUMMARY_HEADER, head.length);
  return {
    envelope: asText(printEnvelope(root.envelope)),
    structure: asText(printBodyStructure(root, true)),
    header: whole ? head.subarray(0, root.bodyStart) : null,
  };
}

/** Octets as they go out, of a text of a row. */
export function asOctets(text: string): string {
  return isAscii(text) ? text : octets(text);
}

function asText(wire: string): string {
  return isAscii(wire) ? wire : Buffer.from(wire, 'latin1').toString('utf8');
}

function isAscii(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
  return /^[\x00-\x7f]*$/.test(text);
}
