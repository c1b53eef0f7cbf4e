/**
 * Nonsense from every state of a connection: whatever comes, the session answers or closes, nothing fails inside, memory
 * stays where it is, and the server serves the next client. Ten thousand inputs; `npm run test:long` plays a million.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openRawClient, type RawClient } from '../../src/imap/testing/raw-client.ts';
import { ERIKA, type ImapWorld, openImapWorld, PASSWORD } from '../../src/imap/testing/world.ts';
import { commands } from '../interop/differential/sequences.ts';
import { commandPieces, saidInTranscripts, wholeCommands } from './imap-commands.ts';
import { mutate, random } from './mutation.ts';

const inputs = Number(process.env.FUZZ_INPUTS ?? 10_000);
const seed = Number(process.env.FUZZ_SEED ?? 20240205);
/** Mailboxes and messages that the inputs leave behind make every LIST and FETCH longer: a new store from time to time. */
const perWorld = 2000;
const limits = { messageSize: 9_000, badCommands: 1_000_000 };

type Next = (below: number) => number;

const login = `LOGIN ${ERIKA} ${PASSWORD}`;
const letter = 'Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n';
const selected = [login, `APPEND INBOX {${letter.length}+}\r\n${letter}`, 'SELECT INBOX'];

interface State {
  readonly name: string;
  /** Answered before the inputs come, and again on every new connection. */
  readonly before: readonly string[];
  /** Said right before each input. */
  readonly opening: string;
  /** Without TLS. */
  readonly plain?: true;
}

const states: readonly State[] = [
  { name: 'not authenticated', before: [], opening: '' },
  { name: 'not authenticated, without TLS', before: [], opening: '', plain: true },
  { name: 'asked for a PLAIN answer', before: [], opening: 'o AUTHENTICATE PLAIN\r\n' },
  { name: 'asked for a password', before: [], opening: 'o AUTHENTICATE LOGIN ZXJpa2E=\r\n' },
  { name: 'not authenticated, inside a literal', before: [], opening: 'o LOGIN {300+}\r\n' },
  { name: 'authenticated', before: [login], opening: '' },
  { name: 'authenticated, idling', before: [login], opening: 'o IDLE\r\n' },
  { name: 'authenticated, inside a message', before: [login], opening: 'o APPEND INBOX {300+}\r\n' },
  { name: 'selected', before: selected, opening: '' },
  { name: 'selected, idling', before: selected, opening: 'o IDLE\r\n' },
  { name: 'selected, inside a literal', before: selected, opening: 'o SEARCH SUBJECT {30+}\r\n' },
  { name: 'selected, asked for a literal', before: selected, opening: 'o CREATE {30}\r\n' },
];

const transcripts = saidInTranscripts().map((text) => Buffer.from(text, 'latin1'));
const whole = wholeCommands.map((text) => Buffer.from(`t ${text}\r\n`, 'latin1'));

/** Spoiled commands, spoiled transcripts, commands by the grammar, and bytes. */
function inputOf(next: Next, grammar: Iterator<string>): string {
  switch (next(8)) {
    case 0: {
      // Not LOGOUT, after which nothing is left to answer.
      const text = mutate(next, transcripts, commandPieces)
        .toString('latin1')
        .replace(/LOGOUT/gi, 'NOOP');
      const from = next(text.length + 1);
      return text.slice(from, from + 600);
    }
    case 1:
    case 2:
      return `t ${String(grammar.next().value).replace(/<modseq[^>]*>/g, '3')}\r\n`;
    case 3:
      return String.fromCharCode(...Array.from({ length: 1 + next(60) }, () => next(256)));
    default:
      return mutate(next, whole, commandPieces).toString('latin1');
  }
}

/** Literals of these sizes are read or thrown away in whole: it would take too long. */
const tooMuch = /\{0*([5-9]\d{5}|[1-9]\d{6,7})\+?\}/;

/** Enough line ends for any literal that was announced and will be read, and to end IDLE and SASL answers. */
function fillerFor(input: string): string {
  const sizes = [...input.matchAll(/\{(\d+)\+?\}/g)].map(([, size]) => Number(size));
  const octets = sizes.reduce((sum, size) => sum + (size < 500_000 ? size : 0) + 4, 8);
  return '\r\n'.repeat(Math.ceil(octets / 2));
}

/** True where the tag was answered, false where the server closed. */
async function answered(client: RawClient, tag: string, input: string): Promise<boolean> {
  for (;;) {
    const line = await client.line().catch((error: Error) => {
      throw new Error(`${error.message} after ${JSON.stringify(input)}`);
    });
    if (line === null) return false;
    if (/\[SERVERBUG\]/.test(line)) throw new Error(`${line} after ${JSON.stringify(input)}`);
    // The rest of the input was thrown away with what came in clear.
    if (line.endsWith(' OK Begin TLS now')) client.send('this is no handshake\r\n');
    if (line.startsWith(`${tag} `)) return true;
  }
}

async function enter(world: ImapWorld, { before, plain }: State): Promise<RawClient> {
  const client = await openRawClient(plain ? world.ports.imap : world.ports.imaps, world.authority, !plain);
  for (const [index, command] of before.entries()) {
    client.send(`s${index} ${command}\r\n`);
    expect(await answered(client, `s${index}`, command)).toBe(true);
  }
  return client;
}

async function play(world: ImapWorld, state: State, next: Next, count: number): Promise<void> {
  const grammar = fc.sample(commands, { numRuns: count, seed: next(2 ** 31) }).values();
  let client: RawClient | null = null;
  for (let index = 0; index < count; index++) {
    if (!client?.open) client = await enter(world, state);
    let input = state.opening + inputOf(next, grammar);
    while (tooMuch.test(input)) input = state.opening + inputOf(next, grammar);
    client.send(`${input}${fillerFor(input)}z${index} NOOP\r\n`);
    if (!(await answered(client, `z${index}`, input))) client = null;
  }
  client?.destroy();
}

/** Bytes of this process that are still in use. */
function inUse(): number {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  gc();
  gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

describe(`${inputs} inputs, seed ${seed}`, () => {
  const perState = Math.ceil(inputs / states.length);
  for (const [at, state] of states.entries()) {
    it(`${state.name}: ${perState} inputs`, async () => {
      const next = random(seed + at);
      let first: number | null = null;
      for (let from = 0; from < perState; from += perWorld) {
        await using world = await openImapWorld(limits);
        const count = Math.min(perWorld, perState - from);
        await play(world, state, next, Math.ceil(count / 2));
        const half = inUse();
        await play(world, state, next, Math.floor(count / 2));
        const fresh = await enter(world, states[5]!);
        fresh.send('b LIST "" *\r\n');
        expect(await answered(fresh, 'b', 'LIST')).toBe(true);
        fresh.destroy();
        expect(inUse() - half, 'bytes more in use').toBeLessThan(16 * 1024 * 1024);
        first ??= half;
        expect(half - first, 'bytes more in use than in the first store').toBeLessThan(32 * 1024 * 1024);
      }
    }, 7_200_000);
  }
});
