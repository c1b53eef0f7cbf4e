/**
 * The simulator's own view of a message: header fields with their bytes, and the body. Bytes are carried as
 * latin1 strings, one character per byte, so that what is hashed is what was received.
 */

export interface Field {
  /** As written, without the colon. */
  readonly name: string;
  /** Name, colon, value and folds as they stand, without the last CRLF. Latin1, one character per byte. */
  readonly raw: string;
}

export interface Message {
  readonly fields: readonly Field[];
  readonly body: Buffer;
}

/** Splits at the first empty line. A line that is no field is kept, under an empty name. */
export function splitMessage(bytes: Buffer): Message {
  let headerLength = 0;
  let bodyStart = 0;
  if (bytes.length >= 2 && bytes[0] === 0x0d && bytes[1] === 0x0a) {
    bodyStart = 2;
  } else {
    const gap = bytes.indexOf('\r\n\r\n');
    headerLength = gap === -1 ? bytes.length : gap;
    bodyStart = gap === -1 ? bytes.length : gap + 4;
  }
  return { fields: parseFields(bytes.toString('latin1', 0, headerLength)), body: bytes.subarray(bodyStart) };
}

function parseFields(block: string): Field[] {
  const raws: string[] = [];
  for (const line of block.split('\r\n')) {
    if ((line.startsWith(' ') || line.startsWith('\t')) && raws.length > 0)
      raws[raws.length - 1] += `\r\n${line}`;
    else if (line !== '') raws.push(line);
  }
  return raws.map((raw) => {
    const name = /^([\x21-\x39\x3b-\x7e]+)[ \t]*:/.exec(raw)?.[1] ?? '';
    return { name, raw };
  });
}

/** The topmost field of that name: TR-01201 IO 3.1.1, where RFC 6376 would take the last. */
export function topmost(fields: readonly Field[], name: string): Field | undefined {
  const wanted = name.toLowerCase();
  return fields.find((field) => field.name.toLowerCase() === wanted);
}

/** Value with folds removed, trimmed; UTF-8 where the bytes are UTF-8, else latin1. */
export function headerValue(fields: readonly Field[], name: string): string | undefined {
  const field = topmost(fields, name);
  return field === undefined ? undefined : unfoldedValue(field);
}

export function unfoldedValue(field: Field): string {
  return asText(rawValue(field).replaceAll('\r\n', '')).trim();
}

/** Everything after the colon, folds kept, without the one leading space. */
export function rawValue(field: Field): string {
  return field.raw.slice(field.raw.indexOf(':') + 1).replace(/^ /, '');
}

/** Bytes as text: UTF-8 where they are UTF-8, else latin1. */
export function asText(latin1: string): string {
  if (!/[\x80-\xff]/.test(latin1)) return latin1;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(latin1, 'latin1'));
  } catch {
    return latin1;
  }
}

/** A field of ours, folded at spaces so that no line exceeds 78 characters where that is possible. */
export function makeField(name: string, value: string): Field {
  const latin1 = Buffer.from(value, 'utf8').toString('latin1');
  const lines: string[] = [];
  let line = `${name}:`;
  for (const word of latin1.split(' ')) {
    if (line.length + 1 + word.length > 78 && lines.length + line.length > name.length + 1) {
      lines.push(line);
      line = ` ${word}`;
    } else {
      line += ` ${word}`;
    }
  }
  lines.push(line);
  return { name, raw: lines.join('\r\n') };
}

export function headerBytes(fields: readonly Field[]): Buffer {
  return Buffer.from(`${fields.map((field) => field.raw).join('\r\n')}\r\n\r\n`, 'latin1');
}

/** Text as RFC 2047 encoded words where it is not plain ASCII; folded, each word within its 75 characters. */
export function encodeText(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text) && !text.includes('=?')) return text;
  const words: string[] = [];
  let chunk = '';
  for (const character of text) {
    if (Buffer.byteLength(chunk + character) > 42) {
      words.push(chunk);
      chunk = '';
    }
    chunk += character;
  }
  words.push(chunk);
  return words.map((word) => `=?utf-8?B?${Buffer.from(word).toString('base64')}?=`).join(' ');
}
