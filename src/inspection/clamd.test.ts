import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ClamdAddress, ClamdUnavailable, ping, scanStream, version } from './clamd.ts';
import { createScanner } from './scanner.ts';
import { FOUND, MALWARE, startClamdPeer } from './testing/clamd-peer.ts';

async function* pieces(...texts: readonly (string | Buffer)[]) {
  for (const text of texts) yield Buffer.from(text);
}

describe('a stream', () => {
  it.each<[string, (string | Buffer)[], object]>([
    ['without malware', ['Guten ', 'Tag'], { result: 'clean' }],
    ['that is empty', [], { result: 'clean' }],
    ['with empty pieces', ['', 'a', '', 'b', ''], { result: 'clean' }],
    ['with malware', [`x${MALWARE}x`], { result: 'infected', name: FOUND }],
    [
      'with malware cut by pieces',
      [MALWARE.slice(0, 5), MALWARE.slice(5)],
      { result: 'infected', name: FOUND },
    ],
  ])('%s', async (_, texts, expected) => {
    await using peer = await startClamdPeer();
    expect(await scanStream(peer.address, pieces(...texts))).toEqual(expected);
    expect(peer.streams).toEqual([texts.join('').length]);
  });

  it('that is larger than StreamMaxLength is told apart, and not sent to its end', async () => {
    await using peer = await startClamdPeer();
    peer.behaviour.limit = 100_000;
    let given = 0;
    async function* endless() {
      for (; given < 1e9; given += 65_536) yield Buffer.alloc(65_536);
    }
    expect(await scanStream(peer.address, endless())).toEqual({ result: 'too-large' });
    expect(given).toBeLessThan(1e8);
  });

  it('of 45 MiB is passed on in its pieces: the next is read once the last is taken', async () => {
    await using peer = await startClamdPeer();
    const piece = Buffer.alloc(131_072, 'x');
    const count = (45 * 1024 * 1024) / piece.length;
    async function* large() {
      for (let i = 0; i < count; i += 1) yield piece;
    }
    expect(await scanStream(peer.address, large())).toEqual({ result: 'clean' });
    expect(peer.streams).toEqual([45 * 1024 * 1024]);
    expect(peer.longestPiece()).toBe(piece.length);
  });

  it('whose reading fails fails with that, and the connection is closed', async () => {
    await using peer = await startClamdPeer();
    async function* broken() {
      yield Buffer.from('a');
      throw new Error('object is corrupt');
    }
    await expect(scanStream(peer.address, broken())).rejects.toThrow('object is corrupt');
  });
});

describe('a scanner that is not there, or not well, is no verdict', () => {
  it.each([
    ['says that it has no database', 'Can not open database ERROR'],
    ['ran out of time', 'COMMAND READ TIMED OUT'],
    ['hangs up', 'cut'],
    ['says nothing', 'silent'],
    ['is somebody else', '220 mail.example ESMTP OKAY'],
    ['answers with half a word', 'stream: O'],
    ['sends without end', 'x'.repeat(10_000)],
  ])('%s', async (_, answer) => {
    await using peer = await startClamdPeer(0, 300);
    peer.behaviour.answer = answer;
    await expect(scanStream(peer.address, pieces('a'))).rejects.toThrow(ClamdUnavailable);
  });

  it('is not running', async () => {
    const peer = await startClamdPeer();
    await peer[Symbol.asyncDispose]();
    await expect(scanStream(peer.address, pieces('a'))).rejects.toThrow(/cannot be reached/);
    const socket: ClamdAddress = { socket: join(tmpdir(), 'no-such-clamd.sock'), timeout: 1000 };
    await expect(ping(socket)).rejects.toThrow(ClamdUnavailable);
  });

  it('closes in the middle of a stream', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {}).once('data', () => socket.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    async function* endless() {
      for (let i = 0; i < 100_000; i += 1) yield Buffer.alloc(65_536);
    }
    await expect(scanStream({ host: '127.0.0.1', port, timeout: 20_000 }, endless())).rejects.toThrow(
      ClamdUnavailable,
    );
    server.close();
  });
});

it('PING and VERSION', async () => {
  await using peer = await startClamdPeer();
  await ping(peer.address);
  expect(await version(peer.address)).toBe('ClamAV 1.4.3/27700/Tue Jul 15 08:00:00 2025');
  peer.behaviour.answer = 'HTTP/1.1 400';
  await expect(ping(peer.address)).rejects.toThrow(/not clamd/);
});

it('the scanner knows its version, and whether it is there', async () => {
  const peer = await startClamdPeer();
  const scanner = createScanner({ clamd: peer.address, tooLarge: 'hold' });
  expect(await scanner.scan(pieces(MALWARE))).toEqual({
    result: 'infected',
    detail: FOUND,
    scanner: 'ClamAV 1.4.3/27700/Tue Jul 15 08:00:00 2025',
  });
  expect(scanner.problem).toBeNull();
  await peer[Symbol.asyncDispose]();
  await expect(scanner.scan(pieces('a'))).rejects.toThrow(ClamdUnavailable);
  expect(scanner.problem).toMatch(/cannot be reached/);
  await using again = await startClamdPeer(peer.address.port);
  await scanner.probe();
  expect(scanner.problem).toBeNull();
  expect(again.streams).toEqual([]);
});
