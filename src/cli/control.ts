/** The command line's end of the control socket. */
import { createConnection, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { type ControlAnswer, type ControlRequest, controlAddress } from '../control.ts';
import { Unavailable } from '../unavailable.ts';
import { CommandError, exit } from './exit.ts';

export interface GatewayConnection extends Disposable {
  /** @throws CommandError (usage) with the gateway's reason where it refuses. */
  ask(request: ControlRequest): Promise<unknown>;
  /** Resolves when the gateway has gone. */
  readonly gone: Promise<void>;
}

/** Connects to the gateway that runs on this store; null where none does. */
export async function connectToGateway(dataDir: string): Promise<GatewayConnection | null> {
  const socket = await open(controlAddress(dataDir));
  if (socket === null) return null;
  const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => {}); // 'close' follows and says enough
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  return {
    gone,
    async ask(request) {
      socket.write(`${JSON.stringify(request)}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Unavailable('the gateway ended before it answered');
      const answer = JSON.parse(value) as ControlAnswer;
      if (!answer.ok) throw new CommandError(exit.usage, answer.error);
      return answer.result;
    },
    [Symbol.dispose]() {
      socket.destroy();
    },
  };
}

/** As `connectToGateway`, for commands that need a running gateway. @throws Unavailable where none runs. */
export async function needGateway(dataDir: string): Promise<GatewayConnection> {
  const gateway = await connectToGateway(dataDir);
  if (gateway === null) throw new Unavailable(`no gateway is running on ${dataDir}`);
  return gateway;
}

function open(path: string): Promise<Socket | null> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(null);
      else reject(new Unavailable(`cannot reach the gateway at ${path}: ${error.message}`, error));
    });
  });
}
