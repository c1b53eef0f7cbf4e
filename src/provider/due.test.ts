import { expect, it } from 'vitest';
import { silentLog } from '../observe/log.ts';
import { createManualClock } from '../observe/testing/manual-clock.ts';
import { createDue, type DueWork } from './due.ts';

interface Item {
  readonly id: string;
  readonly at: number;
}

/** A queue in memory; each run waits until the test lets it end. */
function queue(width: number, notBefore = () => 0) {
  const clock = createManualClock(0);
  const items: Item[] = [];
  const started: string[] = [];
  const running = new Map<string, PromiseWithResolvers<void>>();
  const work: DueWork<Item> = {
    clock,
    log: silentLog(),
    width: () => width,
    notBefore,
    list: async (limit) => items.filter((i) => i.at <= clock.now()).slice(0, limit),
    next: async () =>
      Math.min(...items.filter((i) => i.at > clock.now()).map((i) => i.at), Number.MAX_SAFE_INTEGER),
    key: (item) => item.id,
    run(item) {
      started.push(item.id);
      const run = Promise.withResolvers<void>();
      running.set(item.id, run);
      return run.promise;
    },
  };
  const due = createDue(work);
  const settle = () => new Promise<void>((resolve) => setTimeout(resolve, 0));
  return {
    clock,
    due,
    items,
    started,
    settle,
    async end(id: string, error?: Error) {
      items.splice(
        items.findIndex((i) => i.id === id),
        error ? 0 : 1,
      );
      if (error) running.get(id)!.reject(error);
      else running.get(id)!.resolve();
      await settle();
    },
  };
}

it('runs no more at once than the width, and each item once', async () => {
  const q = queue(2);
  q.items.push({ id: 'a', at: 0 }, { id: 'b', at: 0 }, { id: 'c', at: 0 });
  q.due.wake();
  await q.settle();
  q.due.wake();
  await q.settle();
  expect(q.started).toEqual(['a', 'b']);
  await q.end('a');
  expect(q.started).toEqual(['a', 'b', 'c']);
});

it('wakes by itself for the next item', async () => {
  const q = queue(1);
  q.items.push({ id: 'later', at: 5_000 });
  q.due.wake();
  await q.settle();
  expect(q.started).toEqual([]);
  await q.clock.advance(5_000);
  await q.settle();
  expect(q.started).toEqual(['later']);
});

it('starts nothing before the account may be tried again', async () => {
  const q = queue(1, () => 3_000);
  q.items.push({ id: 'a', at: 0 });
  q.due.wake();
  await q.settle();
  expect(q.started).toEqual([]);
  await q.clock.advance(3_000);
  await q.settle();
  expect(q.started).toEqual(['a']);
});

it('an item that failed rests, the others go on', async () => {
  const q = queue(1);
  q.items.push({ id: 'bad', at: 0 }, { id: 'good', at: 0 });
  q.due.wake();
  await q.settle();
  await q.end('bad', new Error('store is away'));
  expect(q.started).toEqual(['bad', 'good']);
  await q.end('good');
  await q.clock.advance(30_000);
  await q.settle();
  expect(q.started).toEqual(['bad', 'good', 'bad']);
});

it('closing waits for what runs and starts nothing more', async () => {
  const q = queue(1);
  q.items.push({ id: 'a', at: 0 }, { id: 'b', at: 0 });
  q.due.wake();
  await q.settle();
  let closed = false;
  const closing = q.due.close().then(() => {
    closed = true;
  });
  await q.settle();
  expect(closed).toBe(false);
  await q.end('a');
  await closing;
  expect(q.started).toEqual(['a']);
});
