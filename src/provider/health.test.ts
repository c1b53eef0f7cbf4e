import { expect, it } from 'vitest';
import { createManualClock } from '../observe/testing/manual-clock.ts';
import { createHealth } from './health.ts';
import type { Incidents } from './incidents.ts';

function account() {
  const clock = createManualClock();
  const said: string[] = [];
  const incidents: Incidents = {
    learn: async () => {},
    open: (_tenant, incident, text) => said.push(`open ${incident}: ${text.en}`),
    close: (_tenant, incident) => said.push(`close ${incident}`),
    settled: async () => {},
    stop: () => {},
  };
  const what = { de: 'Das Abholen', en: 'Fetching' };
  const health = createHealth(
    { tenant: 'stadt', incident: 'account-imap', what },
    incidents,
    clock,
    () => 0.5,
  );
  return { clock, health, opened: () => said.filter((s) => s.startsWith('open')), said };
}

it('waits longer after each failure, up to five minutes', async () => {
  const { clock, health } = account();
  const waits: number[] = [];
  for (let i = 0; i < 9; i += 1) {
    waits.push(health.failed(new Error('no')));
    await clock.advance(waits.at(-1)!);
  }
  expect(waits).toEqual([5, 10, 20, 40, 80, 160, 300, 300, 300].map((seconds) => seconds * 1_000));
});

it('takes failures of several connections at once for one', () => {
  const { clock, health } = account();
  for (let i = 0; i < 4; i += 1) health.failed(new Error('no'));
  expect(health.failures).toBe(1);
  expect(health.retryAt).toBe(clock.now() + 5_000);
});

it('a short outage is no incident; a lasting one is told within five minutes, once, with its cause', async () => {
  const { clock, health, opened, said } = account();
  health.failed(new Error('restarting'));
  await clock.advance(90_000);
  health.succeeded();
  await clock.advance(10 * 60_000);
  expect(opened()).toEqual([]);

  const begun = clock.now();
  health.failed(new Error('535 5.7.8 no'));
  while (opened().length === 0) await clock.advance(1_000);
  expect(clock.now() - begun).toBeLessThanOrEqual(5 * 60_000);
  expect(opened()).toEqual(['open account-imap: Fetching fails: 535 5.7.8 no']);
  await clock.advance(60 * 60_000);
  expect(opened()).toHaveLength(1);
  health.succeeded();
  expect(said.at(-1)).toBe('close account-imap');
  expect(health.lastSuccess).toBe(clock.now());
});
