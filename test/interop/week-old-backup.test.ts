/**
 * A week-old backup, with real processes and a clock that goes a week ahead: letters, confirmations, erasures and further
 * hand-overs after the backup; then the disk is lost. First restored with the second copy, then, after that is lost as
 * well, from the week-old generation alone.
 */
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { SMTPServer } from 'smtp-server';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openReader } from '../../src/cli/reader.ts';
import { storePaths } from '../../src/store/sqlite/open.ts';
import { daysLater, install, loseDisk, send, tenant, until, type World } from './peers/copies-elsewhere.ts';
import type { GatewayProcess } from './peers/gateway.ts';

const erika = 'erika.mustermann@ego-mv.example';
const jan = 'jan.petersen@ego-mv.example';
const never = 'karl.never@buerger.de-mail.example';
let world: World;
let gateway: GatewayProcess;
/** The tenant's own mail server: subjects of what it took, and whether it takes anything. */
const own = { taken: [] as string[], up: true };
const ownServer = new SMTPServer({
  disabledCommands: ['AUTH', 'STARTTLS'],
  async onData(stream, _session, done) {
    const subject = /^Subject: (.*)\r$/m.exec(await text(stream))?.[1] ?? '';
    if (!own.up) return done(Object.assign(new Error('later'), { responseCode: 451 }));
    own.taken.push(subject);
    done();
  },
});
/** Of the generation that becomes a week old. */
let generation: string;
let doomed: { onDemand: string; byPeriod: string; forwarded: string };

beforeAll(async () => {
  ownServer.listen(0, '127.0.0.1');
  await once(ownServer.server, 'listening');
  const { port } = ownServer.server.address() as AddressInfo;
  world = await install(true, (config) => {
    const { tenants } = config.toJS() as { tenants: { id: string }[] };
    const at = ['tenants', tenants.findIndex(({ id }) => id === tenant)];
    const forward = { protocol: 'smtp', host: '127.0.0.1', port, security: 'none' };
    config.setIn([...at, 'delivery'], { facade: true, forward });
    config.setIn([...at, 'provider', 'retryFor'], '30d');
    config.setIn([...at, 'retention'], {
      approvers: [erika, jan],
      classes: [
        {
          name: 'kurz',
          match: { kinds: ['submission'], recipient: never },
          keep: '3d',
          from: 'last-entry',
          legalBasis: 'Test',
          reviewBefore: '0d',
          copies: 'remove',
        },
      ],
    });
  });
  gateway = await world.installation.start();
});
afterAll(async () => {
  gateway?.kill('SIGKILL');
  await gateway?.exited;
  await world?.[Symbol.asyncDispose]();
  await new Promise<void>((resolve) => ownServer.close(() => resolve()));
});

const run = async (...args: string[]) => {
  const ran = await world.installation.run(...args);
  expect(ran, `${args.join(' ')}: ${ran.stdout}${ran.stderr}`).toMatchObject({ code: 0 });
  return ran.stdout;
};
const reader = () => openReader(storePaths({ directory: world.installation.directory }));

async function open(): Promise<string[]> {
  using store = reader();
  return (await store.openTransactions(tenant)).map(({ letter, state }) => `${letter} ${state}`);
}

async function nameOf(id: string): Promise<string> {
  using store = reader();
  const [found] = await store.resolve(`<${id}@ego-mv.example>`, tenant);
  return `${tenant}/${found!.letter}`;
}

/** Subjects among the provider's Sent copies: each hand-over once. */
async function handedOver(): Promise<string[]> {
  const subjects: string[] = [];
  for (const { uid } of world.simulator.messages(tenant, 'Sent'))
    subjects.push(
      /^Subject: (.*)\r$/m.exec((await world.simulator.read(tenant, 'Sent', uid)).toString('latin1'))![1]!,
    );
  return subjects.sort();
}

async function end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  gateway.kill(signal);
  await gateway.exited;
}

/** Files of the store that hold one of these in clear. */
function tracesOf(...wanted: string[]): string[] {
  const files = readdirSync(world.installation.directory, { recursive: true, withFileTypes: true });
  return files
    .filter((file) => file.isFile() && /store\.sqlite|\.restoring/.test(file.name))
    .filter((file) => wanted.some((one) => readFileSync(join(file.parentPath, file.name)).includes(one)))
    .map(({ name }) => name);
}

