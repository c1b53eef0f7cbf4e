/**
 * Bytes in, events out. Total: any bytes give a command, a `bad`, or a wait for more, in memory bounded by
 * the limits. The owner pulls events one by one, so that it may change the rules between two commands
 * (limits after login, a raw line for a SASL answer or DONE) while pipelined bytes wait unread.
 *
 * The message of an APPEND is never collected: it comes as `append`, then, once the owner accepts, `data`
 * as it arrives, then `append-end`.
 */
import type { AppendHead, Command } from './command.ts';
import { parseAppendHead, parseCommand, tagOf } from './grammar.ts';
import { BadSyntax, scan } from './scanner.ts';

export interface ParserLimits {
  /** Bytes of one line. */
  readonly line: number;
  /** Bytes of a whole command, literals included, the message of an APPEND excluded. */
  readonly command: number;
  /** Largest unwanted non-synchronising literal that is read and thrown away; beyond it, `bad` is fatal. */
  readonly discard: number;
}

/** Before login nothing long has to be said. */
export const strangerLimits: ParserLimits = { line: 8192, command: 8192, discard: 0 };
/** RFC 7162 4 recommends lines of at least 8192; long UID sets of real clients are longer. */
export const userLimits: ParserLimits = { line: 65_536, command: 262_144, discard: 64 * 1024 * 1024 };

export type ParserEvent =
  | { readonly kind: 'command'; readonly command: Command }
  /** A synchronising literal is welcome: write `+ …`. */
  | { readonly kind: 'continue' }
  /** An APPEND up to its message: call `accept` or `refuse`. */
  | { readonly kind: 'append'; readonly append: AppendHead }
  | { readonly kind: 'data'; readonly bytes: Buffer }
  | { readonly kind: 'append-end' }
  /** The line asked for by `expectLine`, as octets. */
  | { readonly kind: 'line'; readonly line: string }
  /** `fatal`: what follows cannot be understood, close the connection. After `append` it also ends the data. */
  | { readonly kind: 'bad'; readonly tag: string | null; readonly text: string; readonly fatal: boolean };

export interface Parser {
  push(chunk: Uint8Array): void;
  /** The next event, or null where more bytes are needed. */
  next(): ParserEvent | null;
  /** The next line is no command: it comes as `line`. */
  expectLine(): void;
  /** After `append`: the message is wanted. */
  accept(): void;
  /** After `append`: the owner has answered the command; its bytes, where they come anyway, are thrown away. */
  refuse(): void;
  setLimits(limits: ParserLimits): void;
  /** Throws away what was received and not yet read (STARTTLS: nothing sent in clear may count after it). */
  discard(): void;
  /** Bytes received and not yet read. */
  readonly buffered: number;
  /** After a fatal `bad`: nothing more will be understood. */
  readonly dead: boolean;
}

type State =
  | { readonly at: 'line' }
  | { readonly at: 'raw' }
  | { readonly at: 'literal'; readonly size: number }
  | { readonly at: 'decision'; readonly append: AppendHead }
  | { readonly at: 'message'; readonly append: AppendHead; left: number; readonly wanted: boolean }
  | { readonly at: 'message-end'; readonly append: AppendHead; readonly wanted: boolean }
  /** Throwing away the rest of a command that was refused. */
  | { readonly at: 'skip'; left: number; readonly bad: ParserEvent }
  | { readonly at: 'dead' };

const LF = 10;
const marker = /(~?)\{(\d{1,20})(\+?)\}$/;

