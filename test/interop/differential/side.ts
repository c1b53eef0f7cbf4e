/** One session with one server, and what its client must believe after each answer. */
import { openRawClient, type RawClient } from '../../../src/imap/testing/raw-client.ts';
import { type Response, readResponse, type Value } from './response.ts';

/** A message as the client knows it; null: it was not told. */
interface Known {
  uid: string | null;
  flags: string | null;
}

export type Picture = readonly Readonly<Known>[] | null;

export interface Reply {
  /** OK, NO, BAD, or `closed`. */
  readonly status: string;
  readonly code: string | null;
  /** Answers to the command, by what they answer, each normalised. */
  readonly answers: Readonly<Record<string, Value>>;
  /** The selected mailbox as the client must believe it is. */
  readonly picture: Picture;
  readonly raw: readonly string[];
}

export interface Side {
  run(command: string): Promise<Reply>;
  /** Sends IDLE and waits until the server idles, or refuses. */
  idle(): Promise<Reply | null>;
  done(): Promise<Reply>;
  close(): void;
}

/** Logs in; `highest` collects the HIGHESTMODSEQs that this server told, for commands that quote one. */
export async function openSide(
  port: number,
  authority: string,
  login: readonly [string, string],
  highest: number[],
): Promise<Side> {
  const client = await openRawClient(port, authority);
  const state: State = { messages: null, recent: '0', modseqs: new Map(), highest, opening: false };
  let count = 0;
  await readResponse(client);
  const run = async (command: string): Promise<Reply> => {
    const tag = `t${++count}`;
    client.send(`${tag} ${command}\r\n`);
    return answerOf(client, tag, command, state);
  };
  const entered = await run(`LOGIN ${login.join(' ')}`);
  if (entered.status !== 'OK') throw new Error(entered.raw.join('\n'));
  return {
    run: (command) =>
      run(
        command.replace(/<modseq(\+1)? (\d+)>/g, (_, above, back) =>
          String(quoted(highest, Number(back)) + (above ? 1 : 0)),
        ),
      ),
    async idle() {
      const tag = `t${++count}`;
      client.send(`${tag} IDLE\r\n`);
      const reply = await answerOf(client, tag, 'IDLE', state, true);
      return reply.status === 'idling' ? null : reply;
    },
    done() {
      client.send('DONE\r\n');
      return answerOf(client, `t${count}`, 'IDLE', state);
    },
    close: () => client.destroy(),
  };
}

function quoted(highest: readonly number[], back: number): number {
  return highest[highest.length - 1 - (back % Math.max(1, highest.length))] ?? 1;
}

interface State {
  messages: Known[] | null;
  recent: string;
  /** The last modseq told of a UID: it never falls. */
  readonly modseqs: Map<string, number>;
  /** As SELECT and STATUS tell it: both servers at the same commands. */
  readonly highest: number[];
  opening: boolean;
}

async function answerOf(
  client: RawClient,
  tag: string,
  command: string,
  state: State,
  untilContinued = false,
): Promise<Reply> {
  const raw: string[] = [];
  const answers: Record<string, Value> = {};
  const fetched = new Map<Known, Record<string, Value>>();
  const before = state.messages;
  const opens = /^(SELECT|EXAMINE) /i.test(command);
  state.opening = opens;
  if (opens) {
    state.messages = null;
    state.modseqs.clear();
  }
  for (;;) {
    const response = await readResponse(client);
    if (response === null) return { status: 'closed', code: null, answers, picture: null, raw };
    raw.push(response.raw);
    if (response.tag === '+') {
      if (untilContinued) return { status: 'idling', code: null, answers, picture: picture(state), raw };
      continue;
    }
    if (response.tag === tag) {
      if (/^(CLOSE|UNSELECT)$/i.test(command) && response.name === 'OK') state.messages = null;
      if (opens && response.name !== 'OK') state.messages = null;
      const places = [...(state.messages ?? []), ...(before ?? [])];
      for (const [known, items] of response.name === 'OK' ? fetched : []) {
        const shown = requested(command, items);
        if (Object.keys(shown).length > 0)
          answers[`FETCH ${places.indexOf(known) + 1}`] = Object.entries(shown).toSorted() as Value;
      }
      return { status: response.name, code: codeText(response.code), answers, picture: picture(state), raw };
    }
    take(response, state, answers, fetched);
  }
}

