/** `queue` on a running gateway: hand-overs that are really in doubt, and one that really waits. */
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { openReader } from '../../src/cli/reader.ts';
import { storePaths } from '../../src/store/sqlite/open.ts';
import { type GatewayProcess, installWithSimulator } from './peers/gateway.ts';
import { connectSmtp } from './peers/smtp-client.ts';

const tenant = 'ego-mv';
const sender = `erika.mustermann@${tenant}.example`;
const recipient = 'karl.never@buerger.de-mail.example';
/** Far more than any of it takes; what never happens is named. */
const patience = { timeout: 60_000, interval: 250 };
let world: Awaited<ReturnType<typeof installWithSimulator>>;
let gateway: GatewayProcess;

beforeAll(async () => {
  world = await installWithSimulator(
    { faults: { withhold: ['dispatch', 'receipt', 'retrieval'] } },
    (config) => {
      for (const [index, { id }] of (config.toJS() as { tenants: { id: string }[] }).tenants.entries()) {
        if (id !== tenant) continue;
        // Its own Sent copy would settle the doubt before anybody is asked.
        config.deleteIn(['tenants', index, 'provider', 'sentFolder']);
        config.setIn(['tenants', index, 'provider', 'overdue'], { receipt: '1s' });
      }
    },
  );
  gateway = await world.installation.start();
});
afterAll(async () => {
  gateway?.kill('SIGTERM');
  await gateway?.exited;
  await world?.[Symbol.asyncDispose]();
});

const run = (...args: string[]) => world.installation.run(...args);

interface Line {
  readonly index: number;
  readonly state: string;
}

async function queue(): Promise<Line[]> {
  const { code, stdout } = await run('queue', 'list', '--json');
  expect(code).toBe(0);
  return stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Line]));
}

/** Sends a letter under the fault; resolves with its index once the queue shows it in that state. */
async function send(fault: 'cutAfterData' | 'deferData', state: string): Promise<number> {
  world.simulator.faults[fault] = 1;
  using client = await connectSmtp(world.installation.ports.relay);
  const message = `From: ${sender}\r\nTo: ${recipient}\r\nSubject: Zweifel\r\nMessage-ID: <${crypto.randomUUID()}@ego-mv.example>\r\n\r\nText\r\n`;
  expect(await client.send(sender, [recipient], Buffer.from(message))).toMatch(/^250/);
  return await vi.waitFor(async () => {
    expect(world.simulator.faults[fault], `${fault} was not used`).toBe(0);
    const open = await queue();
    expect(open).toMatchObject([{ state }]);
    return open[0]!.index;
  }, patience);
}

async function facts(letter: number): Promise<string[]> {
  using reader = openReader(storePaths({ directory: world.installation.directory }));
  return (await reader.standing(tenant, letter)).map(({ fact }) => fact);
}

async function handedOver(letter: number): Promise<void> {
  await vi.waitFor(async () => expect(await facts(letter)).toContain('handed-over'), patience);
  expect(await queue()).toEqual([]);
}

const timeline = async (letter: number) => (await run('evidence', 'show', `${tenant}/${letter}`)).stdout;
const sentCopies = () => world.simulator.messages(tenant, 'Sent').length;

it('holds what is in doubt until an operator says what becomes of it', async () => {
  const letter = await send('cutAfterData', 'in-doubt');
  const name = `${tenant}/${letter}`;
  const shown = await run('queue', 'show', name);
  expect([shown.code, shown.stdout]).toEqual([0, expect.stringContaining('in-doubt')]);
  const refused = await run('queue', 'retry', name, '--reason', 'x');
  expect([refused.code, refused.stderr]).toEqual([
    2,
    expect.stringContaining('it is in doubt; `queue release`'),
  ]);
  const bare = await run('queue', 'release', name);
  expect([bare.code, bare.stderr]).toEqual([2, expect.stringContaining('--reason')]);
  expect(await queue()).toMatchObject([{ index: letter, state: 'in-doubt' }]);
  const released = await run('queue', 'release', name, '--reason', 'nicht angekommen');
  expect([released.code, released.stderr]).toEqual([0, '']);
  await handedOver(letter);
  expect(await timeline(letter)).toMatch(/settled as resend by operator .*: nicht angekommen/);
  // It had arrived the first time too: what a release may cost.
  expect(sentCopies()).toBe(2);
});

it('takes an operator’s word that the provider has it, and sends nothing', async () => {
  const before = sentCopies();
  const letter = await send('cutAfterData', 'in-doubt');
  const name = `${tenant}/${letter}`;
  const stated = await run('queue', 'release', name, '--handed-over', '--reason', 'Anruf');
  expect([stated.code, stated.stderr]).toEqual([0, '']);
  await handedOver(letter);
  expect(sentCopies()).toBe(before + 1);
  const again = await run('queue', 'abandon', name, '--reason', 'zu spät');
  expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('open')]);
});

it('gives up what an operator abandons', async () => {
  const letter = await send('cutAfterData', 'in-doubt');
  const { code } = await run('queue', 'abandon', `${tenant}/${letter}`, '--reason', 'hinfällig');
  expect(code).toBe(0);
  expect(await facts(letter)).toContain('abandoned');
  expect(await timeline(letter)).toMatch(/settled as abandoned by operator .*: hinfällig/);
  expect(await queue()).toEqual([]);
});

it('tries what waits at once when an operator wants it', async () => {
  const letter = await send('deferData', 'queued');
  const { code, stderr } = await run('queue', 'retry', `${tenant}/${letter}`, '--reason', 'jetzt');
  expect([code, stderr]).toEqual([0, '']);
  await handedOver(letter);
});

it('lists what is wrong, and closes only what does not end by itself', async () => {
  const bare =
    'From: max.mustermann@buerger.de-mail.example\r\nX-de-mail-message-type: normal\r\n\r\nText\r\n';
  await world.simulator.deposit(tenant, Buffer.from(bare), `erika.mustermann@${tenant}.de-mail.example`);
  await vi.waitFor(async () => {
    const { stdout } = await run('incident', 'list', '--json', '--tenant', tenant);
    expect(stdout).toContain('"integrity-missing"');
  }, patience);
  const refused = await run('incident', 'close', tenant, 'integrity-missing', '--reason', 'x');
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('ends by itself')]);
  const unknown = await run('incident', 'close', tenant, 'confirmation-disputed 3', '--reason', 'x');
  expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('is not open')]);
});

it('finds what a confirmation is overdue for', async () => {
  const found = await vi.waitFor(
    async () => {
      const { code, stdout } = await run('evidence', 'search', '--fact', 'receipt-overdue', '--json');
      expect([code, stdout]).toEqual([0, expect.stringContaining('receipt-overdue')]);
      return stdout.trim().split('\n');
    },
    { ...patience, timeout: 120_000 },
  );
  // All that was handed over, and nothing that was given up.
  expect(found).toHaveLength(3);
  expect((await run('evidence', 'verify')).code).toBe(0);
});
