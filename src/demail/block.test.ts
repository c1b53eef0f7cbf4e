import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findField, parseHeader } from '../mime/header.ts';
import { codePoint } from '../mime/testing/code-points.ts';
import { blockLength, deliveredBlock } from './block.ts';

const provider = Buffer.from('X-de-mail-sender: a@x.de\r\nSubject: x\r\n\r\nbody');

test('stands before the bytes and comes off exactly', () => {
  const block = deliveredBlock({
    tenant: 'stadt-waren',
    kind: 'confirmation of dispatch',
    verdict: 'not-checked',
    letter: 'stadt-waren/12',
    privateId: 'mein Zeichen.00ff',
    recipients: ['max@x.de-mail.de'],
    statedTime: '2026-11-16T09:15:41+01:00',
    inReplyTo: '<1@stadt-waren.example>',
    reason: 'sender of stadt-waren/12',
  });
  const copy = Buffer.concat([block, provider]);
  expect(block.toString()).toBe(
    [
      `X-Demail-Gateway: begin; length=00${block.length}`,
      'X-Demail-Gateway-Tenant: stadt-waren',
      'X-Demail-Gateway-Kind: confirmation of dispatch',
      'X-Demail-Gateway-Verdict: not-checked',
      'X-Demail-Gateway-Letter: stadt-waren/12',
      'X-Demail-Gateway-Private-Id: mein Zeichen.00ff',
      'X-Demail-Gateway-Recipients: max@x.de-mail.de',
      'X-Demail-Gateway-Stated-Time: 2026-11-16T09:15:41+01:00',
      'X-Demail-Gateway-Reason: sender of stadt-waren/12',
      'In-Reply-To: <1@stadt-waren.example>',
      'References: <1@stadt-waren.example>',
      '',
    ].join('\r\n'),
  );
  expect(copy.subarray(blockLength(copy)).equals(provider)).toBe(true);
});

test('bytes without a block have none, nor has a false claim', () => {
  expect(blockLength(provider)).toBe(0);
  expect(blockLength(Buffer.alloc(0))).toBe(0);
  expect(blockLength(Buffer.from('X-Demail-Gateway: begin; length=99999\r\n'))).toBe(0);
  expect(blockLength(Buffer.from('X-Demail-Gateway: begin; length=00030\r\nxxxxxxxxxxx'))).toBe(0);
});

test('whatever the values are, it is header lines and comes off exactly', () => {
  const text = fc.string({ unit: codePoint, maxLength: 1200 });
  const input = fc.record({
    tenant: fc.constant('t'),
    kind: fc.constant('inbound'),
    verdict: fc.constant('not-checked' as const),
    letter: fc.option(text),
    privateId: fc.option(fc.oneof(text, fc.stringMatching(/^[ -~]{900,1024}$/))),
    recipients: fc.array(text, { maxLength: 120 }),
    reason: text,
    inReplyTo: fc.option(text.map((id) => `<${id}>`)),
  });
  fc.assert(
    fc.property(input, (values) => {
      const block = deliveredBlock(values);
      const copy = Buffer.concat([block, provider]);
      expect(blockLength(copy)).toBe(block.length);
      const fields = parseHeader(copy);
      expect(findField(fields, 'x-de-mail-sender')?.value).toBe('a@x.de');
      expect(fields.every(({ name }) => name !== '')).toBe(true);
      for (const line of block.toString().split('\r\n')) expect(line.length).toBeLessThanOrEqual(998);
    }),
    { numRuns: 500 },
  );
});
