/**
 * Marionette, the remote protocol of Gecko: frames of `length:[type, id, command, parameters]` over TCP. Chrome scripts
 * alone: Thunderbird has no page to speak of.
 */
import { once } from 'node:events';
import { connect } from 'node:net';

export interface Marionette extends Disposable {
  /**
   * Runs the body of an async function with all rights of the program; what it returns must be JSON.
   * @throws Error with what the script threw
   */
  run<T>(body: string, ...args: readonly unknown[]): Promise<T>;
}

interface Failure {
  readonly error: string;
  readonly message: string;
  readonly stacktrace: string;
}

/** @throws where nobody listens on the port */
export async function connectMarionette(port: number, scriptTimeoutMs: number): Promise<Marionette> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let received = Buffer.alloc(0);
  let lastId = 0;
  const greeted = Promise.withResolvers<void>();
  greeted.promise.catch(() => {});

  function take(frame: unknown): void {
    if (!Array.isArray(frame)) {
      greeted.resolve();
      return;
    }
    const [, id, failure, result] = frame as [number, number, Failure | null, unknown];
    const call = waiting.get(id);
    waiting.delete(id);
    if (failure === null) call?.resolve(result);
    else call?.reject(new Error(`${failure.error}: ${failure.message}\n${failure.stacktrace}`));
  }

  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    for (;;) {
      const colon = received.indexOf(':');
      const end = colon + 1 + Number(received.toString('latin1', 0, Math.max(0, colon)));
      if (colon < 0 || received.length < end) return;
      take(JSON.parse(received.toString('utf8', colon + 1, end)));
      received = received.subarray(end);
    }
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    const gone = new Error('the program closed the connection');
    greeted.reject(gone);
    for (const call of waiting.values()) call.reject(gone);
  });

  function send(command: string, parameters: object): Promise<unknown> {
    const id = ++lastId;
    const call = Promise.withResolvers<unknown>();
    waiting.set(id, call);
    const frame = Buffer.from(JSON.stringify([0, id, command, parameters]));
    socket.write(`${frame.length}:`);
    socket.write(frame);
    return call.promise;
  }

  await greeted.promise;
  await send('WebDriver:NewSession', { unhandledPromptBehavior: 'dismiss' });
  await send('Marionette:SetContext', { value: 'chrome' });
  await send('WebDriver:SetTimeouts', { script: scriptTimeoutMs });
  return {
    async run<T>(body: string, ...args: readonly unknown[]) {
      const script = `const done = arguments[arguments.length - 1];
        (async (...args) => { ${body} })(...arguments).then(
          (value) => done({ value }),
          (error) => done({ error: String(error) + '\\n' + (error?.stack ?? '') }));`;
      const result = (await send('WebDriver:ExecuteAsyncScript', { script, args, newSandbox: true })) as {
        value: { value?: T; error?: string };
      };
      if (result.value.error !== undefined) throw new Error(result.value.error);
      return result.value.value as T;
    },
    [Symbol.dispose]: () => void socket.destroy(),
  };
}
