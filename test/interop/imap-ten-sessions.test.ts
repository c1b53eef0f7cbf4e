/**
 * Ten sessions of two users on one shared mailbox, random commands at the same time, and for each session what its client
 * believes: built from what the server says alone, as RFC 3501 5.2 and 7 have it. Nothing said may contradict it, a UID
 * keeps its bytes, and in the end all clients believe the same, which is what the store holds.
 * `TEN_SESSIONS_ROUNDS` runs longer, `TEN_SESSIONS_SEED` something else.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openRawClient, type RawClient } from '../../src/imap/testing/raw-client.ts';
import { ERIKA, type ImapWorld, JAN, openImapWorld, PASSWORD } from '../../src/imap/testing/world.ts';

const rounds = Number(process.env.TEN_SESSIONS_ROUNDS ?? 60);
const seed = Number(process.env.TEN_SESSIONS_SEED ?? 3501);
const box = 'Geteilt/Poststelle';

let world: ImapWorld;
/** UID → body: for ever the same. */
const bodies = new Map<number, string>();
/** Highest UIDVALIDITY seen of the mailbox that is made and deleted all the time. */
let validity = 0;

beforeAll(async () => {
  world = await openImapWorld();
});

afterAll(() => world[Symbol.asyncDispose]());

interface Message {
  uid: number | null;
  flags: string | null;
}

interface Client {
  readonly user: string;
  readonly raw: RawClient;
  readonly messages: Message[];
  readonly keywords: Set<string>;
  modseq: number;
  tags: number;
}

