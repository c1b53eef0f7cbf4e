import { expect, it } from 'vitest';
import { startClamdPeer } from '../inspection/testing/clamd-peer.ts';
import { probeScanner } from './check-scanner.ts';

it('tells version and size, and names the remedy where the limit is too small', async () => {
  await using peer = await startClamdPeer();
  const hold = { clamd: peer.address, tooLarge: 'hold' } as const;
  expect(await probeScanner(hold, 1024 ** 2)).toMatch(/^ClamAV 1\.4\.3.*, takes messages of 1M$/);
  expect(peer.streams).toEqual([1024 ** 2]);
  peer.behaviour.limit = 1000;
  await expect(probeScanner(hold, 1024 ** 2)).rejects.toThrow('set StreamMaxLength 1M in clamd.conf');
  expect(await probeScanner({ ...hold, tooLarge: 'pass' }, 1024 ** 2)).toMatch(/pass unscanned$/);
});

it('says where nobody answers', async () => {
  const peer = await startClamdPeer();
  await peer[Symbol.asyncDispose]();
  await expect(probeScanner({ clamd: peer.address, tooLarge: 'hold' }, 1)).rejects.toThrow(/reached/);
});
