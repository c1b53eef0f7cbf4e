/**
 * Judges a De-Mail's integrity header for the tests, by another way than the simulator makes it: regular
 * expressions over the bytes. It is itself tested on messages made by neither.
 */
import { constants, createHash, verify, X509Certificate } from 'node:crypto';

export interface Verdict {
  readonly ok: boolean;
  readonly reason: string;
}

/** IO 3.1.21, read the other way round: from the header to the bytes that it covers. */
export function checkIntegrity(message: Buffer): Verdict {
  const text = message.toString('latin1');
  const split = text.indexOf('\r\n\r\n');
  const header = `${text.slice(0, split)}\r\n`;
  const field = (name: string) =>
    new RegExp(
      `(?:^|\\r\\n)(${name.replaceAll('-', '\\-')}[ \\t]*:(?:.*)(?:\\r\\n[ \\t].*)*)(?=\\r\\n)`,
      'i',
    ).exec(header)?.[1];
  const integrity = field('x-de-mail-integrity');
  if (!integrity) return { ok: false, reason: 'no integrity header' };
  const tags = new Map(
    integrity
      .slice(integrity.indexOf(':') + 1)
      .split(';')
      .map((tag) => [
        tag.slice(0, tag.indexOf('=')).trim(),
        tag.slice(tag.indexOf('=') + 1).replace(/\s+/g, ''),
      ]),
  );
  if (tags.get('c') !== 'simple/simple') return { ok: false, reason: 'canonicalization' };
  const [hash = '', algorithm] = tags.get('a')!.split('/');
  const body = `${text.slice(split + 4).replace(/(?:\r\n)*$/, '')}\r\n`;
  const bodyHash = createHash(hash).update(body, 'latin1').digest('base64');
  if (bodyHash !== tags.get('bh')) return { ok: false, reason: 'body hash' };
  const covered = tags
    .get('h')!
    .split(':')
    .flatMap((name) => field(name) ?? [])
    .map((raw) => `${raw}\r\n`);
  const signed = Buffer.from(covered.join('') + integrity.replace(/([;\s]b=)[^;]*/, '$1'), 'latin1');
  const value = Buffer.from(tags.get('b')!, 'base64');
  if (!algorithm) {
    const ok = createHash(hash).update(signed).digest().equals(value);
    return { ok, reason: ok ? 'hash' : 'header hash' };
  }
  const certificate = field('x-de-mail-signature-certificate')!
    .replace(/^[^:]*:/, '')
    .replace(/\s+/g, '');
  const key = new X509Certificate(Buffer.from(certificate, 'base64')).publicKey;
  const padding =
    algorithm === 'rsassa-pss'
      ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
      : {};
  const ok = verify(hash, signed, { key, ...padding }, value);
  return { ok, reason: ok ? 'signature' : 'signature value' };
}

/** Decoded content of the parts of a multipart/mixed whose parts are all base64. */
export function partsOf(message: Buffer): { type: string; content: Buffer }[] {
  const text = message.toString('latin1');
  const boundary = /boundary="([^"]+)"/.exec(text)![1]!;
  return text
    .split(`--${boundary}`)
    .slice(1, -1)
    .map((part) => {
      const type = /content-type: ([a-z/]+)/i.exec(part)![1]!;
      return { type, content: Buffer.from(part.slice(part.indexOf('\r\n\r\n')), 'base64') };
    });
}
