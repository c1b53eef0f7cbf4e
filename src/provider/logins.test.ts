import { expect, it } from 'vitest';
import { pickedUpText, resultOfFailure } from './logins.ts';

it.each([
  [[], 'nothing picked up'],
  [[7], 'picked up 1: stadt/7'],
  [[7, 8, 9, 12], 'picked up 4: stadt/7-9, stadt/12'],
  [[12, 7], 'picked up 2: stadt/7, stadt/12'],
])('%j: %s', (indexes, text) => {
  expect(pickedUpText('stadt', indexes)).toBe(text);
});

it('stays short, and names the last', () => {
  const text = pickedUpText(
    'stadt',
    Array.from({ length: 5000 }, (_, i) => 2 * i),
  );
  expect(text.length).toBeLessThan(1100);
  expect(text).toMatch(/^picked up 5000: stadt\/0, .* and more, up to stadt\/9998$/);
});

it.each([
  [{ code: 'ECONNREFUSED' }, 'failed'],
  [{ authenticationFailed: true }, 'failed'],
  [{ code: 'ECONNRESET' }, 'unknown'],
  [new Error('closed'), 'unknown'],
])('%j: %s', (error, result) => {
  expect(resultOfFailure(error)).toBe(result);
});
