import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as asn1js from 'asn1js';
import fc from 'fast-check';
import * as pkijs from 'pkijs';
import { describe, expect, test } from 'vitest';
import type { IntegrityHash } from '../demail/integrity.ts';
import { type CmsReport, verifyCms } from './cms.ts';
import { readSignedData } from './cms-structure.ts';

const fixture = (name: string) => readFileSync(new URL(`../../test/fixtures/cms/${name}`, import.meta.url));
const content = fixture('content.txt');
const digestOf = (bytes: Buffer) => async (hash: IntegrityHash) => createHash(hash).update(bytes).digest();

function verify(cms: Buffer, over: Buffer = content): Promise<CmsReport> {
  return verifyCms({ cms, contentDigest: digestOf(over) });
}

const results = (report: CmsReport) => report.checks.map(({ name, result }) => `${name} ${result}`);
const sound = ['cms-attributes passed', 'cms-content passed', 'cms-signature passed'];

describe('what openssl signs', () => {
  test.each([
    ['rsa.p7s', 'rsa'],
    ['pss.p7s', 'rsa'],
    ['brainpool.p7s', 'brainpool'],
    ['p256-sha512.p7s', 'p256'],
    ['key-identifier.p7s', 'p256'],
    ['pem.p7s', 'p256'],
  ])('%s', async (name, signer) => {
    const report = await verify(fixture(name));
    expect(results(report)).toEqual(sound);
    expect(report).toMatchObject({ intact: true, opaque: false, content: null });
    expect(report.signers[0]!.subject).toBe(`C=DE, O=Stadt Waren, CN=Erika Mustermann ${signer}`);
    expect(report.signers[0]!.signingTime).toMatch(/^20\d\d-/);
    expect(report.certificates).toHaveLength(1);
    expect(report.signers[0]!.certificate!.equals(report.certificates[0]!)).toBe(true);
  });

  test.each(['opaque.p7m', 'opaque-stream.p7m'])('%s brings the content along', async (name) => {
    const report = await verifyCms({ cms: fixture(name) });
    expect(results(report)).toEqual(sound);
    expect(report.content!.equals(content)).toBe(true);
  });

  test('two signers are both verified', async () => {
    const report = await verify(fixture('two-signers.p7s'));
    expect(results(report)).toEqual([...sound, ...sound]);
    expect(report.signers.map(({ subject }) => subject?.split(' ').at(-1)).sort()).toEqual([
      'brainpool',
      'rsa',
    ]);
  });
});

