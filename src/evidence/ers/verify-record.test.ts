import { hash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { IntegrityHash } from '../../demail/integrity.ts';
import { derDigestAlgorithm } from '../../pki/digest-algorithm.ts';
import { revocationMemory } from '../../pki/revocation-sources.ts';
import { type Identity, makeCrl } from '../../pki/testing/test-pki.ts';
import { issueTsa, makeToken, makeTsa, type TokenOptions } from '../../pki/testing/test-tsa.ts';
import { timestampVerifier } from '../../pki/timestamp.ts';
import type { AlgorithmPolicy } from './algorithm-policy.ts';
import { type EvidenceRecord, printEvidenceRecord } from './evidence-record.ts';
import { renewHashTree, renewTimestamp, replaceNewestCrls, timestampRenewalDigest } from './renewal.ts';
import { renewTokenOf, renewTreeOf, type Stamp, sealDocuments } from './testing/renewals.ts';
import { type RecordInput, verifyEvidenceRecord } from './verify-record.ts';

const { root, authority, tsa } = makeTsa({ notAfter: '2030-01-01T00:00:00Z', hash: 'sha512' });
const tsa2040 = issueTsa(authority, { notAfter: '2040-01-01T00:00:00Z', hash: 'sha512' });
const tsa2050 = issueTsa(authority, { notAfter: '2050-01-01T00:00:00Z', hash: 'sha512' });
const trust = { anchorsAt: () => [root.der], intermediates: [authority.der] };
const verifyToken = timestampVerifier({ trust, revocation: revocationMemory([]) });

const policy: AlgorithmPolicy = [
  { name: 'sha256', purpose: 'digest', validUntil: new Date('2035-12-31') },
  { name: 'sha384', purpose: 'digest', validUntil: new Date('2045-12-31') },
  { name: 'sha512', purpose: 'digest', validUntil: new Date('2055-12-31') },
  { name: 'ec-dsa', purpose: 'signature', minBits: 256, validUntil: new Date('2055-12-31') },
];

/** Lists of both authorities, issued at that time and good for a year. */
function lists(issued: string): Buffer[] {
  const next = new Date(Date.parse(issued) + 365 * 86_400_000).toISOString();
  return [makeCrl(root, { issued, next }), makeCrl(authority, { issued, next })];
}

/** A token of that time, with lists of `listed`: just before it is looked at, or covered. */
function stamp(
  signer: Identity,
  genTime: string,
  listed: string,
  options: Partial<TokenOptions> = {},
): Stamp {
  return async (digest, value) =>
    makeToken(signer, {
      hash: digest,
      digest: value,
      genTime,
      crls: lists(listed),
      signatureHash: 'sha512',
      names: ['v2-sha512'],
      ...options,
    });
}

const documents = ['entry', 'message', 'salt'].map((text) => Buffer.from(text));
const objectsOf = (list: readonly Buffer[]): RecordInput['objects'] =>
  list.map((bytes) => ({
    name: bytes.toString(),
    digest: async (digest: IntegrityHash) => hash(digest, bytes, 'buffer'),
  }));

async function verify(record: EvidenceRecord | Buffer, time: string, input: Partial<RecordInput> = {}) {
  const report = await verifyEvidenceRecord({
    record: Buffer.isBuffer(record) ? record : printEvidenceRecord(record),
    objects: objectsOf(documents),
    time: new Date(time),
    policy,
    verifyToken,
    ...input,
  });
  const wrong = report.checks.filter(({ result }) => result !== 'passed').map(({ code }) => code);
  return { ...report, wrong };
}

const sealed = () =>
  sealDocuments(documents, 'sha256', stamp(tsa, '2026-06-01T12:00:00Z', '2029-05-31T00:00:00Z'));
const in2029 = stamp(tsa2040, '2029-06-01T00:00:00Z', '2034-05-31T00:00:00Z');
const in2034 = stamp(tsa2050, '2034-06-01T00:00:00Z', '2044-05-31T00:00:00Z');
const in2044 = stamp(tsa2050, '2044-06-01T00:00:00Z', '2044-06-02T00:00:00Z');

describe('records that hold', () => {
  test('a single document', async () => {
    const made = await sealDocuments(
      [documents[0]!],
      'sha512',
      stamp(tsa, '2026-06-01T12:00:00Z', '2026-06-02T00:00:00Z'),
    );
    const report = await verify(made, '2026-07-01T00:00:00Z', { objects: objectsOf([documents[0]!]) });
    expect(report).toMatchObject({ verdict: 'valid', existedAt: new Date('2026-06-01T12:00:00Z') });
    expect(report.renewBefore).toEqual(new Date('2030-01-01T00:00:00Z'));
  });

  test('a group, with every step named', async () => {
    const report = await verify(await sealed(), '2029-06-01T00:00:00Z');
    expect(report.verdict).toBe('valid');
    expect([...new Set(report.checks.map(({ name }) => name))]).toEqual([
      'record-form',
      'record-objects',
      'record-hash-tree',
      'timestamp-form',
      'timestamp-time',
      'cms-attributes',
      'cms-content',
      'cms-signature',
      'timestamp-signer',
      'timestamp-purpose',
      'certificate-chain',
      'revocation',
      'record-algorithm',
    ]);
    expect(report.material).toHaveLength(5);
  });

  test.each<[string, (record: EvidenceRecord) => Promise<EvidenceRecord>]>([
    [
      'three time-stamp renewals',
      async (record) =>
        renewTokenOf(
          await renewTokenOf(await renewTokenOf(record, in2029), in2034),
          stamp(tsa2050, '2034-07-01T00:00:00Z', '2034-07-02T00:00:00Z'),
        ),
    ],
    [
      'time-stamp, tree, time-stamp',
      async (record) =>
        renewTokenOf(
          await renewTreeOf(await renewTokenOf(record, in2029), documents, 'sha384', in2034),
          in2044,
        ),
    ],
    [
      'tree, time-stamp, tree',
      async (record) =>
        renewTreeOf(
          await renewTokenOf(await renewTreeOf(record, documents, 'sha384', in2029), in2034),
          documents,
          'sha512',
          in2044,
        ),
    ],
  ])('%s', async (_name, renew) => {
    const renewed = await renew(await sealed());
    const newest = renewed.chains.at(-1)!.length === 4 ? '2034-08-01T00:00:00Z' : '2044-07-01T00:00:00Z';
    const report = await verify(renewed, newest);
    expect(report.wrong).toEqual([]);
    expect(report).toMatchObject({ verdict: 'valid', existedAt: new Date('2026-06-01T12:00:00Z') });
  });

  test('a record whose lists were exchanged before anything covered them', async () => {
    const old = await sealDocuments(
      documents,
      'sha256',
      stamp(tsa, '2026-06-01T12:00:00Z', '2026-05-01T00:00:00Z'),
    );
    expect((await verify(old, '2026-06-10T00:00:00Z')).wrong).toContain('revocation-provisional');
    const renewed = replaceNewestCrls(old, lists('2026-06-09T00:00:00Z'));
    expect((await verify(renewed, '2026-06-10T00:00:00Z')).verdict).toBe('valid');
  });
});

describe('records that do not', () => {
  const now = '2034-07-01T00:00:00Z';
  const renewedTwice = async () =>
    renewTreeOf(
      await renewTokenOf(await sealed(), in2029),
      documents,
      'sha384',
      stamp(tsa2050, '2034-06-01T00:00:00Z', '2034-06-02T00:00:00Z'),
    );

  test.each<[string, string[], Buffer[]]>([
    [
      'a changed document',
      ['record-object-differs', 'record-object-missing'],
      [documents[0]!, documents[1]!, Buffer.from('sugar')],
    ],
    ['a missing document', ['record-object-missing'], documents.slice(1)],
    ['a document too many', ['record-object-differs'], [...documents, Buffer.from('another')]],
    ['no document', ['record-objects-undecided', 'record-object-missing'], []],
  ])('%s', async (_name, codes, list) => {
    const report = await verify(await renewedTwice(), now, { objects: objectsOf(list) });
    expect([...new Set(report.wrong)]).toEqual(codes);
    expect(report.verdict).toBe('invalid');
  });

  test('a document that cannot be read leaves it open', async () => {
    const objects = [...objectsOf(documents.slice(1)), { name: 'entry', digest: async () => null }];
    const report = await verify(await renewedTwice(), now, { objects });
    expect([...new Set(report.wrong)]).toEqual(['record-object-unreadable']);
    expect(report.verdict).toBe('indeterminate');
  });

  /** The record with one archive time-stamp changed. */
  async function changed(
    chain: number,
    place: number,
    change: (ats: EvidenceRecord['chains'][0][0]) => object,
  ) {
    const record = await renewedTwice();
    return {
      ...record,
      chains: record.chains.map((each, i) =>
        each.map((ats, j) => (i === chain && j === place ? { ...ats, ...change(ats) } : ats)),
      ),
    };
  }

  test('a sibling exchanged: the tree, and everything that covers it', async () => {
    const record = await changed(0, 0, ({ reducedHashTree }) => ({
      reducedHashTree: [reducedHashTree![0]!, [Buffer.alloc(32)], ...reducedHashTree!.slice(2)],
    }));
    expect(new Set((await verify(record, now)).wrong)).toEqual(
      new Set(['record-hash-tree-failed', 'record-object-differs', 'record-object-missing']),
    );
  });

  test('the first token exchanged for a later one over the same root', async () => {
    const record = await changed(0, 0, () => ({}));
    const { digest, value } = { digest: 'sha256' as const, value: rootOfFirst(record) };
    const token = await stamp(tsa, '2027-01-01T00:00:00Z', '2029-05-31T00:00:00Z')(digest, value);
    const other = await changed(0, 0, () => ({ timeStamp: token }));
    expect((await verify(other, now)).wrong).toContain('record-link-failed');
  });

  test('a token that a stranger signed under a good renewal', async () => {
    const stranger = makeTsa();
    const record = await sealDocuments(
      documents,
      'sha256',
      stamp(stranger.tsa, '2026-06-01T12:00:00Z', '2029-05-31T00:00:00Z'),
    );
    const report = await verify(await renewTokenOf(record, in2029), '2034-06-01T00:00:00Z');
    expect(report.wrong).toEqual(['chain-no-anchor']);
    expect(report.checks.find(({ code }) => code === 'chain-no-anchor')!.reason).toMatch(
      /^archive time-stamp 1\.1: /,
    );
    expect(report.verdict).toBe('indeterminate');
  });

  test('a token whose signature is broken under a good renewal', async () => {
    const forged = stamp(tsa, '2026-06-01T12:00:00Z', '2029-05-31T00:00:00Z', { key: tsa2040.key });
    const report = await verify(
      await renewTokenOf(await sealDocuments(documents, 'sha256', forged), in2029),
      '2034-06-01T00:00:00Z',
    );
    expect(report).toMatchObject({ verdict: 'invalid', wrong: ['cms-signature-failed'] });
  });

  test('a renewal after the certificate ran out', async () => {
    const late = stamp(tsa2040, '2031-06-01T00:00:00Z', '2031-06-02T00:00:00Z');
    const report = await verify(await renewTokenOf(await sealed(), late), '2031-07-01T00:00:00Z');
    expect(new Set(report.wrong)).toEqual(new Set(['certificate-expired-since', 'revocation-stale']));
    expect(report.verdict).toBe('indeterminate');
  });

  test('no renewal at all', async () => {
    const report = await verify(await sealed(), '2031-07-01T00:00:00Z');
    expect(new Set(report.wrong)).toEqual(new Set(['certificate-expired-since', 'revocation-stale']));
  });

  test('a digest that ran out before the tree was renewed', async () => {
    const late = stamp(tsa2040, '2036-06-01T00:00:00Z', '2036-06-02T00:00:00Z');
    const record = await renewTokenOf(
      await sealed(),
      stamp(tsa2040, '2029-06-01T00:00:00Z', '2036-05-31T00:00:00Z'),
    );
    const report = await verify(await renewTreeOf(record, documents, 'sha512', late), '2036-07-01T00:00:00Z');
    expect(report.wrong).toEqual(['record-algorithm-undecided']);
    expect(report.checks.find(({ result }) => result === 'undecided')!.reason).toBe(
      'archive time-stamp 1.2: sha256 counted until 2035-12-31T00:00:00Z, and nothing covered it before 2036-06-01T00:00:00Z',
    );
  });

  test('a renewal that is older than what it covers', async () => {
    const earlier = stamp(tsa2040, '2026-05-01T00:00:00Z', '2026-06-02T00:00:00Z');
    const report = await verify(await renewTokenOf(await sealed(), earlier), '2026-07-01T00:00:00Z');
    expect(report.wrong).toContain('record-order-failed');
    expect(report.verdict).toBe('invalid');
  });

  test('a chain with two digests', async () => {
    const record = await changed(0, 1, () => ({ digestAlgorithm: derDigestAlgorithm('sha512') }));
    expect((await verify(record, now)).wrong).toContain('record-chain-digest');
  });

  test.each<[string, string, (lists: readonly (readonly Buffer[])[]) => Buffer[][]]>([
    [
      'a digest twice',
      'record-tree-redundant',
      ([own, ...rest]) => [[...own!, own![0]!], ...rest.map((l) => [...l])],
    ],
    [
      'two digests run together',
      'record-tree-length',
      ([own, ...rest]) => [[Buffer.concat(own!)], ...rest.map((l) => [...l])],
    ],
  ])('a tree with %s', async (_name, code, change) => {
    const record = await changed(0, 0, ({ reducedHashTree }) => ({
      reducedHashTree: change(reducedHashTree!),
    }));
    expect((await verify(record, now)).wrong).toContain(code);
  });

  test('a digest that the record does not list', async () => {
    const record = { ...(await renewedTwice()), digestAlgorithms: [derDigestAlgorithm('sha256')] };
    expect(await verify(record, now)).toMatchObject({
      verdict: 'invalid',
      wrong: ['record-digest-unlisted'],
    });
  });

  test('any byte changed is noticed, or changes nothing that is said', async () => {
    const bytes = printEvidenceRecord(await renewedTwice());
    const whole = await verify(bytes, now);
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const changed = Buffer.from(bytes);
        changed[at]! ^= flip;
        const report = await verify(changed, now);
        // The newest token has a few octets that nobody signed and nothing covers yet, such as its CMS version.
        if (report.verdict === 'valid')
          expect({ ...report, material: [] }).toEqual({ ...whole, material: [] });
      }),
      { numRuns: 100 },
    );
  });

  test('bytes that are no record', async () => {
    expect(await verify(Buffer.from('no record'), now)).toMatchObject({
      verdict: 'invalid',
      wrong: ['record-form-failed'],
    });
  });
});