it('day 0: letters, one that waits, one to be forwarded; then the backup', async () => {
  const { installation, simulator } = world;
  for (const id of ['early', 'doomed-by-person']) expect(await send(installation, id)).toMatch(/^250/);
  expect(await send(installation, 'doomed-by-period', 20, never)).toMatch(/^250/);
  await until(async () => (await open()).length === 0, 'handed over');
  // Their confirmations lie at the own server today: what comes later would make the letters younger.
  await simulator.settled();
  await run('tenant', 'fetch', tenant);
  await until(async () => {
    using store = reader();
    return (await store.openForwards(tenant)).length === 0;
  }, 'confirmations forwarded');
  own.up = false;
  simulator.faults.deferData = 1;
  expect(await send(installation, 'waits')).toMatch(/^250/);
  await until(
    async () => simulator.faults.deferData === 0 && (await open())[0]?.endsWith('queued'),
    'deferred',
  );
  await simulator.deposit(
    tenant,
    Buffer.from('From: a@buerger.de-mail.example\r\nSubject: forward-me\r\n\r\nText\r\n'),
    'erika.mustermann@ego-mv.de-mail.example',
  );
  const forwarded = await until(async () => {
    using store = reader();
    // Confirmations wait for the own server as well.
    for (const item of await store.dueForwards(tenant, Number.MAX_SAFE_INTEGER, 99))
      if (item.attempts > 0 && (await store.entry(tenant, item.letter))?.kind === 'inbound')
        return `${tenant}/${item.letter}`;
    return undefined;
  }, 'deferred by the own server');
  doomed = {
    onDemand: await nameOf('doomed-by-person'),
    byPeriod: await nameOf('doomed-by-period'),
    forwarded,
  };
  generation = (JSON.parse(await run('backup', 'create', '--json')) as { id: string }).id;
  await end('SIGTERM');
});

it('the week after it: more letters, further hand-overs, confirmations, erasures', async () => {
  const { installation, simulator } = world;
  daysLater(world, 7);
  own.up = true;
  gateway = await installation.start();
  await until(async () => own.taken.includes('forward-me'), 'forwarded');
  expect(await send(installation, 'late')).toMatch(/^250/);
  await until(async () => (await open()).length === 0, 'handed over');
  expect(await handedOver()).toEqual(['doomed-by-period', 'doomed-by-person', 'early', 'late', 'waits']);

  // Who looked for a person is told that person.
  await installation.run('evidence', 'search', '--address', never, '--tenant', tenant);
  const told = await run('retention', 'report', '--address', never, '--tenant', tenant);
  expect(told).toContain(`${doomed.byPeriod}  submission  as recipient`);
  expect(told).toMatch(/class kurz \(Test\), kept until /);
  expect(told).toMatch(/access {2}as who was looked for .*: search /);

  // By their period: announced, and after the time of review (none) erased.
  expect(await run('retention', 'run')).toMatch(/ego-mv: 1 letters and entries announced, 0 erased/);
  expect(await run('retention', 'run')).toMatch(/ego-mv: 0 letters and entries announced, 1 erased/);
  // On demand: two persons, each with a password; neither alone, nor by a wrong one.
  const { answer } = installation;
  const wanted = [
    'erase',
    doomed.onDemand,
    '--legal-basis',
    'Art. 17 GDPR',
    '--reason',
    'x',
    '--copies',
    'remove',
  ];
  expect(await answer('wrong\n', 'retention', ...wanted, '--as', erika)).toMatchObject({ code: 2 });
  const proposed = await answer('demo\n', 'retention', ...wanted, '--as', erika);
  expect(proposed.code, proposed.stderr).toBe(0);
  const proposal = /proposed as (\S+)\./.exec(proposed.stdout)![1]!;
  const alone = await answer('demo\n', 'retention', 'approve', proposal, '--as', erika);
  expect(alone).toMatchObject({ code: 2, stderr: expect.stringContaining('second person') });
  const stranger = 'erika.mustermann@amt-zarrentin.example';
  expect((await answer('demo\n', 'retention', 'approve', proposal, '--as', stranger)).code).toBe(2);
  const approved = await answer('demo\n', 'retention', 'approve', proposal, '--as', jan);
  expect(approved).toMatchObject({ code: 0, stdout: expect.stringContaining('erased with') });

  simulator.faults.deferData = 1;
  expect(await send(installation, 'open-at-death')).toMatch(/^250/);
  await until(
    async () => simulator.faults.deferData === 0 && (await open())[0]?.endsWith('queued'),
    'deferred',
  );
  await end('SIGKILL');
  await loseDisk(installation);
});

