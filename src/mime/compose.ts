/** Building blocks of mails that the gateway writes itself: 7-bit, CRLF, lines within their limits. */
import { isAscii } from 'node:buffer';
import { createHash } from 'node:crypto';
import { type FieldValue, writeField } from './fold.ts';

/** A MIME entity: its header fields without the empty line, and its body. */
export interface Entity {
  readonly header: string;
  readonly body: Buffer;
}

const CRLF = Buffer.from('\r\n');

/** Header fields in order; null values are left out. */
export function writeFields(fields: readonly (readonly [string, FieldValue | null | undefined])[]): string {
  return fields.map(([name, value]) => (value == null ? '' : writeField(name, value))).join('');
}

/** text/plain in UTF-8, quoted-printable; line ends become CRLF. */
export function textEntity(text: string): Entity {
  return {
    header: writeFields([
      ['Content-Type', 'text/plain; charset=utf-8'],
      ['Content-Transfer-Encoding', 'quoted-printable'],
    ]),
    body: Buffer.from(encodeQuotedPrintable(text), 'latin1'),
  };
}

/** A file as an attachment, base64; a name beyond ASCII is written as RFC 2231 says. */
export function fileEntity(name: string, type: string, content: Buffer): Entity {
  return {
    header: writeFields([
      ['Content-Type', type],
      ['Content-Disposition', `attachment; ${encodeParameter('filename', name)}`],
      ['Content-Transfer-Encoding', 'base64'],
    ]),
    body: Buffer.from(content.toString('base64').replace(/.{76}(?=.)/g, '$&\r\n'), 'latin1'),
  };
}

/** Bytes as they are, which message/rfc822 and text/rfc822-headers demand (RFC 2046 5.2.1). */
export function rawEntity(type: string, content: Buffer): Entity {
  return {
    header: writeFields([
      ['Content-Type', type],
      ['Content-Transfer-Encoding', isAscii(content) ? '7bit' : '8bit'],
    ]),
    body: content,
  };
}

/** A multipart of the given entities. Its boundary occurs in none of them, and follows from them alone. */
export function multipart(type: string, parts: readonly Entity[]): Entity {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part.header).update(part.body);
  let boundary = `=_${hash.digest('hex').slice(0, 32)}`;
  while (parts.some((part) => part.body.includes(`--${boundary}`))) {
    boundary = `=_${createHash('sha256').update(boundary).digest('hex').slice(0, 32)}`;
  }
  const body = parts.flatMap((part) => [
    Buffer.from(`--${boundary}\r\n${part.header}\r\n`, 'utf8'),
    part.body,
    CRLF,
  ]);
  const eightBit = parts.some((part) => part.header.includes('\r\nContent-Transfer-Encoding: 8bit\r\n'));
  return {
    header: writeFields([
      ['Content-Type', `${type}; boundary="${boundary}"`],
      ['Content-Transfer-Encoding', eightBit ? '8bit' : '7bit'],
    ]),
    body: Buffer.concat([...body, Buffer.from(`--${boundary}--\r\n`)]),
  };
}

/** The whole message: its own fields, then the entity. The body ends with CRLF. */
export function message(
  fields: readonly (readonly [string, FieldValue | null | undefined])[],
  entity: Entity,
): Buffer {
  const header = `${writeFields(fields)}MIME-Version: 1.0\r\n${entity.header}\r\n`;
  const closed = entity.body.length === 0 || entity.body.subarray(-2).equals(CRLF);
  return Buffer.concat([Buffer.from(header, 'utf8'), entity.body, closed ? Buffer.alloc(0) : CRLF]);
}

/** RFC 2045 6.7: lines of at most 76 characters, no white space at their ends. */
export function encodeQuotedPrintable(text: string): string {
  return text
    .split(/\r\n|\r|\n/)
    .map(encodeLine)
    .join('\r\n');
}

function encodeLine(text: string): string {
  const bytes = Buffer.from(text, 'utf8');
  let out = '';
  let length = 0;
  for (const [index, byte] of bytes.entries()) {
    const space = byte === 32 || byte === 9;
    const plain = space ? index < bytes.length - 1 : byte > 32 && byte < 127 && byte !== 61;
    const token = plain ? String.fromCharCode(byte) : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    if (length + token.length > (index === bytes.length - 1 ? 76 : 75)) {
      out += '=\r\n';
      length = 0;
    }
    out += token;
    length += token.length;
  }
  return out;
}

/** `name="value"`, or `name*=utf-8''…` where the value is not printable ASCII. */
function encodeParameter(name: string, value: string): string {
  const clean = value.replace(/\p{Cc}/gu, '').slice(0, 200);
  if (/^[ -~]*$/.test(clean)) return `${name}="${clean.replace(/["\\]/g, '\\$&')}"`;
  const encoded = encodeURIComponent(clean.toWellFormed()).replace(
    /['()*!]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  // RFC 2231 3: pieces, so that a line stays short.
  const pieces = encoded.match(/(?:%[0-9A-F]{2}|[^%]){1,50}/g) ?? [''];
  return pieces.length === 1
    ? `${name}*=utf-8''${encoded}`
    : pieces.map((piece, n) => `${name}*${n}*=${n === 0 ? "utf-8''" : ''}${piece}`).join('; ');
}
