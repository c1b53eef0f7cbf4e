/**
 * X-de-mail-integrity (TR-01201 IO 3.1.13, 3.1.21): a DKIM-Signature value (RFC 6376) with differences. Of a header
 * that occurs twice the topmost counts, `l=` is ignored, canonicalisation is simple/simple, and the key comes from
 * X-de-mail-signature-certificate alone. Pure; the body is streamed.
 */
import { createHash } from 'node:crypto';
import { findField, type HeaderField } from '../mime/header.ts';

export type IntegrityHash = 'sha256' | 'sha384' | 'sha512';
export type SignatureScheme = 'rsa' | 'ec-dsa' | 'rsassa-pss';

export interface IntegrityValue {
  readonly hash: IntegrityHash;
  /** Null: hashed only. */
  readonly scheme: SignatureScheme | null;
  /** Names in `h=`, as written, in order. */
  readonly headers: readonly string[];
  readonly bodyHash: Buffer;
  /** Signature, or the header hash where nothing was signed. */
  readonly value: Buffer;
}

export type IntegrityParse =
  | { readonly ok: true; readonly value: IntegrityValue }
  | { readonly ok: false; readonly reason: string };

/** Headers that the norm covers, lower case, in its order. */
export const coveredHeaders: readonly string[] = [
  'from',
  'date',
  'message-id',
  'subject',
  'reply-to',
  'x-de-mail-confirmation-of-dispatch',
  'x-de-mail-confirmation-of-receipt',
  'x-de-mail-confirmation-of-retrieve',
  'x-de-mail-authoritative',
  'x-de-mail-private',
  'x-de-mail-sender',
  'x-de-mail-chosen-recipient',
  'x-de-mail-auth-mechanism',
  'x-de-mail-auth-level',
  'x-de-mail-originator-provider',
  'x-de-mail-message-type',
  'x-de-mail-version',
  'x-de-mail-private-id',
  'x-de-mail-message-id',
  'x-de-mail-account-holder',
];

const INTEGRITY = 'x-de-mail-integrity';
const hashes: readonly string[] = ['sha256', 'sha384', 'sha512'];
const schemes: readonly string[] = ['rsa', 'ec-dsa', 'rsassa-pss'];
/** More names than any message needs: what comes beyond makes the value unreadable, not slow. */
const MOST_HEADERS = 200;
const LONGEST_VALUE = 64 * 1024;

/** Reads the value of an integrity header. Total; says what is wrong with it. */
export function parseIntegrity(text: string): IntegrityParse {
  if (text.length > LONGEST_VALUE) return refuse('it is longer than 64 KiB');
  const tags = new Map<string, string>();
  for (const part of text.split(';')) {
    if (part.trim() === '') continue;
    const equals = part.indexOf('=');
    const name = part.slice(0, equals).trim();
    if (equals < 0 || !/^[A-Za-z][A-Za-z0-9_]*$/.test(name))
      return refuse(`${JSON.stringify(part.trim().slice(0, 40))} is no tag`);
    if (tags.has(name)) return refuse(`tag ${name}= stands twice`);
    tags.set(name, part.slice(equals + 1).trim());
  }
  for (const name of ['a', 'h', 'bh', 'b']) if (!tags.has(name)) return refuse(`tag ${name}= is missing`);
  if (tags.has('v') && tags.get('v') !== '1') return refuse(`v=${tags.get('v')} is no known version`);
  const canonical = tags.get('c') ?? 'simple/simple';
  if (canonical !== 'simple/simple' && canonical !== 'simple')
    return refuse(`c=${canonical} is not simple/simple`);
  const [hash, scheme, ...more] = tags
    .get('a')!
    .split('/')
    .map((s) => s.trim());
  if (!hashes.includes(hash!) || more.length > 0) return refuse(`a=${tags.get('a')} is no known algorithm`);
  if (scheme !== undefined && !schemes.includes(scheme))
    return refuse(`a=${tags.get('a')} is no known algorithm`);
  if (
    scheme !== undefined &&
    tags.has('q') &&
    tags.get('q')!.toLowerCase() !== 'x-header/x-de-mail-signature-certificate'
  ) {
    return refuse(`q=${tags.get('q')} does not name the certificate header`);
  }
  const headers = tags
    .get('h')!
    .split(':')
    .map((name) => name.trim());
  if (headers.length > MOST_HEADERS || headers.some((name) => !/^[!-9;-~]+$/.test(name)))
    return refuse('h= is no list of header names');
  const bodyHash = decode(tags.get('bh')!);
  const value = decode(tags.get('b')!);
  if (bodyHash === null || value === null) return refuse('bh= or b= is no base64');
  return {
    ok: true,
    value: {
      hash: hash as IntegrityHash,
      scheme: (scheme as SignatureScheme | undefined) ?? null,
      headers,
      bodyHash,
      value,
    },
  };
}

export interface IntegrityCheck {
  /** The body, chunk by chunk, from the first byte after the empty line. */
  push(chunk: Uint8Array): void;
  finish(): IntegrityResult;
}

export interface IntegrityResult {
  readonly value: IntegrityValue;
  readonly bodyHashFits: boolean;
  /** What was hashed, and signed where something was: `h=` headers and the integrity header with empty `b=`. */
  readonly signedBytes: Buffer;
  readonly headerHash: Buffer;
  /** Hash only: does `b=` hold the header hash? Null where it is a signature. */
  readonly headerHashFits: boolean | null;
  /** Headers of the norm that stand in the message and not in `h=`. */
  readonly uncovered: readonly string[];
  /** DER of X-de-mail-signature-certificate; null where there is none that can be read. */
  readonly certificate: Buffer | null;
}

