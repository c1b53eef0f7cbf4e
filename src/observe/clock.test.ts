import fc from 'fast-check';
import { expect, it } from 'vitest';
import { backOffDelay, pause } from './clock.ts';
import { createManualClock } from './testing/manual-clock.ts';

it.each([
  [1, 0, 500],
  [1, 0.5, 1_000],
  [2, 0.5, 2_000],
  [5, 0.5, 16_000],
  [20, 0.5, 60_000],
  [20, 0.999, 89_940],
])('failure %i with chance %d waits %i ms', (failures, chance, expected) => {
  expect(backOffDelay({ first: 1_000, longest: 60_000 }, failures, () => chance)).toBe(expected);
});

it('never waits less than half of the first or more than one and a half times the longest', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -5, max: 1e9 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (failures, chance) => {
        const wait = backOffDelay({ first: 1_000, longest: 60_000 }, failures, () => chance);
        expect(wait).toBeGreaterThanOrEqual(500);
        expect(wait).toBeLessThanOrEqual(90_000);
      },
    ),
  );
});

it('a pause ends with its time, or with the signal, and leaves no timer', async () => {
  const clock = createManualClock();
  const stop = new AbortController();
  let ended = 0;
  void pause(clock, 1_000, stop.signal).then(() => ended++);
  const stopped = pause(clock, 60_000, stop.signal).then(() => ended++);
  await clock.advance(999);
  expect(ended).toBe(0);
  await clock.advance(1);
  expect(ended).toBe(1);
  stop.abort();
  await stopped;
  expect(clock.waiting).toBe(0);
  await pause(clock, 60_000, stop.signal);
});