describe('renewals that do not fit are refused when they are made', () => {
  test('of another digest, of another token, of other documents', async () => {
    const record = await sealed();
    const { value } = timestampRenewalDigest(record);
    const token = async (digest: IntegrityHash, over: Buffer) => in2029(digest, over);
    const sealedAs = async (digest: IntegrityHash, own: Buffer) => ({
      digest,
      reducedHashTree: [[own]],
      token: await token(digest, own),
    });
    const other = hash('sha256', 'another', 'buffer');
    expect(() =>
      renewTimestamp(record, { digest: 'sha256', reducedHashTree: [[value]], token: Buffer.from('x') }),
    ).toThrow(RangeError);
    await expect(sealedAs('sha256', other).then((s) => renewTimestamp(record, s))).rejects.toThrow(
      'not what the renewal covers',
    );
    await expect(
      sealedAs('sha512', hash('sha512', 'x', 'buffer')).then((s) => renewTimestamp(record, s)),
    ).rejects.toThrow('the chain has sha256');
    await expect(sealedAs('sha256', other).then((s) => renewHashTree(record, s, [other]))).rejects.toThrow(
      'not what the renewal covers',
    );
    const wrongRoot = {
      digest: 'sha256' as const,
      reducedHashTree: [[value]],
      token: await token('sha256', other),
    };
    expect(() => renewTimestamp(record, wrongRoot)).toThrow('another root');
  });
});

function rootOfFirst(record: EvidenceRecord): Buffer {
  const lists = record.chains[0]![0]!.reducedHashTree!;
  return lists.reduce<Buffer | null>((value, list) => {
    const all = [...list, ...(value === null ? [] : [value])].sort(Buffer.compare);
    return all.length === 1 ? all[0]! : hash('sha256', Buffer.concat(all), 'buffer');
  }, null)!;
}
