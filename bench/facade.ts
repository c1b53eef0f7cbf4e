/**
 * The facade beside Dovecot: the same messages, the same commands, on the same machine, the two in turns. Dovecot runs
 * with maildir (bench/dovecot), once more with an index of its own for text.
 */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Document } from 'yaml';
import { startDovecot } from '../test/interop/peers/dovecot.ts';
import { type GatewayProcess, type Installation, installGateway } from '../test/interop/peers/gateway.ts';
import { connectImap, type ImapClient } from './imap-client.ts';
import { letter, RARE_SUBJECT, RARE_WORD } from './letters.ts';
import { nobody, withoutTls } from './measures.ts';
import { processorTime, residentBytes } from './processes.ts';
import type { Figure } from './report.ts';

const run = promisify(execFile);
const password = 'demo';
const size = 10 * 1024;
const domain = 'amt-zarrentin.example';
/** Owns the large mailbox. */
const reader = `leser@${domain}`;
/** Each works in a mailbox of its own. */
const workers = Array.from({ length: 50 }, (_, n) => `amt${n}@${domain}`);
const users = [reader, ...workers];
const perWorker = 100;
const idlers = 1000;
const turns = 5;
const busyMs = 3000;

interface Gateway extends Side {
  readonly process: GatewayProcess;
}

interface Side {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  /** A mailbox that is not selected. */
  readonly sent: string;
}

/** Figures of the facade. @param messages in the large mailbox */
export async function facade(messages: number): Promise<Figure[]> {
  await using opened = new AsyncDisposableStack();
  const installation = opened.use(await install());
  const ours = await started(installation);
  const theirs = await dovecot(opened, await pinned('facade.conf'));
  const sides = [ours, theirs] as const;
  const filled = await compared(
    {
      what: `APPEND of ${messages} × 10 KB`,
      method: '8 connections, 20 commands ahead (LITERAL+); both sync before they answer',
    },
    sides,
    1,
    (side) => fill(side, messages),
  );
  const indexed = await withTextIndex(opened, theirs);
  const figures = [...filled];
  for (const measure of [
    () => pulls(sides, messages),
    () => inOneSession(sides, messages),
    () => textSearches(ours, theirs, indexed, messages),
    () => busySessions(sides),
    () => notices(sides),
    // Anew: what it has used before would be there for the sessions to take.
    async () => idleSessions([await started(installation, ours), theirs], messages),
  ]) {
    figures.push(...(await measure()));
    console.error(`${figures.at(-1)!.what}: ${figures.at(-1)!.value.toFixed(2)} ${figures.at(-1)!.unit}`);
  }
  return figures;
}

async function install(): Promise<Installation> {
  return installGateway(await nobody(), {
    edit: (config) => {
      withoutTls(config);
      addUsers(config);
    },
  });
}

/** @param before what runs of it, to be ended first */
async function started(installation: Installation, before?: Gateway): Promise<Gateway> {
  before?.process.kill('SIGTERM');
  await before?.process.exited;
  const process = await installation.start();
  return { name: 'gateway', port: installation.ports.imaps, pid: process.pid, sent: 'Gesendet', process };
}

function addUsers(config: Document): void {
  const { tenants } = config.toJS() as { tenants: { users: { passwordHash: string }[] }[] };
  const { passwordHash } = tenants[0]!.users[0]!;
  for (const login of users) config.addIn(['tenants', 0, 'users'], { login, name: login, passwordHash });
  // Fifty users who log in at once from one address would be taken for guessing.
  config.setIn(['limits', 'failedLoginsPerAddress'], 10_000);
}

async function dovecot(
  opened: AsyncDisposableStack,
  settings: string,
): Promise<Side & { directory: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-tls-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  const [certificate, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  // As the demo's own: P-256.
  await run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
    ...['-subj', '/CN=localhost', '-keyout', key, '-out', certificate],
  ]);
  const server = opened.use(
    await startDovecot({
      certificate,
      key,
      users: Object.fromEntries(users.map((login) => [login, password])),
      settings,
    }),
  );
  return {
    name: 'Dovecot',
    port: server.imaps,
    pid: server.pid,
    sent: 'Sent',
    directory: server.directory,
  };
}

/** A further Dovecot on a copy of the mail, with its text index made. */
async function withTextIndex(opened: AsyncDisposableStack, plain: { directory: string }): Promise<Side> {
  const side = await dovecot(opened, `${await pinned('facade.conf')}${await pinned('fts.conf')}`);
  const from = join(plain.directory, 'mail', reader);
  await cp(from, join(side.directory, 'mail', reader), { recursive: true, preserveTimestamps: true });
  await run('chown', ['-R', 'mail:mail', join(side.directory, 'mail', reader)]);
  await run('doveadm', ['-c', join(side.directory, 'dovecot.conf'), 'index', '-u', reader, 'INBOX']);
  return { ...side, name: 'Dovecot with its text index' };
}

