import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as asn1js from 'asn1js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readCertificate } from './certificate.ts';
import { crlStatus, readCrl } from './crl.ts';
import { ocspStatus, readOcsp } from './ocsp.ts';
import { checkRevocation } from './revocation.ts';
import {
  readRevocationFolder,
  readTrustFolder,
  revocationCache,
  revocationFrom,
  revocationMemory,
} from './revocation-sources.ts';
import { extension, type Identity, issue, makeCrl, makeOcsp, newKey } from './testing/test-pki.ts';
import type { RevocationData, RevocationSource } from './types.ts';

const root = issue('Root', { authority: true, key: newKey('brainpoolP384r1') });
const leaf = issue('Signer', { issuer: root });
const path = [readCertificate(leaf.der)!, readCertificate(root.der)!];
const before = '2026-06-01T00:00:00Z';
const signedAt = new Date('2026-06-01T12:00:00Z');
const after = '2026-06-02T00:00:00Z';
const time = new Date('2026-06-02T12:00:00Z');
const next = '2026-06-09T00:00:00Z';

const crl = (der: Buffer): RevocationData => ({ kind: 'crl', der });
const ocsp = (der: Buffer): RevocationData => ({ kind: 'ocsp', der });

async function code(...data: readonly RevocationData[]): Promise<string> {
  const { checks } = await checkRevocation({ path, source: revocationMemory(data), signedAt, time });
  return checks.map((check) => `${check.result} ${check.code}`).join();
}

const listOf = (at: string, reason?: number, issued = after) =>
  makeCrl(root, {
    issued,
    next,
    revoked: [{ certificate: leaf.der, at, ...(reason === undefined ? {} : { reason }) }],
  });
const good = makeCrl(root, {
  issued: after,
  next,
  revoked: [{ certificate: issue('Other', { issuer: root }).der, at: before }],
});