describe('what does not hold', () => {
  test('changed content', async () => {
    const report = await verify(
      fixture('brainpool.p7s'),
      Buffer.from(content.toString().replace('Damen', 'Daman')),
    );
    expect(results(report)).toEqual(['cms-attributes passed', 'cms-content failed']);
    expect(report.intact).toBe(false);
  });

  test('no content', async () => {
    expect(results(await verifyCms({ cms: fixture('rsa.p7s') }))).toEqual([
      'cms-attributes passed',
      'cms-content undecided',
    ]);
  });

  test('no certificate', async () => {
    const report = await verify(fixture('no-certificates.p7s'));
    expect(results(report)).toEqual([
      'cms-attributes passed',
      'cms-content passed',
      'cms-signature undecided',
    ]);
    expect(report).toMatchObject({ intact: false, signers: [{ certificate: null, subject: null }] });
  });

  test.each([
    ['SHA-1', 'sha1.p7s', 'cms-algorithm failed'],
    ['no signed attributes', 'no-attributes.p7s', 'cms-attributes failed'],
    ['encrypted, not signed', 'encrypted.p7m', 'cms-form failed'],
    ['no CMS at all', 'content.txt', 'cms-form failed'],
    ['a certificate in its place', 'root.pem', 'cms-form failed'],
  ])('%s', async (_what, name, expected) => {
    expect(results(await verify(fixture(name)))).toEqual([expected]);
  });

  test('bytes after the structure, cut structures, nothing', async () => {
    const cms = fixture('rsa.p7s');
    for (const bytes of [Buffer.concat([cms, Buffer.from('more')]), cms.subarray(0, 500), Buffer.alloc(0)]) {
      expect(results(await verify(bytes))).toEqual(['cms-form failed']);
    }
  });

  test('signed attributes passed off as content (RFC 8933 3)', async () => {
    const original = readSignedData(fixture('p256-sha512.p7s'));
    if (!original.ok) throw new Error(original.reason);
    const attributes = original.data.signers[0]!.signedBytes!;
    const forged = rebuilt('p256-sha512.p7s', (signedData) => {
      delete signedData.signerInfos[0]!.signedAttrs;
    });
    const report = await verify(forged, attributes);
    expect(results(report)).toEqual(['cms-attributes failed']);
  });

  test('another content type outside than inside', async () => {
    const forged = rebuilt('p256-sha512.p7s', (signedData) => {
      signedData.encapContentInfo.eContentType = '1.2.840.113549.1.9.16.1.4';
    });
    expect(results(await verify(forged))).toEqual(['cms-attributes failed']);
  });

  test("somebody else's certificate under the signer's name", async () => {
    const forged = rebuilt('p256-sha512.p7s', (signedData) => {
      const other = rebuiltCertificate('brainpool.p7s');
      const own = signedData.certificates![0] as pkijs.Certificate;
      own.subjectPublicKeyInfo = other.subjectPublicKeyInfo;
      own.tbsView = new Uint8Array(own.encodeTBS().toBER());
    });
    expect(results(await verify(forged))).toEqual([
      'cms-attributes passed',
      'cms-content passed',
      'cms-signature failed',
    ]);
  });

  test('very deep and very wide structures are refused quickly', async () => {
    const deep = Buffer.concat([Buffer.from('3080'.repeat(50_000), 'hex'), Buffer.alloc(100_000)]);
    const inner = Buffer.alloc(2 * 500_000, Buffer.from('0500', 'hex'));
    const wide = Buffer.concat([Buffer.from([0x30, 0x83, 0x0f, 0x42, 0x40]), inner]);
    for (const bytes of [deep, wide]) expect(results(await verify(bytes))).toEqual(['cms-form failed']);
  });
});

test('no changed octet that matters passes, and nothing raises an exception', async () => {
  const cms = fixture('brainpool.p7s');
  const signedBytes = (bytes: Buffer) => {
    const read = readSignedData(bytes);
    return read.ok ? read.data.signers.map((signer) => signer.signedBytes?.toString('hex')) : null;
  };
  const original = signedBytes(cms);
  await fc.assert(
    fc.asyncProperty(fc.nat(cms.length - 1), fc.integer({ min: 0, max: 255 }), async (at, value) => {
      const bytes = Buffer.from(cms);
      bytes[at] = value;
      const report = await verify(bytes);
      // What is not signed (the version, unknown certificates) may differ; what was signed may not.
      if (report.intact) expect(signedBytes(bytes)).toEqual(original);
    }),
    { numRuns: 80 },
  );
});

/** A fixture with its structure changed, as an attacker without the key can change it. */
function rebuilt(name: string, change: (signedData: pkijs.SignedData) => void): Buffer {
  const info = pkijs.ContentInfo.fromBER(fixture(name));
  const signedData = new pkijs.SignedData({ schema: info.content });
  change(signedData);
  info.content = signedData.toSchema(true);
  return Buffer.from(info.toSchema().toBER());
}

function rebuiltCertificate(name: string): pkijs.Certificate {
  const info = pkijs.ContentInfo.fromBER(fixture(name));
  const [certificate] = new pkijs.SignedData({ schema: info.content }).certificates ?? [];
  if (!(certificate instanceof pkijs.Certificate)) throw new Error('no certificate');
  expect(certificate.tbsView).toBeInstanceOf(Uint8Array);
  expect(asn1js.fromBER(certificate.tbsView).offset).toBeGreaterThan(0);
  return certificate;
}
