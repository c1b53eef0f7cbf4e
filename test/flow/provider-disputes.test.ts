/** A confirmation that counted and turned out invalid: how the dispute ends. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ConfirmationType } from '../../src/evidence/entry.ts';
import { silentLog } from '../../src/observe/log.ts';
import { createManualClock } from '../../src/observe/testing/manual-clock.ts';
import { endDisputes, openDispute } from '../../src/provider/disputes.ts';
import { createIncidents, type Incidents } from '../../src/provider/incidents.ts';
import { stageMessage } from '../../src/provider/staging.ts';
import { testDirectory } from '../../src/provider/testing/tenants.ts';
import { erna, max, openWorld, type World } from './provider-world.ts';

let w: World;
let incidents: Incidents;
let letter: number;
const tenants = testDirectory();

beforeEach(async () => {
  w = await openWorld();
  const base = { store: w.store, directory: () => tenants, log: silentLog(), clock: createManualClock() };
  incidents = await createIncidents({ ...base, tell: async () => {} });
  letter = await w.submit({ rcpt: [max, erna], to: `${max}, ${erna}`, options: ['dispatch', 'receipt'] });
});
afterEach(async () => {
  incidents.stop();
  await w[Symbol.asyncDispose]();
});

async function confirm(confirmation: ConfirmationType, recipients: readonly string[]): Promise<number> {
  const uid = (await w.store.head('stadt')).size;
  const recorded = await w.store.recordFetched('stadt', {
    kind: 'confirmation',
    staged: await stageMessage(w.store, 'stadt', [Buffer.from(`Subject: ${uid}\r\n\r\n`)]),
    source: { account: 'stadt', folder: 'INBOX', uidValidity: '1', uid },
    header: { messageId: null, subject: null, from: null, date: null },
    demail: {
      ...{ messageType: null, messageId: null, privateId: null, sender: null, authLevel: null },
      ...{ originatorProvider: null, options: [], chosenRecipients: [], envelopeTo: [] },
    },
    attachments: [],
    verdict: 'indeterminate',
    ...{ confirmation, recipients, letter, transaction: 0, counts: 'provisional' },
    ...{ statedTime: null, matchedBy: 'private-id', deposits: [] },
  });
  return recorded!.index;
}

async function turnsInvalid(about: number, recipients: readonly string[]): Promise<void> {
  const entry = await w.store.entry('stadt', about);
  if (entry?.kind !== 'confirmation') throw new Error(`${about} is no confirmation`);
  openDispute({ store: w.store, tenant: 'stadt', incidents }, entry, 'revoked');
  await w.store.recordVerdict('stadt', {
    ...{ about, letter, recipients, verdict: 'invalid', checks: [], material: [], nextAttempt: null },
  });
}

async function open(): Promise<string[]> {
  await endDisputes({ store: w.store, tenant: 'stadt', incidents }, letter);
  await incidents.settled();
  return (await w.store.incidents('stadt')).map(({ incident }) => incident);
}

it('by another confirmation of that kind, once it covers everyone', async () => {
  const first = await confirm('dispatch', [max, erna]);
  await turnsInvalid(first, [max, erna]);
  expect(await open()).toEqual([`confirmation-disputed ${first}`]);
  await confirm('receipt', [max, erna]);
  await confirm('dispatch', [max]);
  expect(await open()).toEqual([`confirmation-disputed ${first}`]);
  await confirm('dispatch', [erna]);
  expect(await open()).toEqual([]);
  const closed = (await w.entries()).filter((e) => e.kind === 'incident' && e.state === 'closed');
  expect(closed).toMatchObject([{ text: expect.stringContaining(`stadt/${letter}`) }]);
});

it('before it begins, where another one came first', async () => {
  const [first] = [await confirm('dispatch', [max]), await confirm('dispatch', [max])];
  await turnsInvalid(first, [max]);
  expect(await open()).toEqual([]);
});

it('by an operator, whose reason becomes evidence; other incidents end by themselves', async () => {
  const first = await confirm('receipt', [max]);
  await turnsInvalid(first, [max]);
  const [incident] = await open();
  const link = await w.startLink();
  const order = {
    tenant: 'stadt',
    actor: { type: 'operator', name: 'jan' },
    reason: 'Zustellung wiederholt',
  } as const;
  await w.until(async () => (await w.store.incidents('stadt')).some((i) => i.incident === 'no-anchors'));
  await expect(link.closeIncident({ ...order, incident: 'no-anchors' })).rejects.toThrow('ends by itself');
  await expect(link.closeIncident({ ...order, incident: 'confirmation-disputed 9' })).rejects.toThrow(
    'is not open',
  );
  await link.closeIncident({ ...order, incident: incident! });
  expect((await w.store.incidents('stadt')).map((i) => i.incident)).not.toContain(incident);
  const last = (await w.entries()).filter(
    (e) =>
      e.kind === 'operation' || (e.kind === 'incident' && e.incident === incident && e.state === 'closed'),
  );
  expect(last).toMatchObject([
    { kind: 'operation', action: 'incident close', subject: incident, reason: 'Zustellung wiederholt' },
    { kind: 'incident', state: 'closed', text: 'Abgeschlossen von jan: Zustellung wiederholt' },
  ]);
  // What was disputed stays disputed: nobody's word makes it proven.
  expect((await w.store.standing('stadt', letter)).map((f) => f.fact)).toContain('disputed');
});