describe('a CRL', () => {
  it.each<[string, Buffer, string]>([
    ['issued after the signing is final', good, 'passed revocation-passed'],
    ['issued before is not', makeCrl(root, { issued: before, next }), 'undecided revocation-provisional'],
    [
      'issued when it was signed is not',
      makeCrl(root, { issued: signedAt.toISOString(), next }),
      'undecided revocation-provisional',
    ],
    [
      'that newer ones have followed is not',
      makeCrl(root, { issued: after, next: '2026-06-02T06:00:00Z' }),
      'undecided revocation-stale',
    ],
    [
      'that never ends may have been followed',
      makeCrl(root, { issued: after }),
      'undecided revocation-stale',
    ],
    ['tells of a revocation before', listOf(before), 'failed revocation-revoked'],
    ['tells of one in the same second', listOf(signedAt.toISOString()), 'failed revocation-revoked'],
    ['tells of one known already then', listOf(before, 1, before), 'failed revocation-revoked'],
    [
      'tells of one after the signing was claimed',
      listOf('2026-06-01T18:00:00Z'),
      'undecided revocation-revoked-since',
    ],
    [
      'tells of one after the message was there',
      listOf('2026-06-03T00:00:00Z', 1, '2026-06-04T00:00:00Z'),
      'passed revocation-passed',
    ],
    ['tells of a suspension', listOf(before, 6), 'undecided revocation-on-hold'],
    ['tells that it was taken off', listOf(before, 8), 'passed revocation-passed'],
    [
      'signed by another key says nothing',
      makeCrl(root, { issued: after, next, key: newKey('p256') }),
      'undecided revocation-unknown',
    ],
    [
      'of another issuer says nothing',
      makeCrl(issue('Else', { authority: true }), { issued: after, next }),
      'undecided revocation-unknown',
    ],
  ])('%s', async (_, der, expected) => {
    expect(await code(crl(der))).toBe(expected);
  });

  const point = (parts: asn1js.BaseBlock[]) =>
    extension('2.5.29.28', true, new asn1js.Sequence({ value: parts as never }));
  const flag = (tagNumber: number, byte = 0xff) =>
    new asn1js.Primitive({ idBlock: { tagClass: 3, tagNumber }, valueHex: new Uint8Array([byte]).buffer });

  it.each<[string, ReturnType<typeof extension>, string]>([
    ['indirect', point([flag(4)]), 'indirect'],
    ['for authorities only', point([flag(2)]), 'authorities only'],
    ['for attribute certificates', point([flag(5)]), 'attribute certificates'],
    ['a delta', extension('2.5.29.27', true, new asn1js.Integer({ value: 1 })), 'delta'],
    ['of unknown meaning', extension('1.2.3.4', true, new asn1js.Null()), 'not understood'],
  ])('that is %s is refused in words', async (_, extra, words) => {
    const der = makeCrl(root, { issued: after, next, extensions: [extra] });
    const { checks } = await checkRevocation({ path, source: revocationMemory([crl(der)]), signedAt, time });
    expect(checks).toMatchObject([{ code: 'revocation-unknown', reason: expect.stringContaining(words) }]);
  });

  it('for end users is one for the signer', async () => {
    expect(await code(crl(makeCrl(root, { issued: after, next, extensions: [point([flag(1)])] })))).toBe(
      'passed revocation-passed',
    );
  });

  it('of an issuer that may not sign lists says nothing', async () => {
    const issuer = issue('Root', { authority: true, usage: 0x04 });
    const own = issue('Signer', { issuer });
    const status = crlStatus(
      readCrl(makeCrl(issuer, { issued: after, next }))!,
      readCertificate(own.der)!,
      readCertificate(issuer.der)!,
    );
    expect(status.kind).toBe('refused');
  });

  it('issued after the certificate had expired may have dropped it', () => {
    const expired = issue('Signer', { issuer: root, notAfter: '2026-06-01T18:00:00Z' });
    const status = crlStatus(readCrl(good)!, readCertificate(expired.der)!, path[1]!);
    expect(status.kind).toBe('refused');
  });

  it('with a changed byte never says that all is well', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: good.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        async (at, flip) => {
          const changed = Buffer.from(good);
          changed[at] = changed[at]! ^ flip;
          const crlRead = readCrl(changed);
          if (crlRead === null) return;
          const status = crlStatus(crlRead, path[0]!, path[1]!);
          // The unused bits of the outer frame and a malleable signature aside, nothing may count.
          if (status.kind === 'good')
            expect(Buffer.from(crlRead.tbsView).equals(Buffer.from(readCrl(good)!.tbsView))).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('an OCSP response', () => {
  const responder = issue('Responder', { issuer: root, purposes: ['1.3.6.1.5.5.7.3.9'], noCheck: true });
  const options = { issued: after, next };
  const by = (who: Identity, more = {}) => ocsp(makeOcsp(leaf.der, root, who, { ...options, ...more }));
  const stranger = issue('Root 2', { authority: true });

  it.each<[string, RevocationData, string]>([
    ['of the issuer counts', by(root), 'passed revocation-passed'],
    ['of an appointed responder counts', by(responder), 'passed revocation-passed'],
    [
      'from before the signing is provisional',
      by(root, { issued: before }),
      'undecided revocation-provisional',
    ],
    ['tells of a revocation', by(responder, { revokedAt: before }), 'failed revocation-revoked'],
    [
      'that does not know the certificate says nothing',
      by(root, { unknown: true }),
      'undecided revocation-unknown',
    ],
    ['of another authority says nothing', by(stranger), 'undecided revocation-unknown'],
    [
      'of a responder appointed by another says nothing',
      by(issue('R', { issuer: stranger, purposes: ['1.3.6.1.5.5.7.3.9'], noCheck: true })),
      'undecided revocation-unknown',
    ],
    [
      'of someone with a certificate for signing says nothing',
      by(issue('R', { issuer: root, noCheck: true })),
      'undecided revocation-unknown',
    ],
    [
      'of a responder that may itself be revoked says nothing',
      by(issue('R', { issuer: root, purposes: ['1.3.6.1.5.5.7.3.9'] })),
      'undecided revocation-unknown',
    ],
    [
      'of a responder that had expired says nothing',
      by(issue('R', { issuer: root, purposes: ['1.3.6.1.5.5.7.3.9'], noCheck: true, notAfter: before })),
      'undecided revocation-unknown',
    ],
    [
      'about another certificate says nothing',
      ocsp(makeOcsp(responder.der, root, root, options)),
      'undecided revocation-unknown',
    ],
  ])('%s', async (_, data, expected) => {
    expect(await code(data)).toBe(expected);
  });

  it('with a changed byte never says that all is well', () => {
    const bytes = makeOcsp(leaf.der, root, responder, options);
    const original = Buffer.from(readOcsp(bytes)!.tbsResponseData.tbsView);
    fc.assert(
      fc.property(fc.nat({ max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(bytes);
        changed[at] = changed[at]! ^ flip;
        const read = readOcsp(changed);
        if (read === null) return;
        const status = ocspStatus(read, path[0]!, path[1]!);
        if (status.kind === 'good')
          expect(Buffer.from(read.tbsResponseData.tbsView).equals(original)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('does not outweigh a CRL that knows of a revocation', async () => {
    expect(await code(by(root, { issued: '2026-06-02T06:00:00Z' }), crl(listOf(before)))).toBe(
      'failed revocation-revoked',
    );
  });
});

describe('sources', () => {
  const query = { certificate: leaf.der, issuer: root.der };

  it('add up, and a cache answers once the network does not', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'revocation-'));
    try {
      const network = revocationFrom(
        revocationMemory([crl(good)]),
        revocationMemory([ocsp(makeOcsp(leaf.der, root, root, { issued: after }))]),
      );
      const first = await revocationCache(directory, network).find(query);
      expect(first.map(({ kind }) => kind)).toEqual(['crl', 'ocsp']);
      await revocationCache(directory, network).find(query);
      const offline: RevocationSource = { find: async () => [] };
      const kept = await revocationCache(directory, offline).find(query);
      expect(kept.map(({ der }) => der.toString('hex')).sort()).toEqual(
        first.map(({ der }) => der.toString('hex')).sort(),
      );
      expect(await readdir(directory)).toHaveLength(1);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('are folders of DER and PEM, with anything else besides', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'trust-'));
    const pem = (label: string, der: Buffer) =>
      `-----BEGIN ${label}-----\n${der.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END ${label}-----\n`;
    try {
      const sub = issue('Sub', { issuer: root, authority: true });
      await writeFile(
        join(directory, 'both.pem'),
        `# roots\n${pem('CERTIFICATE', root.der)}${pem('CERTIFICATE', sub.der)}`,
      );
      await writeFile(join(directory, 'list'), good);
      await writeFile(join(directory, 'list.pem'), pem('X509 CRL', good));
      await writeFile(join(directory, 'README'), 'nothing\n');
      const trust = await readTrustFolder(directory);
      expect(trust.anchorsAt(time)).toEqual([root.der]);
      expect(trust.intermediates).toEqual([sub.der]);
      expect(await readRevocationFolder(directory)).toEqual([crl(good), crl(good)]);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
