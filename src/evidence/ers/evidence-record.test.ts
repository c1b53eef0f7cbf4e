import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { contextTag, der, derOid, derSequence, TAG } from '../../pki/der.ts';
import { derDigestAlgorithm } from '../../pki/digest-algorithm.ts';
import {
  type EvidenceRecord,
  namedDigest,
  parseEvidenceRecord,
  printEvidenceRecord,
} from './evidence-record.ts';

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((each) => Buffer.from(each));
const algorithms = fc.oneof(
  fc.constantFrom('sha256' as const, 'sha384' as const, 'sha512' as const).map(derDigestAlgorithm),
  fc.constantFrom(
    derSequence(derOid('2.16.840.1.101.3.4.2.8'), der(TAG.null)),
    derSequence(derOid('1.3.14.3.2.26')),
  ),
);
const attribute = bytes(40).map((value) =>
  derSequence(derOid('1.2.3.4'), der(TAG.set, der(TAG.octetString, value))),
);
const list = <T>(each: fc.Arbitrary<T>, maxLength = 4) => fc.array(each, { minLength: 1, maxLength });
const optional = <T>(each: fc.Arbitrary<T>) => fc.option(each, { nil: null });
const archiveTimeStamps = fc.record({
  digestAlgorithm: optional(algorithms),
  attributes: optional(list(attribute).map((each) => der(contextTag(1), ...each))),
  reducedHashTree: optional(list(list(bytes(64)))),
  timeStamp: bytes(300).map((content) =>
    derSequence(derOid('1.2.840.113549.1.7.2'), der(contextTag(0), content)),
  ),
});
const records: fc.Arbitrary<EvidenceRecord> = fc.record({
  digestAlgorithms: list(algorithms),
  cryptoInfos: optional(list(attribute)),
  encryptionInfo: optional(bytes(40).map((content) => der(contextTag(1), content))),
  chains: list(list(archiveTimeStamps, 3), 3),
});

describe('reading and writing', () => {
  test('what was written is read again, and comes out byte for byte', () => {
    fc.assert(
      fc.property(records, (record) => {
        const printed = printEvidenceRecord(record);
        const parsed = parseEvidenceRecord(printed);
        expect(parsed).toEqual({ ok: true, record });
        expect(printEvidenceRecord(record).equals(printed)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  test('whatever is accepted after a change comes out byte for byte', () => {
    const changes = fc.tuple(
      fc.nat(),
      fc.nat(255),
      fc.constantFrom<'set' | 'cut' | 'insert'>('set', 'cut', 'insert'),
    );
    fc.assert(
      fc.property(records, fc.array(changes, { minLength: 1, maxLength: 3 }), (record, list) => {
        let changed = printEvidenceRecord(record);
        for (const [at, value, kind] of list) {
          const place = at % changed.length;
          const rest = changed.subarray(kind === 'insert' ? place : place + 1);
          changed = Buffer.concat([
            changed.subarray(0, place),
            ...(kind === 'cut' ? [] : [Buffer.from([value])]),
            rest,
          ]);
          if (changed.length === 0) return;
        }
        const parsed = parseEvidenceRecord(changed);
        if (parsed.ok) expect(printEvidenceRecord(parsed.record).equals(changed)).toBe(true);
        else expect(parsed.reason).toMatch(/^no evidence record/);
      }),
      { numRuns: 400 },
    );
  });

  test('any bytes are answered', () => {
    fc.assert(
      fc.property(bytes(300), (any) => {
        expect(parseEvidenceRecord(any).ok).toBe(false);
      }),
      { numRuns: 300 },
    );
  });
});

describe('what is refused', () => {
  const timeStamp = derSequence(derOid('1.2.840.113549.1.7.2'), der(contextTag(0), Buffer.from([5, 0])));
  const version = der(TAG.integer, Buffer.from([1]));
  const named = derSequence(derDigestAlgorithm('sha256'));
  const chains = derSequence(derSequence(derSequence(timeStamp)));
  test.each<[string, Buffer, RegExp]>([
    ['nothing', Buffer.alloc(0), /cut off/],
    ['another version', derSequence(der(TAG.integer, Buffer.from([2])), named, chains), /version/],
    ['no chain', derSequence(version, named, derSequence()), /empty/],
    ['an empty chain', derSequence(version, named, derSequence(derSequence())), /empty/],
    [
      'an empty tree',
      derSequence(version, named, derSequence(derSequence(derSequence(der(contextTag(2)), timeStamp)))),
      /empty/,
    ],
    ['no digest algorithm', derSequence(version, derSequence(), chains), /empty/],
    ['bytes behind it', Buffer.concat([derSequence(version, named, chains), Buffer.from([0])]), /after/],
    ['a field too many', derSequence(version, named, chains, version), /too many/],
    ['an indefinite length', Buffer.from([0x30, 0x80, 0, 0]), /indefinite/],
    ['a length that is padded', Buffer.from([0x30, 0x81, 0x03, 2, 1, 1]), /shortest/],
    [
      '65 chains',
      derSequence(version, named, derSequence(...Array(65).fill(derSequence(derSequence(timeStamp))))),
      /more than 64/,
    ],
  ])('%s', (_name, record, reason) => {
    const parsed = parseEvidenceRecord(record);
    expect(parsed).toMatchObject({ ok: false });
    expect(parsed.ok ? '' : parsed.reason).toMatch(reason);
  });
});

test('a digest may be named, be left to the time-stamp, or be unknown', () => {
  const base = { attributes: null, reducedHashTree: null, timeStamp: Buffer.alloc(0) };
  const withNull = derSequence(derOid('2.16.840.1.101.3.4.2.3'), der(TAG.null));
  expect(namedDigest({ ...base, digestAlgorithm: null })).toBe(null);
  expect(namedDigest({ ...base, digestAlgorithm: withNull })).toBe('sha512');
  expect(namedDigest({ ...base, digestAlgorithm: derSequence(derOid('1.3.14.3.2.26')) })).toBe('unknown');
});