export function createParser(initial: ParserLimits): Parser {
  let limits = initial;
  let state: State = { at: 'line' };
  let lines: string[] = [];
  let literals: Buffer[] = [];
  let spent = 0;
  const input = createInput();

  function reset(): void {
    state = { at: 'line' };
    lines = [];
    literals = [];
    spent = 0;
  }

  function fatal(text: string): ParserEvent {
    const event: ParserEvent = { kind: 'bad', tag: currentTag(), text, fatal: true };
    reset();
    state = { at: 'dead' };
    input.clear();
    return event;
  }

  function currentTag(): string | null {
    return lines[0] === undefined ? null : tagOf(lines[0]);
  }

  /** A line without its CRLF; 'more' where it is not complete, 'long' where it never may be. */
  function takeLine(): string | 'more' | 'long' | { readonly line: string } {
    const end = input.indexOf(LF);
    if (end < 0) return input.size > limits.line ? 'long' : 'more';
    if (end > limits.line) return 'long';
    const bytes = input.take(end + 1);
    // Bare LF is understood as Dovecot and Cyrus do: some scripts send nothing else.
    const stop = end > 0 && bytes[end - 1] === 13 ? end - 1 : end;
    return { line: bytes.toString('latin1', 0, stop) };
  }

  function next(): ParserEvent | null {
    for (;;) {
      const event = step();
      if (event !== 'again') return event;
    }
  }

  function step(): ParserEvent | null | 'again' {
    switch (state.at) {
      case 'dead':
        input.clear();
        return null;
      case 'decision':
        return null;
      case 'line':
      case 'raw':
      case 'message-end':
        return lineStep(state);
      case 'literal': {
        if (input.size < state.size) return null;
        literals.push(Buffer.from(input.take(state.size)));
        state = { at: 'line' };
        return 'again';
      }
      case 'message': {
        if (state.left === 0) {
          state = { at: 'message-end', append: state.append, wanted: state.wanted };
          return 'again';
        }
        if (input.size === 0) return null;
        const bytes = input.take(Math.min(state.left, input.size));
        state.left -= bytes.length;
        return state.wanted ? { kind: 'data', bytes } : 'again';
      }
      case 'skip': {
        if (state.left > 0) {
          if (input.size === 0) return null;
          state.left -= input.take(Math.min(state.left, input.size)).length;
          return 'again';
        }
        return skipLine(state.bad);
      }
    }
  }

  function lineStep(now: State & { at: 'line' | 'raw' | 'message-end' }): ParserEvent | null | 'again' {
    const taken = takeLine();
    if (taken === 'more') return null;
    if (typeof taken === 'string') return fatal('line is too long');
    const { line } = taken;
    if (now.at === 'raw') {
      reset();
      return { kind: 'line', line };
    }
    if (now.at === 'message-end') {
      const { append, wanted } = now;
      reset();
      if (line === '' || line === ' ') return wanted ? { kind: 'append-end' } : 'again';
      // MULTIAPPEND and CATENATE are not offered, so nothing else may follow the message.
      return pendingLiteral(line)
        ? fatal('one message per APPEND')
        : wanted
          ? { kind: 'bad', tag: append.tag, text: 'unexpected text after the message', fatal: false }
          : 'again';
    }
    return commandLine(line);
  }

  function commandLine(line: string): ParserEvent | null | 'again' {
    spent += line.length;
    const literal = pendingLiteral(line);
    lines.push(literal ? line.slice(0, literal.at) : line);
    if (literal) return literalAhead(literal);
    if (spent > limits.command) return bad('command is too long');
    // Many clients send an empty line after an APPEND or on reconnect; it asks for nothing.
    if (lines.length === 1 && line === '') {
      reset();
      return 'again';
    }
    if (lines.some((text) => text.includes('\0'))) return bad('NUL is not allowed');
    try {
      const command = parseCommand(scan(lines, literals));
      reset();
      return { kind: 'command', command };
    } catch (error) {
      if (!(error instanceof BadSyntax)) throw error;
      return bad(error.message);
    }
  }

  function literalAhead(literal: Literal): ParserEvent | null | 'again' {
    const head = literal.binary ? null : parseAppendHead(lines, literals);
    if (head) {
      const append = { ...head, size: literal.size, synchronising: literal.synchronising };
      state = { at: 'decision', append };
      return { kind: 'append', append };
    }
    spent += literal.size;
    if (literal.binary || spent > limits.command) {
      const text = literal.binary ? 'binary literals are not offered' : 'literal is too large';
      if (literal.synchronising) return bad(text);
      if (literal.size > limits.discard) return fatal(text);
      const event: ParserEvent = { kind: 'bad', tag: currentTag(), text, fatal: false };
      state = { at: 'skip', left: literal.size, bad: event };
      return 'again';
    }
    state = { at: 'literal', size: literal.size };
    return literal.synchronising ? { kind: 'continue' } : 'again';
  }

  /** The refused command goes on after a literal that was thrown away, perhaps to the next literal. */
  function skipLine(event: ParserEvent): ParserEvent | null | 'again' {
    const taken = takeLine();
    if (taken === 'more') return null;
    if (typeof taken === 'string') return fatal('line is too long');
    const literal = pendingLiteral(taken.line);
    if (literal && !literal.synchronising) {
      if (literal.size > limits.discard) return fatal('literal is too large');
      state = { at: 'skip', left: literal.size, bad: event };
      return 'again';
    }
    reset();
    return event;
  }

  function bad(text: string): ParserEvent {
    const event: ParserEvent = { kind: 'bad', tag: currentTag(), text, fatal: false };
    reset();
    return event;
  }

  function decide(wanted: boolean): void {
    if (state.at !== 'decision') throw new Error('no APPEND waits for a decision');
    const { append } = state;
    if (!wanted && append.synchronising) reset();
    else state = { at: 'message', append, left: append.size, wanted };
  }

  return {
    push: (chunk) => {
      if (state.at !== 'dead') input.push(chunk);
    },
    next,
    expectLine: () => {
      state = { at: 'raw' };
    },
    accept: () => decide(true),
    refuse: () => decide(false),
    setLimits: (changed) => {
      limits = changed;
    },
    discard: () => {
      input.clear();
      reset();
    },
    get buffered() {
      return input.size;
    },
    get dead() {
      return state.at === 'dead';
    },
  };
}

