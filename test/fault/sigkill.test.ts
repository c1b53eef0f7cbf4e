import { randomInt } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { openReader } from '../../src/cli/reader.ts';
import { storePaths } from '../../src/store/sqlite/open.ts';
import { installWithSimulator } from '../interop/peers/gateway.ts';
import { connectSmtp } from '../interop/peers/smtp-client.ts';

const kills = 50;
const sender = 'erika.mustermann@ego-mv.example';
const recipient = 'max.mustermann@buerger.de-mail.example';

/** mulberry32: a run can be repeated from its seed. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

test(`no acknowledged message is lost when the gateway is killed ${kills} times under load`, {
  timeout: 600_000,
}, async () => {
  const seed = Number(process.env.DEMAIL_FAULT_SEED ?? randomInt(2 ** 31));
  console.log(`seed ${seed} (DEMAIL_FAULT_SEED repeats it)`);
  const random = generator(seed);
  await using world = await installWithSimulator({ sink: true });
  const { installation } = world;
  const acknowledged: string[] = [];
  let sent = 0;

  /** One client, sending until the gateway dies under it. */
  async function load(): Promise<void> {
    try {
      using client = await connectSmtp(installation.ports.relay);
      for (;;) {
        const messageId = `<${seed}.${sent++}@ego-mv.example>`;
        // Small ones lie in the database, large ones in files of their own.
        const lines = sent % 5 === 0 ? 4000 : 20;
        const message = Buffer.from(
          `From: ${sender}\r\nTo: ${recipient}\r\nSubject: load\r\nMessage-ID: ${messageId}\r\n\r\n` +
            `${'a line of some length to fill the body of a message\r\n'.repeat(lines)}`,
        );
        const reply = await client.send(sender, [recipient], message);
        if (reply.startsWith('250')) acknowledged.push(messageId);
      }
    } catch {
      // killed
    }
  }

  for (let round = 0; round < kills; round++) {
    const gateway = await installation.start();
    const clients = Array.from({ length: 4 }, load);
    await wait(20 + random() * 900);
    gateway.kill('SIGKILL');
    expect(await gateway.exited).toBeNull();
    await Promise.all(clients);
  }

  const verified = await installation.run('evidence', 'verify');
  expect(verified.stdout.split('\n').at(-2)).toMatch(/ 0 findings, 0 undecided$/);
  expect(verified.code).toBe(0);
  using reader = openReader(storePaths({ directory: installation.directory }));
  const missing: string[] = [];
  for (const messageId of acknowledged) {
    if ((await reader.resolve(messageId, 'ego-mv')).length === 0) missing.push(messageId);
  }
  expect(missing).toEqual([]);
  console.log(`${sent} messages begun, ${acknowledged.length} acknowledged`);
  expect(acknowledged.length).toBeGreaterThan(kills);
  // And the gateway still runs on what it left.
  const gateway = await installation.start();
  gateway.kill('SIGTERM');
  expect(await gateway.exited).toBe(0);
});