it('with the second copy: everything is there, what was erased is not, and nothing is sent unattended', async () => {
  const { installation, at } = world;
  const restored = await installation.run(
    ...['backup', 'restore', '--from', at('backup'), '--second-copy', at('second')],
    ...['--to', installation.directory, '--recovery-key', at('open-key.pem')],
  );
  expect(restored.stdout).toMatch(/^restored in \d+\.\d s: generation /);
  expect(restored.stdout).toMatch(/\ncomplete: .*\n/);
  expect(restored.stdout).not.toMatch(/missing/);
  expect(restored.stdout).toMatch(/ego-mv: 1 hand-overs and 0 forwardings are held/);
  expect(restored.code).toBe(0);
  // Keys and rows of the erased are in no page of it, free ones included.
  expect(tracesOf('doomed-by-person', 'doomed-by-period')).toEqual([]);
  expect(tracesOf('late@ego-mv.example')).toEqual(['store.sqlite']);

  gateway = await installation.start();
  await until(async () => (await open())[0]?.endsWith('in-doubt'), 'in doubt');
  await run('tenant', 'fetch', tenant);
  expect(await handedOver()).not.toContain('open-at-death');
  expect(await run('evidence', 'log', tenant)).not.toMatch(/closed|HELD/);
  await run('queue', 'release', '<open-at-death@ego-mv.example>', '--reason', 'the provider has none');
  await until(async () => (await handedOver()).includes('open-at-death'), 'released');
  expect(await run('evidence', 'verify', '--tenant', tenant)).toMatch(/ 0 findings, 0 undecided\n$/);
});

it('alone: no log is forked, what is missing is named, what was erased goes again, the queue waits for a person', async () => {
  const { installation, at } = world;
  await end('SIGKILL');
  await loseDisk(installation);
  await rm(at('second'), { recursive: true });
  own.taken.length = 0;
  const restored = await installation.run(
    ...['backup', 'restore', '--from', at('backup'), '--generation', generation],
    ...['--to', installation.directory, '--recovery-key', at('open-key.pem')],
  );
  expect(restored.code).toBe(1);
  expect(restored.stdout).toMatch(
    /ego-mv: entries ego-mv\/\d+ to ego-mv\/\d+ are missing: .*checkpoints\/ego-mv signs/,
  );
  expect(restored.stdout).toMatch(
    /ego-mv: 1 hand-overs and \d+ forwardings are held; nothing of them is sent/,
  );
  const before = await handedOver();

  gateway = await installation.start();
  expect(await send(installation, 'refused')).toMatch(/^4/);
  const log = await installation.run('evidence', 'log', tenant);
  expect(log).toMatchObject({ code: 1, stdout: expect.stringMatching(/HELD since .*: restore: /) });
  // The checkpoint on the other host knows more than this log: it must not go on.
  expect(log.stdout).toMatch(/HELD since .*checkpoints\/ego-mv/);
  const closed = await run('evidence', 'close-log', tenant, '--reason', 'disk and second copy lost');
  expect(closed).toMatch(/new log localhost\/ego-mv\.\d+/);
  using store = reader();
  for (const name of [doomed.onDemand, doomed.byPeriod]) {
    const index = Number(name.split('/')[1]);
    await until(async () => (await store.erasure(tenant, index))?.again, `${name} erased again`);
  }
  await until(async () => tracesOf('doomed-by-person', 'doomed-by-period').length === 0, 'no trace');
  // Handed over in that week: the provider's Sent copy says so, and nothing is sent twice.
  await until(async () => (await open()).length === 0, 'settled by the Sent copy');
  expect(await handedOver()).toEqual(before);
  // Nobody at the own server can say: it waits for a person.
  expect(own.taken).not.toContain('forward-me');
  expect(await run('queue', 'list')).toMatch(
    new RegExp(`${doomed.forwarded}  forward .*\\n.*next attempt 9999`),
  );
  await run('queue', 'forward', doomed.forwarded, '--reason', 'asked them');
  await until(async () => own.taken.includes('forward-me'), 'forwarded');
  expect(own.taken.filter((subject) => subject === 'forward-me')).toHaveLength(1);
  expect(await send(installation, 'afterwards')).toMatch(/^250/);
  await until(async () => (await handedOver()).includes('afterwards'), 'handed over');
  expect(await run('evidence', 'verify', '--tenant', tenant)).toMatch(/ 0 findings, 0 undecided\n$/);
  await end('SIGTERM');
});
