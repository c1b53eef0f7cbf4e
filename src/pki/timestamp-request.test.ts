import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { derSequence } from './der.ts';
import { makeResponse } from './testing/test-tsa.ts';
import { readTimestampResponse, timestampRequest } from './timestamp-request.ts';

const nonce = Buffer.from('8102030405060708', 'hex');

describe('requests', () => {
  test('have the bytes that openssl ts -query writes', () => {
    const digest = Buffer.alloc(32, 0xab);
    const der = timestampRequest({ hash: 'sha256', digest, nonce, policy: '1.2.3.4.1' });
    expect(der.toString('hex')).toBe(
      `304802010130 2f300b0609608648016503040201 0420${'ab'.repeat(32)} 06042a030401 0209008102030405060708 0101ff`.replaceAll(
        ' ',
        '',
      ),
    );
  });

  test('with a digest of another length, or a short nonce, are refused', () => {
    expect(() => timestampRequest({ hash: 'sha384', digest: Buffer.alloc(32), nonce })).toThrow(RangeError);
    const short = nonce.subarray(0, 4);
    expect(() => timestampRequest({ hash: 'sha256', digest: Buffer.alloc(32), nonce: short })).toThrow(
      RangeError,
    );
  });
});

describe('answers', () => {
  const token = derSequence(Buffer.from([5, 0]));
  test.each([0, 1])('status %d brings the token as it came', (status) => {
    expect(readTimestampResponse(makeResponse(status, token))).toEqual({ ok: true, token });
  });

  test.each<[string, Buffer, string]>([
    ['granted without a token', makeResponse(0), 'granted, but no token came'],
    ['a refusal', makeResponse(2), 'rejected'],
    [
      'a refusal with reasons',
      makeResponse(2, undefined, 'no credit\nleft', 15),
      'rejected: the policy is not supported; no credit left',
    ],
    ['a refusal with a token', makeResponse(2, token), 'rejected'],
    ['an unknown status', makeResponse(9), 'status 0x09'],
  ])('%s', (_name, response, reason) => {
    expect(readTimestampResponse(response)).toEqual({ ok: false, reason });
  });

  test('any bytes are answered', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(readTimestampResponse(Buffer.from(bytes)).ok).toBe(false);
      }),
    );
  });
});
