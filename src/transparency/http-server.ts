/** The small HTTP servers of this room: bounded in time, size and connections; HTTPS where a certificate is named. */
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { HttpListenerConfig } from '../config/schema.ts';
import { Unavailable } from '../unavailable.ts';

export interface RunningServer extends AsyncDisposable {
  /** As bound. */
  readonly port: number;
}

/** @param key of the configuration, named where the port is busy. */
export async function startHttp(
  listen: HttpListenerConfig,
  key: string,
  handle: RequestListener,
): Promise<RunningServer> {
  const limits = {
    requestTimeout: 10_000,
    headersTimeout: 5_000,
    keepAliveTimeout: 30_000,
    maxHeaderSize: 8192,
  };
  const server: Server =
    listen.tls === undefined
      ? createServer(limits, handle)
      : createSecureServer(
          { ...limits, cert: await readFile(listen.tls.certificate), key: await readFile(listen.tls.key) },
          handle,
        );
  server.maxConnections = 200;
  server.maxRequestsPerSocket = 1000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new Unavailable(`${key}: cannot listen on ${listen.address}:${listen.port}: ${error.message}`, error),
      ),
    );
    server.listen(listen.port, listen.address, () => resolve());
  });
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeIdleConnections();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Body of a request. @throws Error where it is longer than `limit` bytes. */
export async function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > limit) throw new Error(`longer than ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