/**
 * Begins the check of a message by its header fields; null where it has no integrity header.
 * The result says what fits; whether the signature is good and trusted is for the PKI to find out.
 */
export function createIntegrityCheck(
  fields: readonly HeaderField[],
): IntegrityCheck | { readonly unreadable: string } | null {
  const field = findField(fields, INTEGRITY);
  if (field === undefined) return null;
  const parsed = parseIntegrity(field.value);
  if (!parsed.ok) return { unreadable: parsed.reason };
  const { value } = parsed;
  const signedBytes = headerBytes(fields, field, value.headers);
  const body = createBodyHash(value.hash);
  return {
    push: (chunk) => body.push(chunk),
    finish() {
      const headerHash = createHash(value.hash).update(signedBytes).digest();
      const listed = new Set(value.headers.map((name) => name.toLowerCase()));
      return {
        value,
        bodyHashFits: body.digest().equals(value.bodyHash),
        signedBytes,
        headerHash,
        headerHashFits: value.scheme === null ? headerHash.equals(value.value) : null,
        uncovered: coveredHeaders.filter(
          (name) => !listed.has(name) && findField(fields, name) !== undefined,
        ),
        certificate: certificateOf(fields),
      };
    },
  };
}

/** Fields that the header covers, the topmost of each name. */
export function coveredFields(fields: readonly HeaderField[], value: IntegrityValue): HeaderField[] {
  return [...new Set(value.headers.map((name) => name.toLowerCase()))]
    .map((name) => findField(fields, name))
    .filter((f) => f !== undefined);
}

const MANY = 4_096;
const manyLineEnds = Buffer.from('\r\n'.repeat(MANY));

export interface BodyHash {
  push(chunk: Uint8Array): void;
  digest(): Buffer;
}

/** RFC 6376 3.4.3, simple body canonicalisation: empty lines at the end count as one line end. Constant memory. */
export function createBodyHash(algorithm: IntegrityHash): BodyHash {
  const hash = createHash(algorithm);
  // Line ends whose fate is open: they count once something follows them.
  let pending = 0;
  let halfEnd = false;
  const release = () => {
    // A body can be millions of empty lines: hashed one by one they would hold up everything else.
    for (; pending > 0; pending -= Math.min(pending, MANY)) {
      hash.update(manyLineEnds.subarray(0, 2 * Math.min(pending, MANY)));
    }
  };
  return {
    push(chunk) {
      let bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      if (bytes.length === 0) return;
      if (halfEnd) {
        halfEnd = false;
        if (bytes[0] === 10) {
          pending++;
          bytes = bytes.subarray(1);
        } else {
          release();
          hash.update('\r');
        }
      }
      let end = bytes.length;
      let trailing = 0;
      if (end > 0 && bytes[end - 1] === 13) {
        halfEnd = true;
        end--;
      }
      while (end >= 2 && bytes[end - 1] === 10 && bytes[end - 2] === 13) {
        end -= 2;
        trailing++;
      }
      if (end > 0) {
        release();
        hash.update(bytes.subarray(0, end));
      }
      pending += trailing;
    },
    digest() {
      if (halfEnd) {
        release();
        hash.update('\r');
        pending = 1;
      }
      // An empty body is one line end; any other ends with exactly one.
      return hash.update('\r\n').digest();
    },
  };
}

/** The bytes that are hashed: each header of `h=` as it stands, then the integrity header with an empty `b=`. */
function headerBytes(
  fields: readonly HeaderField[],
  integrity: HeaderField,
  names: readonly string[],
): Buffer {
  const parts: Buffer[] = [];
  for (const name of new Set(names.map((n) => n.toLowerCase()))) {
    const found = findField(fields, name);
    if (found !== undefined) parts.push(found.raw);
  }
  parts.push(withoutSignature(integrity.raw));
  return Buffer.concat(parts);
}

/** RFC 6376 3.7: the value of `b=` deleted with its white space, and no line end after it. */
function withoutSignature(raw: Buffer): Buffer {
  const text = raw.toString('latin1');
  const colon = text.indexOf(':');
  let at = colon + 1;
  let result = text.slice(0, at);
  for (const part of text.slice(at).split(';')) {
    const equals = part.indexOf('=');
    const isSignature = equals >= 0 && part.slice(0, equals).trim() === 'b';
    result += (at === colon + 1 ? '' : ';') + (isSignature ? part.slice(0, equals + 1) : part);
    at += part.length + 1;
  }
  return Buffer.from(result.replace(/\r?\n$/, ''), 'latin1');
}

function certificateOf(fields: readonly HeaderField[]): Buffer | null {
  const field = findField(fields, 'x-de-mail-signature-certificate');
  return field === undefined ? null : decode(field.value);
}

/** Base64 with folding white space; null for anything else. */
function decode(text: string): Buffer | null {
  const compact = text.replace(/[ \t\r\n]/g, '');
  return /^[A-Za-z0-9+/]+={0,2}$/.test(compact) ? Buffer.from(compact, 'base64') : null;
}

function refuse(reason: string): IntegrityParse {
  return { ok: false, reason };
}
