/**
 * The control socket `<data>/control.sock`: how a command reaches the running gateway. One JSON request per
 * line, one JSON answer per line. The socket's mode (0600, in a directory of mode 0700) says who may.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { relative } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { Log } from './observe/log.ts';
import { Unavailable } from './unavailable.ts';

const actor = z.strictObject({
  type: z.enum(['user', 'relay', 'operator', 'gateway']),
  name: z.string().max(200),
  address: z.string().max(200).optional(),
});

/** An open hand-over: `letter` is the index of its submission. */
const handover = {
  tenant: z.string(),
  letter: z.number().int().min(0),
  transaction: z.number().int().min(0),
  actor,
  reason: z.string().min(1).max(1000),
};

const approval = {
  tenant: z.string(),
  /** Of a user whom retention.approvers names. */
  login: z.string().min(1).max(320),
  password: z.string().min(1).max(1024),
};

export const controlRequest = z.discriminatedUnion('command', [
  z.strictObject({ command: z.literal('status') }),
  z.strictObject({ command: z.literal('stop') }),
  z.strictObject({ command: z.literal('reload') }),
  z.strictObject({
    command: z.literal('fetch-now'),
    tenant: z.string().optional(),
    /** Goes past the calendar of an account at level high, once. */
    outsideHours: z.strictObject({ actor, reason: z.string().min(1).max(1000) }).optional(),
  }),
  z.strictObject({
    command: z.literal('check-login'),
    tenant: z.string(),
    actor,
    reason: z.string().min(1).max(1000),
    outsideHours: z.boolean(),
  }),
  z.strictObject({
    command: z.literal('tenant-lock'),
    tenant: z.string(),
    locked: z.boolean(),
    actor,
    reason: z.string().min(1).max(1000),
    scope: z.string().max(200).optional(),
  }),
  z.strictObject({ command: z.literal('evidence-seal') }),
  z.strictObject({ command: z.literal('backup-create') }),
  z.strictObject({
    command: z.literal('keys-rotate'),
    tenant: z.string(),
    actor,
    reason: z.string().min(1).max(1000),
  }),
  z.strictObject({
    command: z.literal('queue-settle'),
    ...handover,
    decision: z.enum(['handed-over', 'resend', 'abandoned']),
  }),
  z.strictObject({ command: z.literal('queue-retry'), ...handover }),
  z.strictObject({
    command: z.literal('queue-forward'),
    tenant: z.string(),
    letter: z.number().int().min(0),
    actor,
    reason: z.string().min(1).max(1000),
  }),
  z.strictObject({
    command: z.literal('incident-close'),
    tenant: z.string(),
    incident: z.string().max(500),
    actor,
    reason: z.string().min(1).max(1000),
  }),
  z.strictObject({ command: z.literal('retention-run') }),
  z.strictObject({
    command: z.literal('retention-hold'),
    tenant: z.string(),
    held: z.boolean(),
    letter: z.number().int().min(0).optional(),
    fileReference: z.string().min(1).max(200).optional(),
    actor,
    reason: z.string().min(1).max(1000),
  }),
  z.strictObject({
    command: z.literal('retention-propose'),
    ...approval,
    letter: z.number().int().min(0),
    legalBasis: z.string().min(1).max(500),
    copies: z.enum(['stay', 'remove']),
    reason: z.string().min(1).max(1000),
  }),
  z.strictObject({
    command: z.literal('retention-approve'),
    ...approval,
    proposal: z.number().int().min(0),
  }),
  z.strictObject({
    command: z.literal('retention-withdraw'),
    tenant: z.string(),
    proposal: z.number().int().min(0),
    actor,
    reason: z.string().min(1).max(1000),
  }),
  z.strictObject({ command: z.literal('search-text-rebuild'), tenant: z.string() }),
  z.strictObject({ command: z.literal('private-operators') }),
  z.strictObject({
    command: z.literal('rotate-log-key'),
    tenant: z.string(),
    actor,
    reason: z.string().min(1).max(1000),
    /** How long the key before signs too, milliseconds. */
    overlapMs: z.number().int().min(0),
  }),
  z.strictObject({
    command: z.literal('close-log'),
    tenant: z.string(),
    actor,
    reason: z.string().min(1).max(1000),
  }),
  z.strictObject({
    command: z.literal('private-deliver'),
    tenant: z.string(),
    index: z.number().int().min(0),
    to: z.string().max(320).optional(),
    actor,
    reason: z.string().min(1).max(1000),
  }),
  z.strictObject({
    command: z.literal('record-access'),
    tenant: z.string(),
    access: z.strictObject({
      actor,
      action: z.enum(['search', 'show', 'verify', 'export', 'report']),
      query: z.string().max(2000),
    }),
  }),
]);

export type ControlRequest = z.output<typeof controlRequest>;
export type ControlAnswer =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly error: string };

export interface ControlServer extends AsyncDisposable {}

const longestLine = 64 * 1024;

/** Path to give to the system: `sun_path` holds 107 bytes, so the shorter of absolute and relative. */
export function controlAddress(dataDir: string): string {
  const absolute = `${dataDir}/control.sock`;
  const short = [absolute, relative(process.cwd(), absolute)].find((p) => Buffer.byteLength(p) <= 107);
  if (short === undefined) {
    throw new Unavailable(`the path of the control socket is longer than 107 bytes: ${absolute}`);
  }
  return short;
}

/**
 * Listens on the control socket. Call it with the store's lock held: a socket file that lies there is then
 * the remains of a killed gateway.
 */
export async function serveControl(
  dataDir: string,
  handle: (request: ControlRequest) => Promise<unknown>,
  log: Log,
): Promise<ControlServer> {
  const path = controlAddress(dataDir);
  rmSync(path, { force: true });
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', (error) => log.debug({ error: error.message }, 'control connection broke'));
    converse(socket, handle).catch((error) => {
      log.warn({ error: (error as Error).message }, 'control connection ended');
      socket.destroy();
    });
  });
  await listening(server, path);
  chmodSync(path, 0o600);
  return {
    // Connections are left open: who asked to stop learns of the end by the end of the process.
    async [Symbol.asyncDispose]() {
      server.close();
      server.unref();
      for (const socket of open) socket.unref();
      rmSync(path, { force: true });
    },
  };
}

async function converse(
  socket: Socket,
  handle: (request: ControlRequest) => Promise<unknown>,
): Promise<void> {
  let length = 0;
  socket.on('data', (chunk: Buffer) => {
    length = chunk.includes(0x0a) ? 0 : length + chunk.length;
    if (length > longestLine) socket.destroy();
  });
  for await (const line of createInterface({ input: socket })) {
    const answer = await answerTo(line, handle);
    if (socket.writable) socket.write(`${JSON.stringify(answer)}\n`);
  }
}

async function answerTo(
  line: string,
  handle: (request: ControlRequest) => Promise<unknown>,
): Promise<ControlAnswer> {
  try {
    return { ok: true, result: (await handle(controlRequest.parse(JSON.parse(line)))) ?? null };
  } catch (error) {
    return {
      ok: false,
      error: error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message,
    };
  }
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
