/** The daily run over a real store: announced first, erased after the time of review, and never what must stay. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { retention } from '../config/retention.ts';
import type { TenantConfig } from '../config/schema.ts';
import { createIndexer } from '../mime/structure.ts';
import { createManualClock } from '../observe/testing/manual-clock.ts';
import { openSqliteStore } from '../store/sqlite/open.ts';
import type { Store } from '../store/store.ts';
import { type RetentionSchedule, startRetention } from './retention-schedule.ts';

const tenant = {
  id: 'stadt',
  timeZone: 'Europe/Berlin',
  retention: retention.parse({
    classes: [
      { name: 'personal', match: { fileReference: 'P-*' }, keep: '30y', legalBasis: 'BeamtenG' },
      { name: 'schriftverkehr', keep: '2y', legalBasis: 'AktO' },
    ],
  }),
} as TenantConfig;
const day = 86_400_000;
let directory: string;
let store: Store;
let schedule: RetentionSchedule;
let told: string[];
const clock = { ...createManualClock(), at: 0, now: () => clock.at };

beforeEach(async () => {
  clock.at = Date.parse('2026-03-01T08:00:00Z');
  told = [];
  directory = mkdtempSync(join(tmpdir(), 'schedule-'));
  store = await openSqliteStore({ directory, originPrefix: 'test.example', clock: clock.now });
  await store.openTenant(tenant.id);
  schedule = startRetention({
    store,
    tenants: () => [tenant],
    tell: async (_, { text }) => void told.push(text.de),
    clock,
    log: pino({ level: 'silent' }),
  });
});
afterEach(async () => {
  await schedule.close();
  await store[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

async function letter(fileReference?: string): Promise<number> {
  const writer = store.stage(tenant.id);
  const bytes = Buffer.from('Subject: Geheim\r\n\r\nx\r\n');
  const indexer = createIndexer();
  indexer.push(bytes);
  await writer.write(bytes);
  const { index } = await store.recordRefusal(tenant.id, {
    actor: { type: 'user', name: 'erika@stadt.example' },
    listener: 'submission',
    envelope: { from: 'erika@stadt.example', recipients: [{ address: 'max@buerger.de-mail.example' }] },
    sender: fileReference ?? 'erika@stadt.de-mail.example',
    header: { messageId: null, subject: 'Geheim', from: null, date: null },
    message: { object: await writer.finish(), index: indexer.finish() },
    attachments: [],
    options: [],
    scan: { result: 'infected' },
  });
  return index;
}

it('announces, waits for the time of review, and erases', async () => {
  const old = await letter();
  clock.at = Date.parse('2027-06-01T08:00:00Z');
  const younger = await letter();
  clock.at = Date.parse('2028-11-30T00:00:00Z');
  expect(await schedule.runNow()).toMatchObject([{ announced: 0, erased: 0 }]);
  expect(told).toEqual([]);

  clock.at = Date.parse('2028-12-02T00:00:00Z');
  expect(await schedule.runNow()).toMatchObject([{ announced: 1, erased: 0 }]);
  expect(told).toHaveLength(1);
  expect(told[0]).toContain(`stadt/${old}`);
  expect(told[0]).toContain('AktO');
  expect(told[0]).not.toMatch(/Geheim|max@|erika@/);
  expect(await schedule.runNow()).toMatchObject([{ announced: 0, erased: 0 }]);

  // Its period is over, but the operators have not had their time yet.
  clock.at += 29 * day + day / 2;
  expect(await schedule.runNow()).toMatchObject([{ announced: 0, erased: 0 }]);
  clock.at += day;
  expect(await schedule.runNow()).toMatchObject([{ erased: 1 }]);
  expect(await store.erasure(tenant.id, old)).toMatchObject({
    class: 'schriftverkehr',
    legalBasis: 'AktO',
    actors: [{ type: 'gateway', name: 'gateway' }],
  });
  expect(await store.entry(tenant.id, younger)).not.toBeNull();
});

it('erases what belongs to no letter by the periods of its group, announced as one sum', async () => {
  const actor = { type: 'operator', name: 'anna' } as const;
  const look = (query: string) => store.recordAccess(tenant.id, { actor, action: 'search', query });
  await look('max@buerger.de-mail.example');
  await store.recordOperation(tenant.id, { actor, action: 'retry', subject: 'stadt/1', reason: 'x' });
  await look('held');
  const [first, operation, held] = [1, 2, 3];
  await store.holdLetters(tenant.id, { letter: held, held: true, actor, reason: 'Klage' });
  clock.at = Date.parse('2027-06-01T00:00:00Z');
  await look('younger');

  clock.at = Date.parse('2027-12-05T00:00:00Z');
  expect(await schedule.runNow()).toMatchObject([{ announced: 1, erased: 0 }]);
  expect(told[0]).toMatch(/1 Einträgen, die zu keinem Schreiben gehören/);
  expect(told[0]).toMatch(/Zugriffe auf die Nachweise \(§ 76 \(4\) BDSG\): 1 Einträge .* ab 4\. Januar 2028/);
  clock.at = Date.parse('2028-01-04T00:00:01Z');
  expect(await schedule.runNow()).toMatchObject([{ erased: 1, kept: 1 }]);
  expect(await store.erasure(tenant.id, first)).toMatchObject({ class: 'records-access', letters: [first] });
  for (const stays of [operation, held, held + 2]) expect(await store.entry(tenant.id, stays)).not.toBeNull();
});

it('never erases what is held, and announces it anew after the release', async () => {
  const held = await letter();
  clock.at = Date.parse('2029-06-01T00:00:00Z');
  const actor = { type: 'operator', name: 'anna' } as const;
  await store.holdLetters(tenant.id, { letter: held, held: true, actor, reason: 'Klage' });
  expect(await schedule.runNow()).toMatchObject([{ announced: 0, erased: 0, kept: 1 }]);
  clock.at += 60 * day;
  expect(await schedule.runNow()).toMatchObject([{ announced: 0, erased: 0, kept: 1 }]);
  await store.holdLetters(tenant.id, { letter: held, held: false, actor, reason: 'Vergleich' });
  expect(await schedule.runNow()).toMatchObject([{ announced: 1, erased: 0, kept: 0 }]);
  clock.at += 30 * day;
  expect(await schedule.runNow()).toMatchObject([{ announced: 0, erased: 1, kept: 0 }]);
});

it('runs by itself once a day', async () => {
  const manual = createManualClock(Date.parse('2030-01-01T00:00:00Z'));
  const runs: number[] = [];
  const own = startRetention({
    store,
    tenants: () => {
      runs.push(manual.now());
      return [];
    },
    tell: async () => {},
    clock: manual,
    log: pino({ level: 'silent' }),
  });
  await manual.advance(599_999);
  expect(runs).toHaveLength(0);
  await manual.advance(1);
  expect(runs).toHaveLength(1);
  await manual.advance(day - 1);
  expect(runs).toHaveLength(1);
  await manual.advance(day);
  expect(runs.length).toBeGreaterThan(1);
  await own.close();
});
