/** The integrity header of TR-01201 IO 3.1.13 and 3.1.21, written from the norm. */
import { createHash } from 'node:crypto';
import { type Field, headerBytes, topmost } from './header.ts';
import { honest, type Lies, otherBase64 } from './lies.ts';
import { type HashName, integrityAlgorithm, type Signer, signBytes } from './signer.ts';

/** IO 3.1.21, in its order. Absent fields stay listed, so nobody can add one; private-id only if present. */
const coveredHeaders = [
  'From',
  'Date',
  'Message-ID',
  'Subject',
  'Reply-To',
  'X-de-mail-confirmation-of-dispatch',
  'X-de-mail-confirmation-of-receipt',
  'X-de-mail-confirmation-of-retrieve',
  'X-de-mail-authoritative',
  'X-de-mail-private',
  'X-de-mail-sender',
  'X-de-mail-chosen-recipient',
  'X-de-mail-auth-mechanism',
  'X-de-mail-auth-level',
  'X-de-mail-originator-provider',
  'X-de-mail-message-type',
  'X-de-mail-version',
  'X-de-mail-private-id',
  'X-de-mail-message-id',
  'X-de-mail-account-holder',
] as const;

const integrityName = 'X-de-mail-integrity';
const certificateName = 'X-de-mail-signature-certificate';

export interface SealOptions {
  /** `d=`: FQDN of the provider. */
  readonly domain: string;
  /** `s=` */
  readonly selector: string;
  readonly hash: HashName;
  /** Absent: hash only. */
  readonly signer?: Signer;
  readonly lies?: Lies;
}

/** A message whose header is complete and sealed. */
export interface Sealed {
  readonly fields: readonly Field[];
  readonly header: Buffer;
  readonly body: Buffer;
}

/** Puts the integrity header, and the certificate where signed, on top of finished fields. */
export function seal(fields: readonly Field[], body: Buffer, options: SealOptions): Sealed {
  const { signer, lies = honest } = options;
  const hash = signer?.hash ?? options.hash;
  const covered = coveredHeaders.filter(
    (name) => name !== 'X-de-mail-private-id' || topmost(fields, name) !== undefined,
  );
  const unsigned = [
    `${integrityName}: v=1; a=${signer ? integrityAlgorithm(signer) : hash}; c=simple/simple;`,
    ` d=${options.domain}; s=${options.selector};`,
    ...(signer ? [' q=x-header/x-de-mail-signature-certificate;'] : []),
    ...foldList(' h=', covered),
    ` bh=${lies.has('body-hash') ? otherBase64(bodyHash(body, hash)) : bodyHash(body, hash)};`,
    ' b=',
  ].join('\r\n');
  const signedText =
    covered
      .map((name) => topmost(fields, name))
      .map((field) => (field ? `${field.raw}\r\n` : ''))
      .join('') + unsigned;
  const signedBytes = Buffer.from(signedText, 'latin1');
  const value = signer
    ? signBytes(signer, signedBytes, 'der')
    : createHash(hash).update(signedBytes).digest();
  const base64 = value.toString('base64');
  const shown = lies.has('integrity-hash') ? otherBase64(base64) : base64;
  const integrity: Field = { name: integrityName, raw: unsigned + foldBase64(shown, 3) };
  const proof = [integrity, ...(signer ? [certificateField(signer)] : [])];
  const sealed = lies.has('no-integrity') ? fields : [...proof, ...fields];
  return { fields: sealed, header: headerBytes(sealed), body };
}

/** The same message under another seal. */
export function reseal(message: Sealed, options: SealOptions): Sealed {
  const bare = message.fields.filter(({ name }) => name !== integrityName && name !== certificateName);
  return seal(bare, message.body, options);
}

function certificateField(signer: Signer): Field {
  const base64 = signer.certificateDer.toString('base64');
  return {
    name: certificateName,
    raw: `${certificateName}: ${foldBase64(base64, certificateName.length + 2)}`,
  };
}

/** RFC 6376 3.4.3: empty lines at the end are ignored, an empty body is one CRLF. */
function bodyHash(body: Buffer, hash: HashName): string {
  let end = body.length;
  while (end >= 2 && body[end - 1] === 0x0a && body[end - 2] === 0x0d) end -= 2;
  return createHash(hash).update(body.subarray(0, end)).update('\r\n').digest('base64');
}

function foldList(start: string, names: readonly string[]): string[] {
  const lines = [start];
  for (const [index, name] of names.entries()) {
    const item = name + (index === names.length - 1 ? ';' : ':');
    if (lines.at(-1)!.length + item.length > 76) lines.push(' ');
    lines[lines.length - 1] += item;
  }
  return lines;
}

function foldBase64(text: string, used: number): string {
  const lines = [text.slice(0, 76 - used)];
  for (let at = 76 - used; at < text.length; at += 72) lines.push(text.slice(at, at + 72));
  return lines.join('\r\n ');
}
