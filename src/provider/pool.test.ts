import { expect, it } from 'vitest';
import { createManualClock } from '../observe/testing/manual-clock.ts';
import { createAuthority } from '../pki/authority.ts';
import { loadTarget } from './connect.ts';
import { createPool } from './pool.ts';
import { openSession, type Parcel } from './smtp-session.ts';
import { startSubmissionPeer } from './testing/submission-peer.ts';

const never = new AbortController().signal;
const timeouts = { connect: 60_000, greeting: 60_000, silence: 60_000 };

const to = (address: string): Parcel => ({
  from: 'poststelle@stadt.de-mail.example',
  recipients: [address],
  size: 15,
  eightBit: false,
  wholeSet: false,
  async *content() {
    yield Buffer.from('Subject: x\r\n\r\n.');
  },
});

it('a refused recipient does not cost the next message on the same connection', async () => {
  await using peer = await startSubmissionPeer({
    authority: await createAuthority({ name: 'Test CA' }),
    mode: 'none',
  });
  peer.behaviour.rcpt = (address) => (address.startsWith('erna') ? '550 5.1.1 unknown' : null);
  const target = await loadTarget(
    { host: 'localhost', port: peer.port, security: 'none' },
    { trustAnchors: [] },
  );
  const pool = createPool(createManualClock(), (signal) =>
    openSession(target, { hostname: 'gateway.example', timeouts }, signal),
  );
  const results: string[] = [];
  for (const name of ['erna', 'max', 'erna', 'erna', 'max']) {
    const session = await pool.take(never);
    const sent = await session.send(to(`${name}@buerger.de-mail.example`), never);
    results.push(`${name} ${sent.recipients[0]?.result}: ${sent.reply.slice(0, 3)}`);
    pool.give(session);
  }
  pool.close();
  expect(results).toEqual([
    'erna refused: 550',
    'max accepted: 250',
    'erna refused: 550',
    'erna refused: 550',
    'max accepted: 250',
  ]);
  expect(peer.connections()).toBe(1);
});
