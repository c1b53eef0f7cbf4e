/**
 * ENVELOPE, BODY and BODYSTRUCTURE (RFC 3501 7.4.2) from the structure index of a message. Header values
 * come as text with their encoded words untouched; what is not ASCII goes out as UTF-8.
 */
import type { Envelope, EnvelopeAddress, PartIndex } from '../../mime/types.ts';
import { octets, printString } from './printer.ts';

export function printEnvelope(envelope: Envelope): string {
  const fields = [
    nstring(envelope.date),
    nstring(envelope.subject),
    addresses(envelope.from),
    // RFC 3501 7.4.2: the server fills Sender and Reply-To from From where they are missing.
    addresses(envelope.sender.length > 0 ? envelope.sender : envelope.from),
    addresses(envelope.replyTo.length > 0 ? envelope.replyTo : envelope.from),
    addresses(envelope.to),
    addresses(envelope.cc),
    addresses(envelope.bcc),
    nstring(envelope.inReplyTo),
    nstring(envelope.messageId),
  ];
  return `(${fields.join(' ')})`;
}

/** `extended`: BODYSTRUCTURE; else BODY. */
export function printBodyStructure(part: PartIndex, extended: boolean): string {
  return isMultipart(part) ? multipart(part, extended) : single(part, extended);
}

/** A multipart without parts, or a message/rfc822 without a message, has no spelling: it is shown as opaque. */
function isOpaque(part: PartIndex): boolean {
  const type = part.type.toLowerCase();
  return type === 'multipart' || (type === 'message' && part.subtype.toLowerCase() === 'rfc822');
}

function isMultipart(part: PartIndex): boolean {
  return part.type.toLowerCase() === 'multipart' && part.parts.length > 0;
}

function multipart(part: PartIndex, extended: boolean): string {
  const children = part.parts.map((child) => printBodyStructure(child, extended)).join('');
  const extension = extended ? ` ${params(part.params)} ${tail(part)}` : '';
  return `(${children} ${string(part.subtype)}${extension})`;
}

function single(part: PartIndex, extended: boolean): string {
  const enclosed = part.parts[0];
  const opaque = isOpaque(part) && !enclosed?.envelope;
  const type = opaque ? 'application' : part.type;
  const subtype = opaque ? 'octet-stream' : part.subtype;
  const fields = [
    string(type),
    string(subtype),
    params(part.params),
    nstring(part.id),
    nstring(part.description),
    string(part.encoding),
    String(part.bodyEnd - part.bodyStart),
  ];
  if (isOpaque(part) && enclosed?.envelope) {
    fields.push(printEnvelope(enclosed.envelope), printBodyStructure(enclosed, extended), String(part.lines));
  } else if (type.toLowerCase() === 'text') fields.push(String(part.lines));
  if (extended) fields.push(nstring(part.md5), tail(part));
  return `(${fields.join(' ')})`;
}

/** Disposition, language, location. */
function tail(part: PartIndex): string {
  const { disposition, language } = part;
  const shown = disposition ? `(${string(disposition.type)} ${params(disposition.params)})` : 'NIL';
  return `${shown} ${languages(language)} ${nstring(part.location)}`;
}

function languages(language: readonly string[] | null): string {
  if (!language || language.length === 0) return 'NIL';
  return `(${language.map(string).join(' ')})`;
}

function params(pairs: readonly (readonly [string, string])[]): string {
  if (pairs.length === 0) return 'NIL';
  return `(${pairs.map(([name, value]) => `${string(name)} ${string(value)}`).join(' ')})`;
}

function string(text: string): string {
  return printString(octets(text));
}

function nstring(text: string | null): string {
  return text === null ? 'NIL' : string(text);
}

function addresses(list: readonly EnvelopeAddress[]): string {
  return list.length === 0 ? 'NIL' : `(${list.map(address).join('')})`;
}

function address({ name, mailbox, host }: EnvelopeAddress): string {
  return `(${nstring(name)} NIL ${nstring(mailbox)} ${nstring(host)})`;
}