async function fill(side: Side, messages: number): Promise<void> {
  const writers = await Promise.all(
    Array.from({ length: 8 }, () => connectImap(side.port, reader, password)),
  );
  await Promise.all(
    writers.map(async (client, nth) => {
      using _ = client;
      const numbers = Array.from({ length: messages }, (_, n) => n).filter((n) => n % writers.length === nth);
      for (let from = 0; from < numbers.length; from += 100)
        await client.append(
          'INBOX',
          numbers.slice(from, from + 100).map((n) => letter(n, size)),
        );
    }),
  );
}

/** mbsync's first pull of the large mailbox. */
async function pulls(sides: Sides, messages: number): Promise<Figure[]> {
  const method = '`mbsync` into an empty maildir, without syncs of its own';
  return compared({ what: `mbsync's first pull of ${messages} × 10 KB`, method, goal: true }, sides, 3, pull);
}

async function pull(side: Side): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-pull-'));
  try {
    const settings = join(folder, 'mbsyncrc');
    const certificate = join(folder, 'cert.pem');
    const hello = await run('sh', [
      '-c',
      `openssl s_client -showcerts -connect 127.0.0.1:${side.port} </dev/null 2>/dev/null | openssl x509`,
    ]);
    await writeFile(certificate, hello.stdout);
    await mkdir(join(folder, 'mail'));
    await writeFile(
      settings,
      [
        ...['FSync no', '', 'IMAPAccount far', 'Host localhost', `Port ${side.port}`, `User ${reader}`],
        ...[`Pass ${password}`, 'SSLType IMAPS', `CertificateFile ${certificate}`, 'AuthMechs PLAIN', ''],
        ...['IMAPStore far', 'Account far', '', 'MaildirStore near', `Path ${folder}/mail/`],
        ...[`Inbox ${folder}/mail/INBOX`, '', 'Channel inbox', 'Far :far:INBOX', 'Near :near:INBOX'],
        ...['Sync Pull', 'Create Near', 'SyncState *', ''],
      ].join('\n'),
      { mode: 0o600 },
    );
    await run('mbsync', ['-c', settings, '-q', 'inbox']);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What one client waits for in the large mailbox. */
async function inOneSession(sides: Sides, messages: number): Promise<Figure[]> {
  const commands = [
    ['FETCH of FLAGS', 'FETCH 1:* (FLAGS)', true],
    ['FETCH of ENVELOPE', 'FETCH 1:* (ENVELOPE)', true],
    ['search in a header field', `SEARCH SUBJECT "${RARE_SUBJECT.word}"`, true],
    [
      'FETCH of what Thunderbird lists',
      'UID FETCH 1:* (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To)])',
      false,
    ],
    ['FETCH of BODYSTRUCTURE', 'FETCH 1:* (BODYSTRUCTURE)', false],
  ] as const;
  const clients = new Map<Side, ImapClient>();
  const figures: Figure[] = [];
  for (const side of sides) clients.set(side, await connectImap(side.port, reader, password));
  try {
    for (const client of clients.values()) await client.run('SELECT INBOX');
    for (const [name, command, goal] of commands) {
      const first: number[] = [];
      const answers: string[] = [];
      for (const side of sides) {
        const begun = performance.now();
        answers.push(await clients.get(side)!.ask(command));
        first.push(performance.now() - begun);
      }
      sameNumber(name, answers);
      const said = first.map((ms, n) => `${sides[n]!.name} ${Math.round(ms)} ms`).join(', ');
      const method = `\`${command.slice(0, 60)}${command.length > 60 ? '…' : ''}\`; the first time, before the turns: ${said}`;
      figures.push(
        ...(await compared({ what: `${name}, ${messages} messages`, method, goal }, sides, turns, (side) =>
          clients.get(side)!.run(command),
        )),
      );
    }
  } finally {
    for (const client of clients.values()) client[Symbol.dispose]();
  }
  return figures;
}

/** Both sides have to find the same messages, or there is nothing to compare. @throws Error */
function sameNumber(name: string, answers: readonly string[]): void {
  const counts = answers.map(
    (text) =>
      text.match(/^\* \d+ FETCH /gm)?.length ?? text.match(/^\* SEARCH(.*)$/m)?.[1]?.split(' ').length,
  );
  if (new Set(counts).size !== 1)
    throw new Error(`${name}: the sides answer ${counts.join(' and ')} messages`);
}

async function textSearches(ours: Side, plain: Side, indexed: Side, messages: number): Promise<Figure[]> {
  const method = `\`SEARCH TEXT "${RARE_WORD.word}"\`, a word of every ${RARE_WORD.every}th message; of Dovecot's index the making is not counted`;
  const figures: Figure[] = [];
  for (const theirs of [plain, indexed]) {
    const sides = [ours, theirs] as const;
    const clients = new Map<Side, ImapClient>();
    for (const side of sides) clients.set(side, await connectImap(side.port, reader, password));
    const search = (side: Side) => clients.get(side)!.ask(`SEARCH TEXT "${RARE_WORD.word}"`);
    const answers: string[] = [];
    for (const side of sides) {
      await clients.get(side)!.run('SELECT INBOX');
      answers.push(await search(side));
    }
    sameNumber('SEARCH TEXT', answers);
    figures.push(
      ...(await compared({ what: `text search, ${messages} messages`, method }, sides, 3, async (side) => {
        await search(side);
      })),
    );
    for (const client of clients.values()) client[Symbol.dispose]();
  }
  return figures;
}

/** Commands per second of fifty sessions, each in a mailbox of its own. */
async function busySessions(sides: Sides): Promise<Figure[]> {
  const clients = new Map<Side, ImapClient[]>();
  for (const side of sides) {
    const own = await Promise.all(
      workers.map(async (login, n) => {
        const client = await connectImap(side.port, login, password);
        await client.append(
          'INBOX',
          Array.from({ length: perWorker }, (_, i) => letter(1_000_000 + n * perWorker + i, size)),
        );
        await client.run('SELECT INBOX');
        return client;
      }),
    );
    clients.set(side, own);
  }
  const rates = new Map<Side, number[]>(sides.map((side) => [side, []]));
  const costs = new Map<Side, number[]>(sides.map((side) => [side, []]));
  for (let turn = 0; turn < turns; turn++)
    for (const side of inTurn(sides, turn)) {
      const before = await processorTime(side.pid);
      const begun = performance.now();
      const until = begun + busyMs;
      const counts = await Promise.all(
        clients.get(side)!.map((client, n) => work(client, side.sent, n, until)),
      );
      const done = counts.reduce((a, b) => a + b, 0);
      rates.get(side)!.push(done / ((performance.now() - begun) / 1000));
      costs.get(side)!.push(((await processorTime(side.pid)) - before) / done);
    }
  for (const own of clients.values()) for (const client of own) client[Symbol.dispose]();
  const [ours, theirs] = sides.map((side) => median(rates.get(side)!)) as [number, number];
  const [ourCost, theirCost] = sides.map((side) => median(costs.get(side)!)) as [number, number];
  const method =
    `50 sessions, each in an INBOX of ${perWorker} messages, each sends the next command when the last is answered: NOOP, ` +
    'FETCH of flags, envelopes and structures, chosen header fields and whole messages, STORE, STATUS, SEARCH. ' +
    `${turns} turns of ${busyMs / 1000} s each; medians. Processor time: that of the server's processes`;
  const what = 'commands of 50 busy sessions';
  return [
    { what: `${what}, gateway`, value: ours, unit: 'commands/s', method },
    { what: `${what}, Dovecot`, value: theirs, unit: 'commands/s', method },
    ratio(what, ours / theirs, true, method),
    { what: `${what}, processor time of both`, value: theirCost / ourCost, unit: '×', method },
  ];
}

/** Works until then; number of commands. */
async function work(client: ImapClient, sent: string, seed: number, until: number): Promise<number> {
  let done = 0;
  for (let n = seed; performance.now() < until; n++) {
    const uid = 1 + (n % perWorker);
    for (const command of [
      'NOOP',
      `UID FETCH ${uid}:* (FLAGS)`,
      `UID FETCH ${uid} (ENVELOPE BODYSTRUCTURE RFC822.SIZE INTERNALDATE)`,
      `UID FETCH ${uid} (BODY.PEEK[HEADER.FIELDS (From To Subject Date Message-ID)])`,
      `UID FETCH ${uid} (BODY.PEEK[])`,
      `UID STORE ${uid} ${n % 2 ? '+' : '-'}FLAGS (\\Flagged)`,
      `STATUS ${sent} (MESSAGES UIDNEXT UNSEEN)`,
      `UID SEARCH UID ${uid}:* UNSEEN`,
    ]) {
      await client.run(command);
      done++;
    }
  }
  return done;
}

/** From the commit of a new message to the notice at a session that idles. */
async function notices(sides: Sides): Promise<Figure[]> {
  const method =
    'one session appends, another idles in the same mailbox; from the OK of the APPEND to the first byte of the notice, 0 where ' +
    'that is first; 20 messages, in turns of 5';
  const waits = new Map<Side, number[]>(sides.map((side) => [side, []]));
  for (let turn = 0; turn < 4; turn++)
    for (const side of inTurn(sides, turn)) {
      using writer = await connectImap(side.port, workers[0]!, password);
      using idler = await connectImap(side.port, workers[0]!, password);
      await idler.run('SELECT INBOX');
      await idler.idle();
      for (let n = 0; n < 5; n++) {
        const noticed = idler.notice();
        await writer.append('INBOX', [letter(2_000_000 + n, size)]);
        const committed = performance.now();
        waits.get(side)!.push(Math.max(0, (await noticed) - committed));
      }
    }
  const figures = sides.map((side) => ({
    what: `commit to IDLE notice, longest of 20, ${side.name}`,
    value: Math.max(...waits.get(side)!),
    unit: 'ms',
    method,
  }));
  const [ours] = figures;
  return [{ ...ours!, goal: { text: 'under 50 ms', reached: ours!.value < 50 } }, ...figures.slice(1)];
}

/** Memory that a thousand idle sessions take, and when the last of them hears of a new message. */
async function idleSessions(sides: Sides, messages: number): Promise<Figure[]> {
  const figures: Figure[] = [];
  const method =
    `${idlers} sessions, half of them in one INBOX of ${messages}, the others in those of ${workers.length} users; proportional set ` +
    'size of the server’s processes, that before the first of them taken off';
  const told = 'from the OK of an APPEND to the notice at the last of those in the one INBOX';
  for (const side of sides) {
    {
      // Warmed up: what the first sessions load stays for all.
      using first = await connectImap(side.port, reader, password);
      await first.run('SELECT INBOX');
    }
    const before = await residentBytes(side.pid);
    const clients: ImapClient[] = [];
    try {
      for (let from = 0; from < idlers; from += 20)
        clients.push(...(await Promise.all(Array.from({ length: 20 }, (_, n) => idler(side, from + n)))));
      const taken = (await residentBytes(side.pid)) - before;
      const goal = { text: 'under 150 MB', reached: taken < 150e6 };
      figures.push({
        what: `memory of ${idlers} idle sessions, ${side.name}`,
        value: taken / 1e6,
        unit: 'MB',
        ...(side === sides[0] && { goal }),
        method,
      });
      using writer = await connectImap(side.port, reader, password);
      const last = Promise.all(clients.filter((_, n) => n % 2 === 0).map((client) => client.notice()));
      await writer.append('INBOX', [letter(3_000_000, size)]);
      const committed = performance.now();
      figures.push({
        what: `commit to the last of ${idlers / 2} IDLE notices, ${side.name}`,
        value: Math.max(0, Math.max(...(await last)) - committed),
        unit: 'ms',
        method: told,
      });
    } finally {
      for (const client of clients) client[Symbol.dispose]();
    }
  }
  return figures;
}

async function idler(side: Side, n: number): Promise<ImapClient> {
  const login = n % 2 === 0 ? reader : workers[n % workers.length]!;
  const client = await connectImap(side.port, login, password);
  await client.run('SELECT INBOX');
  await client.idle();
  return client;
}

type Sides = readonly [Side, Side];

/** Runs both sides in turns and compares medians of the time it took. */
async function compared(
  { what, method, goal = false }: { what: string; method: string; goal?: boolean },
  sides: Sides,
  times: number,
  measure: (side: Side) => Promise<void>,
): Promise<Figure[]> {
  const taken = new Map<Side, number[]>(sides.map((side) => [side, []]));
  const costs = new Map<Side, number[]>(sides.map((side) => [side, []]));
  for (let turn = 0; turn < times; turn++)
    for (const side of inTurn(sides, turn)) {
      const before = await processorTime(side.pid);
      const begun = performance.now();
      await measure(side);
      taken.get(side)!.push(performance.now() - begun);
      costs.get(side)!.push((await processorTime(side.pid)) - before);
    }
  const [ours, theirs] = sides.map((side) => median(taken.get(side)!)) as [number, number];
  const [ourCost, theirCost] = sides.map((side) => median(costs.get(side)!)) as [number, number];
  const peer = sides[1].name;
  const whole = `${method}; ${times === 1 ? 'once' : `${times} turns, medians`}. Processor time: ${Math.round(ourCost)} ms and ${Math.round(theirCost)} ms`;
  return [
    { what: `${what}, gateway`, value: ours, unit: 'ms', method: whole },
    { what: `${what}, ${peer}`, value: theirs, unit: 'ms', method: whole },
    ratio(`${what} beside ${peer}`, theirs / ours, goal, whole),
  ];
}

/** How many times as fast as the other side. */
function ratio(what: string, value: number, goal: boolean, method: string): Figure {
  return {
    what: `${what}, ratio`,
    value,
    unit: '×',
    ...(goal && { goal: { text: 'at least 1', reached: value >= 1 } }),
    method,
  };
}

function inTurn(sides: Sides, turn: number): readonly Side[] {
  return turn % 2 === 0 ? sides : sides.toReversed();
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}

function pinned(name: string): Promise<string> {
  return readFile(join(import.meta.dirname, 'dovecot', name), 'utf8');
}
