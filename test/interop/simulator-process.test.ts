import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const main = fileURLToPath(new URL('../../src/simulator/main.ts', import.meta.url));
let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'simulator-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

function start(argument: string, input = '') {
  const child = spawn(process.execPath, [main, argument], { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.end(input);
  return child;
}

test('runs as a process, obeys its control socket, ends on SIGTERM', async () => {
  const config = join(directory, 'simulator.json');
  await writeFile(config, JSON.stringify({ directory, ports: { smtp: 0, imap: 0 }, signature: 'p256' }));
  const child = start(config);
  const ended = once(child, 'exit');
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  const ready = JSON.parse(line);
  expect(ready).toMatchObject({ event: 'ready', caFile: join(directory, 'ca', 'root.pem') });
  expect((await stat(ready.clients['stadt-waren'].key)).mode & 0o777).toBe(0o600);

  const socket = connect(join(directory, 'control.sock'));
  const answers = createInterface({ input: socket })[Symbol.asyncIterator]();
  const order = async (wanted: object | string) => {
    socket.write(`${typeof wanted === 'string' ? wanted : JSON.stringify(wanted)}\n`);
    const { value = '' } = await answers.next();
    return JSON.parse(value);
  };
  const base64 = Buffer.from('Subject: x\r\n\r\ny\r\n').toString('base64');
  const deposit = { do: 'deposit', account: 'ego-mv', base64, envelopeTo: 'a@ego-mv.de-mail.example' };
  expect(await order(deposit)).toEqual({ ok: true, uid: 1 });
  const faults = await order({ do: 'faults', withhold: ['receipt'] });
  expect(faults.faults).toMatchObject({ withhold: ['receipt'], cutAfterData: 0 });
  const both = await order({ do: 'faults', cutAfterData: 2 });
  expect(both.faults).toMatchObject({ withhold: ['receipt'], cutAfterData: 2 });
  expect(await order({ do: 'login', account: 'nobody' })).toMatchObject({ ok: false });
  expect(await order('nonsense')).toMatchObject({ ok: false });
  expect(await order({ do: 'renumber', account: 'ego-mv' })).toEqual({ ok: true });
  const address = 'a@ego-mv.de-mail.example';
  expect(await order({ do: 'identify', account: 'max.mustermann', to: address })).toEqual({ ok: true });
  expect(await order({ do: 'identify', account: 'nohigh', to: address })).toMatchObject({ ok: false });
  expect(await order({ do: 'clock', at: '2027-03-01T08:00:00Z' })).toEqual({ ok: true });
  expect(await order({ do: 'clock', at: 'soon' })).toMatchObject({ ok: false });
  expect(await order({ do: 'clock' })).toEqual({ ok: true });
  expect(await order({ do: 'revoke', at: '2026-11-24T08:00:00Z' })).toEqual({ ok: true });
  expect(await order({ do: 'login', account: 'ego-mv', level: 'high' })).toEqual({ ok: true });
  expect(await order({ do: 'timestamp', faults: ['wrong-nonce'] })).toMatchObject({ ok: false });
  expect(await order({ do: 'settle' })).toEqual({ ok: true });
  // Going away with answers unread resets the connection; the simulator goes on.
  const hasty = connect(join(directory, 'control.sock'));
  await once(hasty, 'connect');
  await new Promise((written) => hasty.write('{"do":"status"}\n'.repeat(50), written));
  hasty.destroy();
  await once(hasty, 'close');
  const status = await order({ do: 'status' });
  expect(status.messages['ego-mv']).toEqual({ INBOX: 2, Sent: 0 });
  expect(status.ports).toEqual(ready.ports);

  child.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
});

test('names what is wrong with its configuration', async () => {
  const child = start('-', JSON.stringify({ directory, ports: { smtp: 70_000 } }));
  const [message, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  expect(code).toBe(78);
  expect(message).toContain('smtp');
});
