import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Agenda, openAgenda } from './agenda.ts';
import { openClock } from './clock.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'agenda-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const hour = 3_600_000;
const file = () => join(directory, 'agenda.jsonl');

function open(done: string[], clock = openClock(() => new Date('2026-11-24T08:00:00Z'))) {
  const failed: string[] = [];
  const agenda: Agenda<{ name: string }, string> = openAgenda(
    file(),
    clock.now,
    async ({ name }, live) => {
      if (name === 'broken') throw new Error('broken');
      done.push(live === undefined ? name : `${name} ${live}`);
      if (name === 'parent') agenda.add({ name: 'child' });
    },
    (error) => failed.push(error.message),
  );
  agenda.start();
  return { agenda, clock, failed };
}

test('does what is due, with what is at hand, and what follows from it', async () => {
  const done: string[] = [];
  const { agenda } = open(done);
  agenda.add({ name: 'parent' }, 0, 'live');
  await agenda.settled();
  expect(done).toEqual(['parent live', 'child']);
});

test('what waits outlives a restart, and is done when the clock says so', async () => {
  const done: string[] = [];
  const first = open(done);
  first.agenda.add({ name: 'soon' }, hour, 'live');
  first.agenda.add({ name: 'late' }, 200 * 24 * hour);
  first.agenda.add({ name: 'now' });
  await first.agenda.close();
  await first.agenda.settled();
  expect(done).toEqual(['now']);
  appendFileSync(file(), '{"id":99,"at":0,"jo');

  const second = open(done);
  second.clock.set(new Date('2026-11-24T09:30:00Z'));
  second.agenda.clockMoved();
  await second.agenda.close();
  expect(done).toEqual(['now', 'soon']);
  const third = open(
    done,
    openClock(() => new Date('2027-11-24T08:00:00Z')),
  );
  await third.agenda.settled();
  expect(done).toEqual(['now', 'soon', 'late']);
  open(done);
  expect(readFileSync(file(), 'utf8')).toBe('');
});

test('a failure is told and holds up nothing', async () => {
  const done: string[] = [];
  const { agenda, failed } = open(done);
  agenda.add({ name: 'broken' });
  agenda.add({ name: 'sound' });
  await expect(agenda.settled()).rejects.toThrow('The simulator failed inside');
  await agenda.settled();
  expect([done, failed]).toEqual([['sound'], ['broken']]);
  expect(() => open(done)).not.toThrow();
  expect(done).toEqual(['sound']);
});
