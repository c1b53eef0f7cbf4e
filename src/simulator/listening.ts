/** Opening a port or socket, and closing what listens there. */
import type { Server } from 'node:net';

export interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

/** Resolves with the port, rejects naming it where it is taken. */
export function listening(server: Server, wanted: number | string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.once('error', (error) => reject(new Error(`${wanted} cannot be opened: ${error.message}`)));
  server.once('listening', () => {
    const address = server.address();
    resolve(typeof address === 'object' && address ? address.port : 0);
  });
  return promise;
}