interface Literal {
  /** Where the marker begins in the line. */
  readonly at: number;
  readonly size: number;
  readonly synchronising: boolean;
  readonly binary: boolean;
}

/** The literal announced at the end of a line; null also where the marker stands inside a quoted string. */
function pendingLiteral(line: string): Literal | null {
  if (!line.endsWith('}')) return null;
  const match = marker.exec(line);
  if (!match) return null;
  let open = false;
  for (let at = 0; at < match.index; at++) {
    const char = line[at];
    if (char === '"') open = !open;
    else if (char === '\\' && open) at++;
  }
  if (open) return null;
  return {
    at: match.index,
    size: Number(match[2]),
    synchronising: match[3] === '',
    binary: match[1] === '~',
  };
}

interface Input {
  push(chunk: Uint8Array): void;
  /** Offset of the byte, or -1. Bytes looked at once are not looked at again. */
  indexOf(byte: number): number;
  /** The first bytes; they stay valid, nothing writes over them later. */
  take(count: number): Buffer;
  clear(): void;
  readonly size: number;
}

/** Received bytes: a chunk is passed on as it is where nothing waits before it, else copied behind what waits. */
function createInput(): Input {
  const nothing = Buffer.alloc(0);
  let store: Buffer = nothing;
  let start = 0;
  let stop = 0;
  let scanned = 0;
  let owned = false;

  return {
    push(chunk) {
      if (chunk.length === 0) return;
      if (start === stop) {
        store = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
        start = scanned = 0;
        stop = store.length;
        owned = false;
        return;
      }
      const needed = stop - start + chunk.length;
      if (!owned || stop + chunk.length > store.length) {
        const grown = Buffer.allocUnsafeSlow(Math.max(1024, 2 * needed));
        store.copy(grown, 0, start, stop);
        scanned -= start;
        stop -= start;
        start = 0;
        store = grown;
        owned = true;
      }
      store.set(chunk, stop);
      stop += chunk.length;
    },
    indexOf(byte) {
      const from = Math.max(scanned, start);
      const found = store.subarray(0, stop).indexOf(byte, from);
      scanned = found < 0 ? stop : found;
      return found < 0 ? -1 : found - start;
    },
    take(count) {
      const bytes = store.subarray(start, start + count);
      start += count;
      if (start === stop) {
        store = nothing;
        start = stop = scanned = 0;
        owned = false;
      }
      return bytes;
    },
    clear() {
      store = nothing;
      start = stop = scanned = 0;
      owned = false;
    },
    get size() {
      return stop - start;
    },
  };
}
