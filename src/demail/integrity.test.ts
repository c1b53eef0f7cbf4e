import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { headerEnd, parseHeader } from '../mime/header.ts';
import { createBodyHash, createIntegrityCheck, type IntegrityResult, parseIntegrity } from './integrity.ts';

const cases = new URL('../../test/vectors/cases/', import.meta.url);

function check(bytes: Buffer): IntegrityResult | { readonly unreadable: string } | null {
  const end = headerEnd(bytes);
  const begun = createIntegrityCheck(parseHeader(bytes.subarray(0, end)));
  if (begun === null || 'unreadable' in begun) return begun;
  for (let at = end; at < bytes.length; at += 97) begun.push(bytes.subarray(at, at + 97));
  return begun.finish();
}

function checked(bytes: Buffer): IntegrityResult {
  const result = check(bytes);
  if (result === null || 'unreadable' in result) throw new Error(`no integrity: ${JSON.stringify(result)}`);
  return result;
}

const good = 'a=sha256; c=simple/simple; h=From: Date; bh=AAAA; b=BBBB';

describe('the value of an integrity header', () => {
  it('is read tag by tag', () => {
    expect(
      parseIntegrity(`v=1; ${good}; q=x-header/x-de-mail-signature-certificate; l=5; x=unknown`),
    ).toMatchObject({
      ok: true,
      value: { hash: 'sha256', scheme: null, headers: ['From', 'Date'] },
    });
    for (const scheme of ['rsa', 'ec-dsa', 'rsassa-pss']) {
      expect(parseIntegrity(good.replace('sha256', `sha512/${scheme}`))).toMatchObject({
        ok: true,
        value: { hash: 'sha512', scheme },
      });
    }
  });

  it.each([
    ['no algorithm', good.replace('a=sha256; ', ''), /a= is missing/],
    ['no header list', good.replace('h=From: Date; ', ''), /h= is missing/],
    ['no body hash', good.replace('bh=AAAA; ', ''), /bh= is missing/],
    ['no value', good.replace('; b=BBBB', ''), /b= is missing/],
    ['SHA-1', good.replace('sha256', 'sha1'), /no known algorithm/],
    ['a third part of the algorithm', good.replace('sha256', 'sha256/rsa/x'), /no known algorithm/],
    ['a DKIM algorithm', good.replace('sha256', 'rsa-sha256'), /no known algorithm/],
    ['relaxed canonicalisation', good.replace('simple/simple', 'relaxed/simple'), /not simple/],
    ['another version', `v=2; ${good}`, /v=2/],
    ['a key from DNS', `${good.replace('sha256', 'sha256/rsa')}; q=dns/txt`, /certificate header/],
    ['a tag twice', `${good}; b=CCCC`, /stands twice/],
    ['no base64', good.replace('BBBB', 'B!B'), /no base64/],
    ['an empty value', good.replace('BBBB', ''), /no base64/],
    ['junk', `${good}; junk`, /is no tag/],
    ['an empty name in the list', good.replace('From: Date', 'From:: Date'), /no list/],
    ['a list without end', good.replace('From: Date', Array(300).fill('X').join(':')), /no list/],
    ['an endless value', good + ' '.repeat(70_000), /longer/],
  ])('is refused with %s', (_, text, reason) => {
    expect(parseIntegrity(text)).toEqual({ ok: false, reason: expect.stringMatching(reason) });
  });

  it('never throws, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 300, unit: fc.constantFrom(...'abhvcq=;:/ \t12AB+') }),
        (text) => void parseIntegrity(text),
      ),
      { numRuns: 3000 },
    );
  });
});

describe('the hash of the body', () => {
  it.each([
    ['', '\r\n'],
    ['\r\n', '\r\n'],
    ['\r\n\r\n\r\n', '\r\n'],
    ['a', 'a\r\n'],
    ['a\r\n', 'a\r\n'],
    ['a\r\n\r\n\r\n', 'a\r\n'],
    ['a\r\n\r\nb\r\n', 'a\r\n\r\nb\r\n'],
    [' \r\n', ' \r\n'],
    ['a\n\n', 'a\n\n\r\n'],
    ['a\r', 'a\r\r\n'],
    ['a\r\r\n', 'a\r\r\n'],
  ])('of %j is that of %j, however it is cut', (body, canonical) => {
    const expected = createHash('sha256').update(canonical).digest('hex');
    for (let size = 1; size <= body.length + 1; size++) {
      const hash = createBodyHash('sha256');
      for (let at = 0; at < body.length; at += size) hash.push(Buffer.from(body.slice(at, at + size)));
      expect(hash.digest().toString('hex'), `cut at ${size}`).toBe(expected);
    }
  });
});

describe('a body of nothing but line ends', () => {
  it('is hashed in blocks of any number', () => {
    for (const count of [4_095, 4_096, 4_097, 20_000]) {
      const bytes = Buffer.from(`${'\r\n'.repeat(count)}x\r\n`);
      const hash = createBodyHash('sha256');
      hash.push(bytes.subarray(0, 101));
      hash.push(bytes.subarray(101));
      expect(hash.digest()).toEqual(createHash('sha256').update(bytes).digest());
    }
  });
});

describe('the integrity of the vectors', () => {
  const names = readdirSync(cases).filter((name) => name.endsWith('.eml'));

  it.each(names)('%s: body and header hash as the vector says', (name) => {
    const result = checked(readFileSync(new URL(name, cases)));
    expect(result.bodyHashFits).toBe(name !== 'bad-body.eml');
    expect(result.uncovered).toEqual([]);
    expect(result.headerHashFits).toBe(result.value.scheme === null ? true : null);
    expect(result.certificate === null).toBe(result.value.scheme === null);
  });

  it('does not hold once any covered byte is another', () => {
    const bytes = readFileSync(new URL('hash-sha256.eml', cases));
    const covered = checked(bytes).signedBytes;
    const end = headerEnd(bytes);
    fc.assert(
      fc.property(fc.nat({ max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(bytes);
        changed[at] = changed[at]! ^ flip;
        const result = check(changed);
        if (result === null || 'unreadable' in result) return;
        const holds = result.bodyHashFits && result.headerHashFits === true && result.uncovered.length === 0;
        // What still holds must be a change outside the covered bytes: another header, which nothing covers.
        if (holds) expect(at < end && result.signedBytes.equals(covered)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  it('names headers of the norm that stand in the message but not in h=', () => {
    const text = readFileSync(new URL('hash-sha256.eml', cases), 'latin1').replace(/^ Subject:\r\n/m, '');
    expect(checked(Buffer.from(text, 'latin1')).uncovered).toEqual(['subject']);
  });
});