/** One untagged response: into the picture, or among the answers. */
function take(
  response: Response,
  state: State,
  answers: Record<string, Value>,
  fetched: Map<Known, Record<string, Value>>,
): void {
  const { name, number, values } = response;
  switch (name) {
    case 'EXISTS':
      state.messages ??= [];
      if (number! < state.messages.length) throw new Error(`EXISTS took messages away: ${response.raw}`);
      while (state.messages.length < number!) state.messages.push({ uid: null, flags: null });
      return;
    case 'RECENT':
      state.recent = String(number);
      return;
    case 'EXPUNGE':
      if (!state.messages?.[number! - 1]) throw new Error(`no such message: ${response.raw}`);
      state.messages.splice(number! - 1, 1);
      return;
    case 'FETCH': {
      const known = state.messages?.[number! - 1];
      if (!known) throw new Error(`no such message: ${response.raw}`);
      const items = fetched.get(known) ?? {};
      fetched.set(known, items);
      const pairs = values[0] as readonly Value[];
      for (let at = 0; at < pairs.length; at += 2) items[itemName(pairs[at] as string)] = pairs[at + 1]!;
      learn(known, items, state);
      return;
    }
    case 'OK':
    case 'NO':
      if (response.code) answers[`code ${String(response.code[0])}`] = codeText(response.code);
      if (response.code?.[0] === 'HIGHESTMODSEQ' && state.opening)
        state.highest.push(Number(response.code[1]));
      return;
    case 'FLAGS':
      answers.FLAGS = sorted(values[0] as readonly Value[]);
      return;
    case 'LIST':
    case 'LSUB':
      answers[`${name} ${String(values[2])}`] = [
        sorted(values[0] as readonly Value[]),
        values[1]!,
        values[3] ?? null,
      ];
      return;
    case 'STATUS':
      answers[`STATUS ${String(values[0]).replace(/^inbox$/i, 'INBOX')}`] = status(
        values[1] as readonly Value[],
        state,
      );
      return;
    case 'SEARCH':
      answers.SEARCH = values.map((value) => (Array.isArray(value) ? '(MODSEQ #)' : value));
      return;
    case 'ESEARCH':
      answers.ESEARCH = values.slice(1).map((value, at, all) => (all[at - 1] === 'MODSEQ' ? '#' : value));
      return;
    default:
      answers[name] = values;
  }
}

function learn(known: Known, items: Readonly<Record<string, Value>>, state: State): void {
  if (typeof items.UID === 'string') known.uid = items.UID;
  if (items.FLAGS) known.flags = String(sorted(items.FLAGS as readonly Value[]));
  if (items.MODSEQ && known.uid !== null) {
    const modseq = Number((items.MODSEQ as readonly string[])[0]);
    if (modseq < (state.modseqs.get(known.uid) ?? 0)) throw new Error(`the modseq of UID ${known.uid} fell`);
    state.modseqs.set(known.uid, modseq);
  }
}

/** What the command asked of a message: the rest was told along and went into the picture. */
function requested(command: string, items: Readonly<Record<string, Value>>): Record<string, Value> {
  const match = /^(?:UID )?FETCH \S+ (.*)$/is.exec(command);
  if (!match) return {};
  const asked = match[1]!.toUpperCase();
  const told: Record<string, Value> = {};
  for (const [name, value] of Object.entries(items)) {
    if (name === 'MODSEQ') {
      if (/MODSEQ|CHANGEDSINCE/.test(asked)) told[name] = '#';
    } else if (name === 'FLAGS') {
      if (/FLAGS|ALL|FAST|FULL/.test(asked)) told[name] = sorted(value as readonly Value[]);
    } else if (name === 'INTERNALDATE') told[name] = String(value).replace(/^ /, '0');
    else if (name !== 'UID') told[name] = value;
  }
  return told;
}

function itemName(name: string): string {
  return name.toUpperCase().replaceAll('"', '');
}

/** Flags and attributes in one case. \\Recent, which RFC 9051 gave up, is left out. */
function sorted(values: readonly Value[]): Value {
  const lower = new Set(values.map((value) => String(value).toLowerCase()));
  lower.delete('\\recent');
  return [...lower].sort();
}

/** Numbers that each server chooses for itself are `#`. */
function codeText(code: readonly Value[] | null): string | null {
  if (code === null) return null;
  const [name, ...rest] = code;
  const upper = String(name).toUpperCase();
  if (upper === 'HIGHESTMODSEQ' || upper === 'UIDVALIDITY') return `${upper} #`;
  if (upper === 'APPENDUID' || upper === 'COPYUID') return [upper, '#', ...rest.slice(1)].join(' ');
  if (upper === 'PERMANENTFLAGS') return `${upper} ${String(sorted(rest[0] as readonly Value[]))}`;
  if (upper === 'CAPABILITY' || upper === 'BADCHARSET') return upper;
  return [upper, ...rest].join(' ');
}

function status(pairs: readonly Value[], state: State): Value {
  const shown: string[] = [];
  for (let at = 0; at < pairs.length; at += 2) {
    const chosen =
      pairs[at] === 'UIDVALIDITY' || pairs[at] === 'HIGHESTMODSEQ' || pairs[at] === 'APPENDLIMIT';
    if (pairs[at] === 'HIGHESTMODSEQ') state.highest.push(Number(pairs[at + 1]));
    shown.push(`${String(pairs[at])} ${chosen ? '#' : String(pairs[at + 1])}`);
  }
  return shown.sort();
}

function picture({ messages }: State): Picture {
  return messages?.map((known) => ({ ...known })) ?? null;
}
