import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, test } from 'vitest';
import { createIndexer } from '../mime/structure.ts';
import { findSignatures } from './embedded-signatures.ts';
import { signCms } from './testing/sign-cms.ts';
import { issue } from './testing/test-pki.ts';

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

describe('a message of 45 MiB', () => {
  setFlagsFromString('--expose-gc');
  const size = 45 * 1024 * 1024;
  const line = `${Buffer.alloc(57, 'x').toString('base64')}\r\n`;
  const block = Buffer.from(line.repeat(2_000));

  /** The message in pieces that nobody keeps: head, so many blocks, tail. Counts the bytes held by the reader. */
  function large(head: string, tail: string) {
    const count = Math.ceil(size / block.length);
    const whole = head.length + count * block.length + tail.length;
    const at = (from: number, to: number): Buffer => {
      if (from < head.length) return Buffer.from(head.slice(from, Math.min(to, head.length)));
      const inside = from - head.length;
      if (inside >= count * block.length)
        return Buffer.from(
          tail.slice(inside - count * block.length, to - head.length - count * block.length),
        );
      const start = inside % block.length;
      return block.subarray(start, Math.min(block.length, start + to - from));
    };
    let most = 0;
    const collect = runInNewContext('gc') as () => void;
    collect();
    const before = process.memoryUsage().arrayBuffers;
    async function* read(start: number, end: number) {
      let pieces = 0;
      for (let from = start; from < end; ) {
        const piece = Buffer.from(at(from, end));
        yield piece;
        from += piece.length;
        // Whoever keeps a piece, or a view of it, keeps these bytes.
        piece.fill(0);
        pieces += 1;
        if (pieces % 10 !== 0) continue;
        collect();
        most = Math.max(most, process.memoryUsage().arrayBuffers - before);
      }
    }
    return { read, whole, most: () => most };
  }

  async function find(head: string, tail: string) {
    const { read, whole, most } = large(head, tail);
    const indexer = createIndexer();
    for await (const piece of read(0, whole)) indexer.push(piece);
    const found = await findSignatures(indexer.finish(), read);
    // Collected buffers are given back with a delay of a round or two.
    expect(most()).toBeGreaterThan(0);
    expect(most()).toBeLessThan(8 * 1024 * 1024);
    return found;
  }

  const partHead = (type: string, name: string) =>
    `Content-Type: ${type}; name="${name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n`;
  const digestOfContent = () => {
    const hash = createHash('sha256');
    const decoded = Buffer.from(block.toString(), 'base64');
    for (let i = 0; i < Math.ceil(size / block.length); i += 1) hash.update(decoded);
    return hash.digest();
  };

  it('as a PDF is looked through without being kept', async () => {
    const mixed = 'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n';
    expect(await find(mixed + partHead('application/pdf', 'a.pdf'), '\r\n--b--\r\n')).toEqual([]);
  });

  it('beside its .p7s is digested to the byte, without being kept', async () => {
    const digest = digestOfContent();
    const signer = issue('Erika');
    const info = signCms(Buffer.alloc(0), signer, { signedAt: null, digest });
    const p7s = part('application/pkcs7-signature', 'a.bin.p7s', info);
    const mixed = 'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n';
    const [beside] = await find(
      mixed + partHead('application/octet-stream', 'a.bin'),
      `\r\n--b\r\n${p7s}\r\n--b--\r\n`,
    );
    expect(beside).toMatchObject({ kind: 'p7s', report: { intact: true } });
  });
});
