import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { contextTag, der, derOid, derSequence, fieldsOf, readSingle, TAG } from './der.ts';
import { revocationMemory } from './revocation-sources.ts';
import { issue, makeCrl, makeOcsp, newKey } from './testing/test-pki.ts';
import { makeToken, makeTsa, type TokenOptions } from './testing/test-tsa.ts';
import { type TimestampInput, verifyTimestamp } from './timestamp.ts';
import { completeToken } from './timestamp-completion.ts';
import { embedCrls } from './timestamp-der.ts';
import { readTimestampToken } from './timestamp-token.ts';

const { root, authority, tsa } = makeTsa();
const digest = createHash('sha256').update('sealed').digest();
const genTime = '2026-06-01T12:00:00Z';
const lists = (issued: string, revoked: readonly { certificate: Buffer; at: string }[] = []) => [
  makeCrl(root, { issued, next: '2026-07-15T00:00:00Z' }),
  makeCrl(authority, { issued, next: '2026-07-15T00:00:00Z', revoked }),
];
const later = lists('2026-06-02T00:00:00Z');

const standard: Pick<TimestampInput, 'trust' | 'revocation' | 'time'> = {
  trust: { anchorsAt: () => [root.der], intermediates: [authority.der] },
  revocation: revocationMemory([]),
  time: new Date('2026-06-15T00:00:00Z'),
};

async function verify(token: Buffer, input: Partial<TimestampInput> = {}) {
  const report = await verifyTimestamp({ ...standard, token, imprint: { hash: 'sha256', digest }, ...input });
  const wrong = report.checks.filter(({ result }) => result !== 'passed').map(({ code }) => code);
  return { ...report, wrong };
}
const token = (options: Partial<TokenOptions> = {}, signer = tsa) =>
  makeToken(signer, { digest, genTime, crls: later, ...options });

describe('what authorities send', () => {
  test('a token with its revocation lists is valid, with every step named', async () => {
    const report = await verify(token());
    expect(report.checks.map(({ name, result }) => `${name} ${result}`)).toEqual([
      'timestamp-form passed',
      'timestamp-time passed',
      'timestamp-imprint passed',
      'cms-attributes passed',
      'cms-content passed',
      'cms-signature passed',
      'timestamp-signer passed',
      'timestamp-purpose passed',
      'certificate-chain passed',
      'revocation passed',
      'revocation passed',
    ]);
    expect(report).toMatchObject({ verdict: 'valid', signer: { subject: 'CN=TSA 1' } });
    expect(report.token!.genTime).toEqual(new Date(genTime));
    expect(report.validUntil).toEqual(new Date('2035-01-01T00:00:00Z'));
    expect(report.material.map(({ kind }) => kind)).toEqual([
      'certificate',
      'certificate',
      'certificate',
      'crl',
      'crl',
    ]);
    expect(report.algorithms).toEqual([
      { name: 'sha256', purpose: 'digest', bits: null },
      { name: 'ec-dsa', purpose: 'signature', bits: 256 },
    ]);
  });

  test.each(['brainpoolP256r1', 'brainpoolP384r1', 'brainpoolP512r1', 'rsa', 'rsa-pss'] as const)(
    'signed with %s, SHA-384 and SHA-512',
    async (kind) => {
      const own = makeTsa({ key: newKey(kind) });
      const trust = { anchorsAt: () => [own.root.der], intermediates: [] };
      const made = makeToken(own.tsa, {
        digest,
        genTime,
        pss: kind === 'rsa-pss',
        signatureHash: kind === 'rsa' ? 'sha384' : 'sha512',
        certificates: [own.authority.der, own.tsa.der],
      });
      expect((await verify(made, { trust })).wrong).toEqual(['revocation-unknown', 'revocation-unknown']);
    },
  );

  test.each<[string, Partial<TokenOptions>]>([
    ['BER', { ber: true }],
    ['unsigned attributes', { unsigned: true }],
    ['the whole path, the root first', { certificates: [root.der, authority.der, tsa.der] }],
    ['ESSCertID of version 1', { names: ['v1'] }],
    ['both versions', { names: ['v2', 'v1'] }],
    ['ESSCertIDv2 with SHA-512', { names: ['v2-sha512'] }],
    [
      'accuracy, ordering',
      { more: [derSequence(der(TAG.integer, Buffer.from([1]))), der(TAG.boolean, Buffer.from([0]))] },
    ],
    ['fractions of a second', { genTime: '2026-06-01T12:00:00.123456Z' }],
  ])('%s', async (_name, options) => {
    expect((await verify(token(options))).wrong).toEqual([]);
  });

  test('version 1 of ESSCertID counts as a use of SHA-1, which a policy may refuse', async () => {
    const { algorithms } = await verify(token({ names: ['v1'] }));
    expect(algorithms).toContainEqual({ name: 'sha1', purpose: 'digest', bits: null });
  });
});

