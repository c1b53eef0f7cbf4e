/** Plays one sequence to both servers and compares after every step. */
import { isDeepStrictEqual } from 'node:util';
import { type Difference, differences } from './differences.ts';
import type { Value } from './response.ts';
import type { Sequence } from './sequences.ts';
import { openSide, type Picture, type Reply, type Side } from './side.ts';

interface Server {
  readonly port: number;
  readonly authority: string;
}
export interface Servers {
  readonly ours: Server;
  readonly theirs: Server;
}

export interface Disagreement {
  readonly command: string;
  /** `status`, `code`, `picture`, or the name of an answer. */
  readonly what: string;
  readonly ours: Value | undefined;
  readonly theirs: Value | undefined;
  /** The whole answers. */
  readonly replies: Replies;
}

interface Replies {
  readonly ours: Reply;
  readonly theirs: Reply;
}
interface Pair {
  readonly ours: Side;
  readonly theirs: Side;
}

export async function compare(
  servers: Servers,
  login: readonly [string, string],
  sequence: Sequence,
): Promise<void> {
  const highest = { ours: [], theirs: [] };
  const history: string[] = [];
  const opened: Pair[] = [];
  const open = async (): Promise<Pair> => {
    // One after the other on either side: the first login makes the mailboxes.
    const [ours, theirs] = await Promise.all([
      openSide(servers.ours.port, servers.ours.authority, login, highest.ours),
      openSide(servers.theirs.port, servers.theirs.authority, login, highest.theirs),
    ]);
    opened.push({ ours, theirs });
    return { ours, theirs };
  };
  try {
    const pairs = [await open(), await open()] as const;
    for (const command of [...sequence.start, 'ENABLE CONDSTORE', 'SELECT INBOX']) {
      history.push(`0: ${command}`);
      if (!(await step(history, pairs[0], command))) return;
    }
    for (const command of ['ENABLE CONDSTORE', 'SELECT INBOX'])
      if (!(await step(history, pairs[1], command))) return;
    let last: number | null = null;
    for (const { session, command, idling } of sequence.steps) {
      history.push(`${session}: ${command}${idling ? ' (the other one idles)' : ''}`);
      const other = pairs[1 - session]!;
      // What the other session did is told now on both sides; when, in the middle of commands, each server chooses.
      if (session !== last && !(await step(history, pairs[session], 'NOOP'))) return;
      last = session;
      if (idling) await both(other, (side) => side.idle());
      const same =
        (await makeSuperiors(history, pairs[session], command)) &&
        (await step(history, pairs[session], command));
      if (!same) return;
      if (idling && !(await agree(history, 'IDLE', other, await both(other, (side) => side.done())))) return;
    }
    const audit = await open();
    for (const command of ['LIST "" *', 'LSUB "" *']) {
      history.push(`audit: ${command}`);
      if (!(await step(history, audit, command))) return;
    }
  } finally {
    for (const { ours, theirs } of opened) {
      ours.close();
      theirs.close();
    }
  }
}

/** The facade makes the superiors of a name as mailboxes, Dovecot as names only: so they are made before. */
async function makeSuperiors(history: readonly string[], pair: Pair, command: string): Promise<boolean> {
  const [, name = ''] = /^(?:CREATE|RENAME \S+) ([^"]\S*)$/.exec(command) ?? [];
  const levels = name.split('/').slice(0, -1);
  for (let depth = 1; depth <= levels.length; depth++) {
    const superior = levels.slice(0, depth).join('/');
    if (!/^(INBOX|Archiv)$/.test(superior) && !(await step(history, pair, `CREATE ${superior}`)))
      return false;
  }
  return true;
}

async function step(history: readonly string[], pair: Pair, command: string): Promise<boolean> {
  return agree(history, command, pair, await both(pair, (side) => side.run(command)));
}

async function both<T>(pair: Pair, act: (side: Side) => Promise<T>): Promise<{ ours: T; theirs: T }> {
  const [ours, theirs] = await Promise.all([act(pair.ours), act(pair.theirs)]);
  return { ours, theirs };
}

/** False where a listed difference ends the sequence. */
async function agree(
  history: readonly string[],
  command: string,
  pair: Pair,
  replies: Replies,
): Promise<boolean> {
  const found = [...disagreements(command, replies)];
  if (found.at(-1)?.what === 'picture') {
    // One of them waits with what it has to tell: for a command that succeeds, or that may tell it.
    found.pop();
    const again = await both(pair, (side) => side.run('NOOP'));
    found.push(...[...disagreements('NOOP', again)].filter(({ what }) => what === 'picture'));
  }
  for (const one of found) {
    const listed = settle(one);
    if (!listed)
      throw new Error(
        [
          `${one.what}:`,
          `  ours:   ${JSON.stringify(one.ours)}`,
          `  theirs: ${JSON.stringify(one.theirs)}`,
          ...history.map((line) => `| ${JSON.stringify(line)}`),
          ...replies.ours.raw.map((line) => `ours   ${JSON.stringify(line)}`),
          ...replies.theirs.raw.map((line) => `theirs ${JSON.stringify(line)}`),
        ].join('\n'),
      );
    if (listed.some(({ ends }) => ends)) return false;
  }
  return true;
}

/** The listed differences that together explain it, or null. */
function settle(found: Disagreement): Difference[] | null {
  const used: Difference[] = [];
  let { ours, theirs } = found;
  for (const difference of differences) {
    const settled = difference.settle({ ...found, ours, theirs });
    if (!settled) continue;
    used.push(difference);
    [ours, theirs] = settled;
    if (isDeepStrictEqual(ours, theirs)) return used;
  }
  return null;
}

function* disagreements(command: string, replies: Replies): Generator<Disagreement> {
  const { ours, theirs } = replies;
  const of = (what: string, left: Value | undefined, right: Value | undefined): Disagreement => ({
    command,
    what,
    ours: left,
    theirs: right,
    replies,
  });
  if (ours.status !== theirs.status) yield of('status', ours.status, theirs.status);
  if (ours.code !== theirs.code) yield of('code', ours.code, theirs.code);
  for (const name of new Set([...Object.keys(ours.answers), ...Object.keys(theirs.answers)]))
    if (!isDeepStrictEqual(ours.answers[name], theirs.answers[name]))
      yield of(name, ours.answers[name], theirs.answers[name]);
  if (!samePicture(ours.picture, theirs.picture))
    yield of('picture', printed(ours.picture), printed(theirs.picture));
}

/** What one of the two clients was not told of a message (`?`) differs from nothing. */
function samePicture(ours: Picture, theirs: Picture): boolean {
  if (ours === null || theirs === null) return ours === theirs;
  const same = (one: string | null, other: string | null) => one === null || other === null || one === other;
  return (
    ours.length === theirs.length &&
    ours.every(({ uid, flags }, at) => same(uid, theirs[at]!.uid) && same(flags, theirs[at]!.flags))
  );
}

function printed(picture: Picture): Value {
  return picture?.map(({ uid, flags }) => `${uid ?? '?'} ${flags ?? '?'}`) ?? null;
}