/** mulberry32: the same seed, the same run of commands. */
function random(state: number): (below: number) => number {
  let at = state;
  return (below) => {
    at = (at + 0x6d2b79f5) | 0;
    let mixed = Math.imul(at ^ (at >>> 15), 1 | at);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

async function connect(user: string): Promise<Client> {
  const raw = await openRawClient(world.ports.imaps, world.authority);
  await raw.line();
  const client: Client = { user, raw, messages: [], keywords: new Set(), modseq: 0, tags: 0 };
  await ask(client, `LOGIN ${user} ${PASSWORD}`);
  await ask(client, 'ENABLE CONDSTORE');
  await ask(client, `SELECT ${box}`);
  await ask(client, 'FETCH 1:* (UID FLAGS)');
  return client;
}

/** Gives a command, believes every response, returns the tagged one. */
async function ask(client: Client, command: string): Promise<string> {
  const tag = `t${++client.tags}`;
  client.raw.send(`${tag} ${command}\r\n`);
  for (;;) {
    let line = await client.raw.line();
    if (line === null) throw new Error(`closed after ${command}`);
    let literal: string | null = null;
    for (let size = literalSize(line); size !== null; size = literalSize(line)) {
      literal = await client.raw.octets(size);
      line = line.replace(/\{\d+\}$/, '') + (await client.raw.line());
    }
    if (line.startsWith(`${tag} `)) return line.slice(tag.length + 1);
    believe(client, command, line, literal);
  }
}

function literalSize(line: string): number | null {
  const match = /\{(\d+)\}$/.exec(line);
  return match ? Number(match[1]) : null;
}

function believe(client: Client, command: string, line: string, literal: string | null): void {
  const { messages, keywords } = client;
  const where = `${command} → ${line}`;
  const number = /^\* (\d+) (EXISTS|EXPUNGE|FETCH)/.exec(line);
  if (number?.[2] === 'EXISTS') {
    const count = Number(number[1]);
    if (command.startsWith('SELECT')) messages.length = 0;
    expect(count, where).toBeGreaterThanOrEqual(messages.length);
    while (messages.length < count) messages.push({ uid: null, flags: null });
  } else if (number?.[2] === 'EXPUNGE') {
    // RFC 3501 7.4.1: not while a command speaks in sequence numbers.
    expect(command, where).not.toMatch(/^(FETCH|STORE|SEARCH)/);
    expect(Number(number[1]), where).toBeLessThanOrEqual(messages.length);
    messages.splice(Number(number[1]) - 1, 1);
  } else if (number?.[2] === 'FETCH') {
    expect(Number(number[1]), where).toBeLessThanOrEqual(messages.length);
    fetched(messages, Number(number[1]) - 1, keywords, line, literal, where);
  } else if (line.startsWith('* FLAGS')) {
    for (const flag of flagsIn(line)) keywords.add(flag);
  }
  const modseq = /HIGHESTMODSEQ (\d+)/.exec(line);
  if (modseq && !line.includes('STATUS')) {
    expect(Number(modseq[1]), where).toBeGreaterThanOrEqual(client.modseq);
    client.modseq = Number(modseq[1]);
  }
}

function fetched(
  messages: readonly Message[],
  index: number,
  keywords: ReadonlySet<string>,
  line: string,
  literal: string | null,
  where: string,
): void {
  const message = messages[index]!;
  const uid = /UID (\d+)/.exec(line);
  if (uid) {
    message.uid ??= Number(uid[1]);
    expect(Number(uid[1]), where).toBe(message.uid);
    const before = messages[index - 1]?.uid ?? 0;
    expect(message.uid, where).toBeGreaterThan(before);
    expect(message.uid, where).toBeLessThan(messages[index + 1]?.uid ?? Number.POSITIVE_INFINITY);
  }
  if (line.includes('FLAGS (')) {
    const flags = flagsIn(line);
    for (const flag of flags)
      expect(keywords.has(flag) || flag === '\\Recent', `${where}: ${flag}`).toBe(true);
    message.flags = flags
      .filter((flag) => flag !== '\\Recent')
      .sort()
      .join(' ');
  }
  if (literal === null) return;
  expect(message.uid, where).not.toBeNull();
  const known = bodies.get(message.uid!) ?? literal;
  bodies.set(message.uid!, known);
  expect(literal, where).toBe(known);
}

function flagsIn(line: string): string[] {
  return (/FLAGS \(([^)]*)\)/.exec(line)?.[1] ?? '').split(' ').filter((flag) => flag !== '');
}

function nextCommand(client: Client, pick: (below: number) => number): string {
  const count = client.messages.length;
  const one = count === 0 ? '1' : String(1 + pick(count));
  const set = pick(3) === 0 ? '1:*' : one;
  const text = `Subject: ${pick(1_000_000)}\r\n\r\n${'x'.repeat(pick(2000))}`;
  const flag = ['\\Seen', '\\Flagged', '\\Deleted', '$Done', `k${pick(12)}`][pick(5)]!;
  const candidates = [
    `APPEND ${box} (${flag}) {${text.length}+}\r\n${text}`,
    `STORE ${one} ${['+', '-', ''][pick(3)]}FLAGS (${flag})`,
    `STORE ${one} +FLAGS.SILENT (\\Deleted)`,
    'EXPUNGE',
    'NOOP',
    `COPY ${one} ${box}`,
    `MOVE ${one} ${box}`,
    `FETCH ${set} (UID FLAGS)`,
    `UID FETCH ${1 + pick(40)}:* (FLAGS)`,
    `FETCH ${one} (UID BODY.PEEK[])`,
    `FETCH ${one} (UID BODY[])`,
    `SEARCH KEYWORD ${flag.replace('\\', '')}`,
    'UID SEARCH UNSEEN',
    `STATUS ${box} (MESSAGES UIDNEXT)`,
    'CHECK',
  ];
  return candidates[pick(candidates.length)]!;
}

/** A mailbox that is deleted and made again has a greater UIDVALIDITY. */
async function remake(client: Client): Promise<void> {
  await ask(client, `DELETE ${box}/Neu`);
  expect(await ask(client, `CREATE ${box}/Neu`)).toContain('OK');
  const info = await world.store.mailbox('stadt', { type: 'shared', name: 'Poststelle' }, 'Neu');
  expect(info!.uidValidity).toBeGreaterThan(validity);
  validity = info!.uidValidity;
}

it('no client is told what contradicts it, and all believe the same in the end', async () => {
  const pick = random(seed);
  const clients = await Promise.all(Array.from({ length: 10 }, (_, i) => connect(i % 2 === 0 ? ERIKA : JAN)));
  for (let round = 0; round < rounds; round++) {
    const commands = clients.map((client) => nextCommand(client, pick));
    const answers = await Promise.all(clients.map((client, i) => ask(client, commands[i]!)));
    // What is gone meanwhile may be refused; nothing else may be, and nothing is misunderstood.
    for (const [i, answer] of answers.entries())
      expect(answer, commands[i]).toMatch(/^(OK|NO \[EXPUNGEISSUED\]|BAD No such message)/);
    if (round % 10 === 0) await remake(clients[round % 10]!);
  }
  for (const client of clients) await ask(client, 'NOOP');
  const rows = await Promise.all(
    [ERIKA, JAN].map(async (user) => {
      const info = await world.store.mailbox('stadt', { type: 'shared', name: 'Poststelle' }, 'INBOX');
      return [user, await world.store.messages('stadt', info!.id, user)] as const;
    }),
  );
  for (const client of clients) {
    const believed = client.messages.map(({ uid, flags }) => ({ uid, flags }));
    await ask(client, 'FETCH 1:* (UID FLAGS)');
    // What was believed before is what is said now; what was never told is told now.
    for (const [i, { uid, flags }] of believed.entries()) {
      if (uid !== null) expect(client.messages[i]!.uid).toBe(uid);
      if (flags !== null) expect(client.messages[i]!.flags).toBe(flags);
    }
    const held = new Map(rows).get(client.user)!;
    expect(client.messages).toEqual(
      held.map(({ uid, flags }) => ({ uid, flags: [...flags].sort().join(' ') })),
    );
    client.raw.destroy();
  }
  const info = await world.store.mailbox('stadt', { type: 'shared', name: 'Poststelle' }, 'INBOX');
  expect(Math.max(...bodies.keys())).toBeLessThan(info!.uidNext);
  expect(info!.messages).toBe(rows[0]![1].length);
  expect(info!.bytes).toBe(rows[0]![1].reduce((sum, { size }) => sum + size, 0));
  expect(await world.store.unseenBy('stadt', info!.id, JAN)).toBe(
    rows[1]![1].filter(({ flags }) => !flags.includes('\\Seen')).length,
  );
}, 90_000);
