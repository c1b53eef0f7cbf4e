/** `evidence seal` reaches a running gateway by its control socket, and does the same itself where none runs. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTimestampAuthority } from '../../src/simulator/timestamp-authority.ts';
import { type GatewayProcess, installWithSimulator } from './peers/gateway.ts';
import { connectSmtp } from './peers/smtp-client.ts';

const sender = 'erika.mustermann@stadt-waren.example';
const opened = new AsyncDisposableStack();
let installation: Awaited<ReturnType<typeof installWithSimulator>>['installation'];
let gateway: GatewayProcess;

beforeAll(async () => {
  const tsa = opened.use(
    await startTimestampAuthority({ directory: join(opened.adopt(await temporary(), remove), 'tsa') }),
  );
  const world = await installWithSimulator({}, (config) =>
    config.set('preservation', {
      seal: {
        every: '30d',
        authorities: [{ name: 'trial', url: tsa.url, privateAddress: true }],
        trustAnchors: [tsa.caFile],
        revocation: { privateAddresses: true },
      },
    }),
  );
  ({ installation } = opened.use(world));
  gateway = await installation.start();
});
afterAll(() => opened.disposeAsync());

const temporary = () => mkdtemp(join(tmpdir(), 'seal-'));
const remove = (directory: string) => rm(directory, { recursive: true });

async function sealed() {
  const { code, stdout, stderr } = await installation.run('evidence', 'seal', '--json');
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as { id: number; entries: number; authority: string } | null;
}

async function mail(): Promise<void> {
  using client = await connectSmtp(installation.ports.relay);
  const bytes = `From: ${sender}\r\nTo: karl.never@buerger.de-mail.example\r\nSubject: x\r\n\r\nText\r\n`;
  expect(await client.send(sender, ['karl.never@buerger.de-mail.example'], Buffer.from(bytes))).toMatch(
    /^250 /,
  );
}

it('seals while the gateway runs and mail comes in, and when it is stopped', async () => {
  const before = (await sealed())?.id ?? 0;
  await mail();
  const [first] = await Promise.all([sealed(), mail(), mail()]);
  expect(first).toMatchObject({ id: before + 1, authority: 'trial' });
  await mail();
  gateway.kill('SIGTERM');
  expect(await gateway.exited).toBe(0);
  expect(await sealed()).toMatchObject({ id: before + 2, authority: 'trial' });
  expect(await sealed()).toBeNull();
  const listed = await installation.run('evidence', 'seals');
  expect(listed.stdout.match(/^\d+ {2}seal {2}/gm)).toHaveLength(before + 2);
  const verified = await installation.run('evidence', 'verify', '--deep');
  expect(verified.stdout).toMatch(/ 0 findings/);
});