describe('what does not count', () => {
  const nonce = Buffer.from('0102030405060708', 'hex');
  test.each<[string, string[], Partial<TokenOptions>, Partial<TimestampInput>]>([
    ['another digest', ['timestamp-imprint-failed'], { digest: randomBytes(32) }, {}],
    [
      'another digest algorithm',
      ['timestamp-imprint-failed'],
      { hash: 'sha512', digest: randomBytes(64) },
      {},
    ],
    ['no nonce', ['timestamp-nonce-failed'], {}, { nonce }],
    [
      'another nonce',
      ['timestamp-nonce-failed'],
      { nonce: Buffer.from('0102030405060709', 'hex') },
      { nonce },
    ],
    ['another policy', ['timestamp-policy-failed'], {}, { policies: ['1.2.3.4.2'] }],
    ['a time to come', ['timestamp-time-failed'], {}, { time: new Date('2026-06-01T11:00:00Z') }],
    ['another key', ['cms-signature-failed'], { key: newKey('p256') }, {}],
    ['no ESSCertID', ['timestamp-signer-failed'], { names: [] }, {}],
    ['ESSCertID of another certificate', ['timestamp-signer-failed'], { names: ['wrong'] }, {}],
    [
      'ESSCertID that is right once and wrong once',
      ['timestamp-signer-failed'],
      { names: ['v1', 'wrong'] },
      {},
    ],
    ['no certificate', ['cms-signature-undecided', 'timestamp-no-certificate'], { certificates: [] }, {}],
    ['no revocation lists', ['revocation-unknown', 'revocation-unknown'], { crls: [] }, {}],
    [
      'lists older than the token',
      ['revocation-provisional', 'revocation-provisional'],
      { crls: lists('2026-05-31T00:00:00Z') },
      {},
    ],
    [
      'lists that have been followed by others since',
      ['revocation-stale', 'revocation-stale'],
      {},
      { time: new Date('2026-08-01T00:00:00Z') },
    ],
    [
      'a certificate revoked before',
      ['revocation-revoked'],
      { crls: lists('2026-06-02T00:00:00Z', [{ certificate: tsa.der, at: '2026-05-01T00:00:00Z' }]) },
      {},
    ],
    [
      'a certificate revoked since',
      ['revocation-revoked-since'],
      { crls: lists('2026-06-10T00:00:00Z', [{ certificate: tsa.der, at: '2026-06-05T00:00:00Z' }]) },
      {},
    ],
    [
      'an unknown anchor',
      ['chain-no-anchor'],
      {},
      { trust: { anchorsAt: () => [issue('Other root', { authority: true }).der], intermediates: [] } },
    ],
    [
      'a certificate that ran out since',
      ['certificate-expired-since', 'revocation-stale'],
      {},
      { time: new Date('2036-01-01') },
    ],
    [
      'no time-stamp but other content',
      ['timestamp-form-failed'],
      { contentType: '1.2.840.113549.1.7.1' },
      {},
    ],
    ['another version', ['timestamp-form-failed'], { version: 2 }, {}],
    ['local time', ['timestamp-form-failed'], { genTime: '2026-06-01T12:00:00+0200' }, {}],
    [
      'a critical extension',
      ['timestamp-form-failed'],
      {
        more: [
          der(
            contextTag(1),
            derSequence(derOid('1.2.3'), der(TAG.boolean, Buffer.from([255])), der(TAG.octetString)),
          ),
        ],
      },
      {},
    ],
  ])('%s', async (_name, codes, options, input) => {
    const report = await verify(token(options), input);
    expect([...new Set(report.wrong)]).toEqual([...new Set(codes)]);
    const onlyUndecided = report.checks.every(({ result }) => result !== 'failed');
    expect(report.verdict).toBe(onlyUndecided ? 'indeterminate' : 'invalid');
  });

  test.each<[string, Parameters<typeof issue>[1]]>([
    ['no purpose', { extra: [] }],
    ['a purpose that is not critical', { extra: [], purposes: ['1.3.6.1.5.5.7.3.8'] }],
    ['a second purpose', { extra: [], purposes: ['1.3.6.1.5.5.7.3.8', '1.3.6.1.5.5.7.3.4'] }],
  ])('a certificate with %s', async (_name, options) => {
    const other = issue('TSA 2', { issuer: authority, ...options });
    expect((await verify(token({}, other))).wrong).toEqual(['timestamp-purpose-failed']);
  });

  test('a certificate of the same key under another name', async () => {
    const other = issue('TSA 1', { issuer: authority, key: tsa.key });
    const made = token({ certificates: [other.der] });
    expect((await verify(made)).wrong).toContain('timestamp-no-certificate');
  });
});

