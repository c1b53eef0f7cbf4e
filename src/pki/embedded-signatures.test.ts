import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createIndexer } from '../mime/structure.ts';
import { findSignatures } from './embedded-signatures.ts';

const fixture = (name: string) => readFileSync(new URL(`../../test/fixtures/cms/${name}`, import.meta.url));
const base64 = (bytes: Buffer) => bytes.toString('base64').replace(/.{76}/g, '$&\r\n');
const content = fixture('content.txt');
const erika = (key: string) => `C=DE, O=Stadt Waren, CN=Erika Mustermann ${key}`;

function find(message: string | Buffer) {
  const bytes = Buffer.from(message);
  const indexer = createIndexer();
  indexer.push(bytes);
  return findSignatures(indexer.finish(), async function* (start, end) {
    // In small pieces, so that nothing relies on getting a part at once.
    for (let at = start; at < end; at += 50) yield bytes.subarray(at, Math.min(at + 50, end));
  });
}

function part(type: string, name: string, body: Buffer): string {
  return `Content-Type: ${type}; name="${name}"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename="${name}"\r\n\r\n${base64(body)}\r\n`;
}

function multipart(subtype: string, parts: readonly string[]): string {
  const body = parts.map((text) => `--b\r\n${text}\r\n`).join('');
  return `Content-Type: multipart/${subtype}; boundary=b\r\n\r\n${body}--b--\r\n`;
}

const text = 'Content-Type: text/plain\r\n\r\nGuten Tag\r\n';
const smime = (cms: string, signed = content.toString()) =>
  multipart('signed', [signed, part('application/pkcs7-signature', 'smime.p7s', fixture(cms))]);

test('multipart/signed', async () => {
  const [found, ...more] = await find(smime('brainpool.p7s'));
  expect(more).toEqual([]);
  expect(found).toMatchObject({
    kind: 'smime-signed',
    part: '2',
    signer: erika('brainpool'),
    sha256: createHash('sha256').update(fixture('brainpool.p7s')).digest('hex'),
    report: { intact: true },
  });
});

test('multipart/signed with changed content', async () => {
  const [found] = await find(smime('brainpool.p7s', content.toString().replace('Damen', 'Daman')));
  expect(found).toMatchObject({ kind: 'smime-signed', report: { intact: false } });
});

test('opaque; an encrypted mail is no signature', async () => {
  const opaque = (type: string, cms: string) =>
    part(`application/pkcs7-mime; smime-type=${type}`, 'smime.p7m', fixture(cms));
  expect(await find(opaque('signed-data', 'opaque.p7m'))).toMatchObject([
    { kind: 'smime-opaque', part: '1', signer: erika('p256'), report: { intact: true, opaque: true } },
  ]);
  expect(await find(opaque('enveloped-data', 'encrypted.p7m'))).toEqual([]);
});

test('.p7s beside its file, by name', async () => {
  const message = multipart('mixed', [
    text,
    part('application/octet-stream', 'other.bin', Buffer.from('other')),
    part('application/octet-stream', 'rechnung.txt', content),
    part('application/octet-stream', 'Rechnung.txt.p7s', fixture('pss.p7s')),
  ]);
  expect(await find(message)).toMatchObject([
    { kind: 'p7s', part: '4', signer: erika('rsa'), report: { intact: true } },
  ]);
});

test('.p7s whose file is not there', async () => {
  const message = multipart('mixed', [
    text,
    part('application/pkcs7-signature', 'a.p7s', fixture('rsa.p7s')),
  ]);
  const [found] = await find(message);
  expect(found!.report!.checks.at(-1)).toMatchObject({ name: 'cms-content', result: 'undecided' });
});

test('a signature inside a forwarded message has the number of its part', async () => {
  const forwarded = `Content-Type: message/rfc822\r\n\r\nSubject: x\r\n${smime('rsa.p7s')}`;
  expect(await find(multipart('mixed', [text, forwarded]))).toMatchObject([
    { kind: 'smime-signed', part: '2.2', report: { intact: true } },
  ]);
});

function pdf(contents: Buffer | null): Buffer {
  if (contents === null) return Buffer.from('%PDF-1.7\n1 0 obj <</Type /Catalog>> endobj\n%%EOF\n');
  const hex = Buffer.concat([contents, Buffer.alloc(200)]).toString('hex');
  const build = (range: string) =>
    `%PDF-1.7\n1 0 obj <</Type /Sig /ByteRange [${range.padEnd(40)}] /Contents `;
  const start = build('').length;
  const tail = '>>\nendobj\n%%EOF\n';
  const end = start + hex.length + 2;
  return Buffer.from(`${build(`0 ${start} ${end} ${tail.length}`)}<${hex}>${tail}`);
}

test('a signed PDF is recognised with its signer and the digest of the file', async () => {
  const file = pdf(fixture('p256-sha512.p7s'));
  const message = multipart('mixed', [text, part('application/pdf', 'bescheid.pdf', file)]);
  expect(await find(message)).toEqual([
    {
      kind: 'pdf',
      part: '2',
      signer: erika('p256'),
      sha256: createHash('sha256').update(file).digest('hex'),
      report: null,
      cms: fixture('p256-sha512.p7s'),
    },
  ]);
  expect(await find(multipart('mixed', [text, part('application/pdf', 'a.pdf', pdf(null))]))).toEqual([]);
  expect(
    await find(multipart('mixed', [text, part('application/pdf', 'a.pdf', pdf(Buffer.from('junk')))])),
  ).toMatchObject([{ kind: 'pdf', signer: null }]);
});

test('broken signatures and ordinary mail raise no exception', async () => {
  expect(await find('')).toEqual([]);
  expect(await find(text)).toEqual([]);
  const broken = part('application/pkcs7-signature', 'a.p7s', Buffer.from('junk'));
  expect(await find(broken)).toMatchObject([
    { kind: 'p7s', part: '1', signer: null, report: { intact: false } },
  ]);
});
