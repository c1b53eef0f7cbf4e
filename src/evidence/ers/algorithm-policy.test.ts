import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { algorithmPolicySchema, algorithmProblem, validUntil } from './algorithm-policy.ts';

const text = readFileSync(new URL('../../../config/algorithms.yaml', import.meta.url), 'utf8');
const policy = algorithmPolicySchema.parse(parse(text));
const rsa = (bits: number) => ({ name: 'rsa', purpose: 'signature' as const, bits });
const digest = (name: string) => ({ name, purpose: 'digest' as const, bits: null });

describe('config/algorithms.yaml', () => {
  test('lists what records and time-stamps are made with', () => {
    for (const name of ['sha256', 'sha384', 'sha512'])
      expect(validUntil(policy, digest(name))).not.toBe(null);
    for (const name of ['rsa', 'rsassa-pss', 'ec-dsa']) {
      expect(validUntil(policy, { name, purpose: 'signature', bits: 4096 })).not.toBe(null);
    }
  });

  test.each([
    [{ name: 'sha256', purpose: 'signature', validUntil: '2031-12-31' }],
    [{ name: 'sha256', purpose: 'digest', validUntil: '2031-13-31' }],
    [{ name: 'sha256', purpose: 'digest', minBits: 256, validUntil: '2031-12-31' }],
    [{ name: 'md5', purpose: 'digest', validUntil: '2031-12-31' }],
  ])('%j is refused', (rule) => {
    expect(algorithmPolicySchema.safeParse({ algorithms: [rule] }).success).toBe(false);
  });
});

describe('what counts', () => {
  test('by the latest rule that fits the key', () => {
    expect(validUntil(policy, rsa(2048))).toEqual(new Date('2025-12-31T23:59:59.999Z'));
    expect(validUntil(policy, rsa(4096))).toEqual(new Date('2031-12-31T23:59:59.999Z'));
    expect(validUntil(policy, rsa(1024))).toBe(null);
    expect(validUntil(policy, { ...rsa(0), bits: null })).toBe(null);
  });

  test('to the end of the last day', () => {
    expect(algorithmProblem(policy, digest('sha256'), new Date('2031-12-31T23:59:59Z'))).toBe(null);
    expect(algorithmProblem(policy, digest('sha256'), new Date('2032-01-01T00:00:00Z'))).toBe(
      'sha256 counted until 2031-12-31T23:59:59Z, and nothing covered it before 2032-01-01T00:00:00Z',
    );
    expect(algorithmProblem(policy, digest('sha1'), new Date('2026-01-01'))).toMatch(/not among/);
  });
});
