import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ControlRequest, serveControl } from '../control.ts';
import { silentLog } from '../observe/log.ts';
import { Unavailable } from '../unavailable.ts';
import { connectToGateway, needGateway } from './control.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'control-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const echo = async (request: ControlRequest) => request;

test('requests are answered in order on one connection', async () => {
  await using _server = await serveControl(dir, echo, silentLog());
  using gateway = await needGateway(dir);
  expect(await gateway.ask({ command: 'status' })).toEqual({ command: 'status' });
  expect(await gateway.ask({ command: 'fetch-now', tenant: 'ego-mv' })).toEqual({
    command: 'fetch-now',
    tenant: 'ego-mv',
  });
});

test('only the owner may use the socket', async () => {
  await using _server = await serveControl(dir, echo, silentLog());
  expect(statSync(join(dir, 'control.sock')).mode & 0o777).toBe(0o600);
});

test('a refusal carries the reason', async () => {
  await using _server = await serveControl(
    dir,
    async () => {
      throw new Error('no such letter');
    },
    silentLog(),
  );
  using gateway = await needGateway(dir);
  await expect(gateway.ask({ command: 'status' })).rejects.toThrow('no such letter');
});

test.each([['not json'], ['{"command":"format-disk"}'], ['[]'], ['{"command":"stop","extra":1}']])(
  'what is no request is answered, not obeyed: %s',
  async (line) => {
    const seen: ControlRequest[] = [];
    await using _server = await serveControl(dir, async (request) => seen.push(request), silentLog());
    const answer = await exchange(`${line}\n`);
    expect(JSON.parse(answer)).toMatchObject({ ok: false });
    expect(seen).toEqual([]);
  },
);

test('an endless line ends the connection, not the gateway', async () => {
  await using _server = await serveControl(dir, echo, silentLog());
  expect(await exchange('x'.repeat(200_000))).toBe('');
  using gateway = await needGateway(dir);
  expect(await gateway.ask({ command: 'status' })).toEqual({ command: 'status' });
});

test('without a gateway there is nobody to ask, whatever lies there', async () => {
  expect(await connectToGateway(dir)).toBeNull();
  await expect(needGateway(dir)).rejects.toBeInstanceOf(Unavailable);
  writeFileSync(join(dir, 'control.sock'), '');
  expect(await connectToGateway(dir)).toBeNull();
  await using _server = await serveControl(dir, echo, silentLog());
  using gateway = await needGateway(dir);
  expect(await gateway.ask({ command: 'status' })).toEqual({ command: 'status' });
});

/** Writes, and returns what came back until the answer's line end or the end of the connection. */
function exchange(text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = createConnection(join(dir, 'control.sock'));
    let received = '';
    socket.on('error', () => resolve(received));
    socket.on('close', () => resolve(received));
    socket.on('data', (chunk) => {
      received += chunk;
      if (received.includes('\n')) socket.destroy();
    });
    socket.write(text);
  });
}