describe('revocation lists inside a token', () => {
  test('are exchanged without touching what is signed', async () => {
    const first = token({ crls: lists('2026-05-31T00:00:00Z') });
    const second = embedCrls(first, later);
    expect((await verify(second)).wrong).toEqual([]);
    expect(second.equals(embedCrls(second, [...later, ...later].reverse()))).toBe(true);
    expect(embedCrls(second, []).equals(embedCrls(first, []))).toBe(true);
  });

  test('come out of BER as DER', async () => {
    const made = embedCrls(token({ ber: true, crls: undefined as never }), later);
    expect((await verify(made)).wrong).toEqual([]);
    expect(made.equals(embedCrls(token({ crls: undefined as never }), later))).toBe(false);
  });

  test('may be long: a list of 2,500 entries is read', async () => {
    const revoked = Array.from({ length: 2_500 }, () => ({
      certificate: tsa.der,
      at: '2026-06-09T00:00:00Z',
      reason: 8,
    }));
    const made = embedCrls(token(), [
      later[0]!,
      makeCrl(authority, { issued: '2026-06-10T00:00:00Z', revoked }),
    ]);
    expect((await verify(made)).verdict).not.toBe('invalid');
  });
});

describe('a token made complete', () => {
  const at = (lists: readonly Buffer[], time = '2026-06-15T00:00:00Z') => ({
    trust: standard.trust,
    revocation: revocationMemory(lists.map((der) => ({ kind: 'crl', der }))),
    time: new Date(time),
  });
  const bare = token({ crls: [] });

  test('brings path and lists along, so that anchors alone verify it', async () => {
    const older = lists('2026-06-01T18:00:00Z');
    const completed = await completeToken(bare, at([...older, ...later]));
    if (!completed.ok) throw new Error(completed.reason);
    expect(completed.report.verdict).toBe('valid');
    const { cms, revocation } = completed.report.token!;
    expect(cms.certificates.map((der) => der.toString('hex')).sort()).toEqual(
      [root, authority, tsa].map(({ der }) => der.toString('hex')).sort(),
    );
    expect(revocation.map(({ der }) => der.toString('hex')).sort()).toEqual(
      later.map((der) => der.toString('hex')).sort(),
    );
    const alone = { anchorsAt: () => [root.der], intermediates: [] };
    expect((await verify(completed.token, { trust: alone })).wrong).toEqual([]);
  });

  test('has to wait while there are only older lists, or none of one authority', async () => {
    const reason = 'no revocation list from after the token yet for "TSA 1"';
    expect(await completeToken(bare, at(lists('2026-06-01T11:00:00Z')))).toMatchObject({ ok: false, reason });
    expect(await completeToken(bare, at([later[0]!]))).toMatchObject({ ok: false, reason });
  });

  test('says so where the authority was revoked, and is nothing without a path', async () => {
    const revoked = lists('2026-06-02T00:00:00Z', [{ certificate: tsa.der, at: '2026-05-01T00:00:00Z' }]);
    expect(await completeToken(bare, at(revoked))).toMatchObject({
      ok: true,
      report: { verdict: 'invalid' },
    });
    const stranger = makeTsa();
    expect(await completeToken(token({}, stranger.tsa), at(later))).toMatchObject({ ok: false });
    expect(await completeToken(Buffer.from('x'), at(later))).toMatchObject({ ok: false });
  });
});

test.each(['1.3.6.1.5.5.7.16.2', '1.3.6.1.5.5.7.48.1.1'])(
  'an OCSP response inside, as %s, counts',
  async (format) => {
    const made = makeOcsp(tsa.der, authority, authority, {
      issued: '2026-06-02T00:00:00Z',
      next: '2026-07-15T00:00:00Z',
    });
    const basic = () => {
      const fields = fieldsOf(fieldsOf(readSingle(made).content.subarray(3)).take(contextTag(0)).content);
      const bytes = fieldsOf(fields.take(TAG.sequence).content);
      bytes.take(TAG.oid);
      return bytes.take(TAG.octetString).content;
    };
    const response = format.endsWith('48.1.1') ? basic() : made;
    const other = der(contextTag(1), derOid(format), response);
    expect((await verify(token({ crls: [later[0]!, other] }))).wrong).toEqual([]);
  },
);

test('any change of a byte is noticed, and any bytes are answered', async () => {
  const whole = token();
  const positions = fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }));
  await fc.assert(
    fc.asyncProperty(positions, async ([at, flip]) => {
      const changed = Buffer.from(whole);
      changed[at]! ^= flip;
      const report = await verify(changed);
      // What nobody signed may change its form, not what is said: the lists are signed by themselves.
      if (report.verdict === 'valid') expect(report.token!.imprint.digest.equals(digest)).toBe(true);
      expect(report.checks.length).toBeGreaterThan(0);
    }),
    { numRuns: 60 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(readTimestampToken(Buffer.from(bytes)).ok).toBe(false);
    }),
    { numRuns: 200 },
  );
});
