/** The service's side of the writer thread: calls out, answers and changes in. */
import { Worker } from 'node:worker_threads';
import { catalogue, type ErrorCode, GatewayError } from '../../errors.ts';
import type { Change } from '../store.ts';
import type { CommandArguments, CommandName, CommandResult } from './commands/index.ts';
import type { WriterCall, WriterData, WriterError, WriterMessage } from './writer.ts';

export interface Writer {
  call<N extends CommandName>(name: N, tenant: string, args: CommandArguments<N>): Promise<CommandResult<N>>;
  close(): Promise<void>;
}

/** Starts the writer thread. @throws Error where the database cannot be opened or is of a later release. */
export async function startWriter(
  data: WriterData,
  clock: () => number,
  onChanges: (changes: readonly Change[]) => void,
  onWarning: (text: string) => void,
): Promise<Writer> {
  const worker = new Worker(new URL('./writer.ts', import.meta.url), {
    workerData: data,
    transferList: data.feed === undefined ? [] : [data.feed.port],
    // What a command leaves behind dies young; a small nursery keeps the thread's memory small.
    resourceLimits: { maxYoungGenerationSizeMb: 8 },
  });
  const calls = new Map<number, { resolve(value: never): void; reject(error: Error): void }>();
  let lastId = 0;
  let closing: PromiseWithResolvers<void> | null = null;
  let dead: Error | null = null;
  const ready = Promise.withResolvers<void>();

  function fail(error: Error): void {
    dead = error;
    ready.reject(error);
    for (const { reject } of calls.values()) reject(new GatewayError('store-unavailable', undefined, error));
    calls.clear();
    closing?.resolve();
  }

  worker.on('message', (message: WriterMessage) => {
    switch (message.type) {
      case 'ready':
        ready.resolve();
        break;
      case 'failed':
        fail(Object.assign(new Error(message.error.message), { name: message.error.name }));
        break;
      case 'committed':
        for (const answer of message.answers) {
          const call = calls.get(answer.id);
          calls.delete(answer.id);
          if ('error' in answer) call?.reject(toError(answer.error));
          else call?.resolve(answer.value as never);
        }
        onChanges(message.changes);
        break;
      case 'warning':
        onWarning(message.text);
        break;
      case 'closed':
        closing?.resolve();
        break;
    }
  });
  worker.on('error', (error) => fail(error as Error));
  worker.on('exit', () => fail(dead ?? new Error('the writer thread has ended')));
  await ready.promise;

  return {
    call(name, tenant, args) {
      if (dead !== null || closing !== null)
        return Promise.reject(new GatewayError('store-unavailable', undefined, dead));
      const { promise, resolve, reject } = Promise.withResolvers<never>();
      const id = ++lastId;
      calls.set(id, { resolve, reject });
      worker.postMessage({ id, name, tenant, args, now: clock() } satisfies WriterCall);
      return promise;
    },
    async close() {
      if (dead !== null) return;
      if (closing === null) {
        closing = Promise.withResolvers<void>();
        worker.postMessage('close');
      }
      await closing.promise;
    },
  };
}

/** SQLite says so when the disk is full; ENOSPC comes from object files. */
const FULL = new Set(['SQLITE_FULL', 'ENOSPC', 'EDQUOT', 'SQLITE_IOERR_WRITE']);

function toError(error: WriterError): Error {
  if (error.name === 'GatewayError' && error.code !== null && error.code in catalogue)
    return new GatewayError(error.code as ErrorCode, error.detail ?? undefined);
  const inner = Object.assign(new Error(error.message), { name: error.name, code: error.code });
  if (error.code !== null && FULL.has(error.code)) return new GatewayError('store-full', undefined, inner);
  return error.code?.startsWith('SQLITE_') === true
    ? new GatewayError('store-unavailable', undefined, inner)
    : inner;
}
