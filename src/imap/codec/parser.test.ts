import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Command } from './command.ts';
import { createParser, type ParserEvent, strangerLimits, userLimits } from './parser.ts';
import { STAR } from './sequence.ts';

/** Every event of a stream; APPENDs are accepted, data is joined. */
function events(chunks: Iterable<string | Buffer>, limits = userLimits): ParserEvent[] {
  const parser = createParser(limits);
  const found: ParserEvent[] = [];
  for (const chunk of chunks) {
    parser.push(typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : chunk);
    for (let event = parser.next(); event; event = parser.next()) {
      const last = found.at(-1);
      if (event.kind === 'data' && last?.kind === 'data')
        found[found.length - 1] = { kind: 'data', bytes: Buffer.concat([last.bytes, event.bytes]) };
      else found.push(event);
      if (event.kind === 'append') parser.accept();
    }
  }
  return found;
}

function command(text: string): Command {
  const [event, ...rest] = events([`${text}\r\n`]).filter(({ kind }) => kind !== 'continue');
  expect(rest).toEqual([]);
  if (event?.kind !== 'command') throw new Error(`no command: ${JSON.stringify(event)}`);
  return event.command;
}

function bad(text: string): string {
  const [event] = events([`${text}\r\n`]);
  if (event?.kind !== 'bad') throw new Error(`not refused: ${JSON.stringify(event)}`);
  return event.text;
}

describe('commands', () => {
  test.each<[string, Record<string, unknown>]>([
    ['a1 noop', { tag: 'a1', name: 'NOOP' }],
    ['a.1 LOGOUT ', { tag: 'a.1', name: 'LOGOUT' }],
    ['a LOGIN erika "pass \\"word\\""', { name: 'LOGIN', user: 'erika', password: 'pass "word"' }],
    ['a LOGIN {5}\r\nerika {3}\r\na b', { name: 'LOGIN', user: 'erika', password: 'a b' }],
    ['a LOGIN erika {0+}\r\n', { password: '' }],
    ['a LOGIN jürgen p\xc3\xa4ss'.replace('ü', '\xc3\xbc'), { user: 'jürgen', password: 'päss' }],
    ['a AUTHENTICATE PLAIN', { mechanism: 'PLAIN', initial: null }],
    ['a AUTHENTICATE plain AGEAYg==', { mechanism: 'PLAIN', initial: 'AGEAYg==' }],
    ['a AUTHENTICATE PLAIN =', { initial: '=' }],
    ['a ID NIL', { params: [] }],
    [
      'a ID ("name" "x" "version" NIL)',
      {
        params: [
          ['name', 'x'],
          ['version', null],
        ],
      },
    ],
    ['a ENABLE CONDSTORE utf8=accept', { capabilities: ['CONDSTORE', 'UTF8=ACCEPT'] }],
    ['a SELECT inbox', { name: 'SELECT', mailbox: 'INBOX', condstore: false }],
    ['a EXAMINE Entw&APw-rfe (CONDSTORE)', { name: 'EXAMINE', mailbox: 'Entwürfe', condstore: true }],
    ['a SELECT "Entw\xc3\xbcrfe"', { mailbox: 'Entwürfe' }],
    ['a RENAME Inbox/a "b c"', { from: 'INBOX/a', to: 'b c' }],
    ['a LIST "" *', { reference: '', patterns: ['*'], extended: false, status: null }],
    ['a LIST "" ""', { patterns: [''] }],
    ['a LIST (SUBSCRIBED) "" "*" RETURN (SPECIAL-USE)', { select: ['SUBSCRIBED'], returns: ['SPECIAL-USE'] }],
    [
      'a LIST "" (INBOX "Ge%") RETURN (CHILDREN STATUS (MESSAGES UNSEEN))',
      { patterns: ['INBOX', 'Ge%'], returns: ['CHILDREN'], status: ['MESSAGES', 'UNSEEN'] },
    ],
    ['a LSUB "" %', { name: 'LSUB', pattern: '%' }],
    ['a STATUS x (messages size)', { items: ['MESSAGES', 'SIZE'] }],
    ['a COPY 1:* x', { uid: false, set: [[1, STAR]], mailbox: 'x' }],
    [
      'a UID MOVE 3,5:9 x',
      {
        name: 'MOVE',
        uid: true,
        set: [
          [3, 3],
          [5, 9],
        ],
      },
    ],
    ['a UID EXPUNGE 4', { name: 'UID EXPUNGE', set: [[4, 4]] }],
    ['a STORE 1 FLAGS (\\seen)', { op: 'replace', silent: false, flags: ['\\Seen'], unchangedSince: null }],
    ['a STORE 1 +flags.silent \\Deleted $Done', { op: 'add', silent: true, flags: ['\\Deleted', '$Done'] }],
    ['a UID STORE 1 (UNCHANGEDSINCE 12) -FLAGS ()', { op: 'remove', flags: [], unchangedSince: 12 }],
    ['a FETCH 1 FAST', { items: [{ item: 'FLAGS' }, { item: 'INTERNALDATE' }, { item: 'RFC822.SIZE' }] }],
    [
      'a FETCH 1 (UID MODSEQ) (CHANGEDSINCE 7)',
      { items: [{ item: 'UID' }, { item: 'MODSEQ' }], changedSince: 7 },
    ],
  ])('%s', (text, expected) => expect(command(text)).toMatchObject(expected));

  test.each<[string, Record<string, unknown>]>([
    ['BODY[]', { peek: false, section: { part: [], what: 'ALL', fields: [] }, partial: null }],
    ['BODY.PEEK[HEADER]', { peek: true, section: { part: [], what: 'HEADER', fields: [] } }],
    ['BODY[1.2.MIME]', { section: { part: [1, 2], what: 'MIME', fields: [] } }],
    [
      'BODY[4]<100.50>',
      { section: { part: [4], what: 'ALL', fields: [] }, partial: { from: 100, count: 50 } },
    ],
    [
      'BODY[2.HEADER.FIELDS (From "To")]',
      { section: { part: [2], what: 'HEADER.FIELDS', fields: ['From', 'To'] } },
    ],
    ['BODY[HEADER.FIELDS.NOT (X)]', { section: { part: [], what: 'HEADER.FIELDS.NOT', fields: ['X'] } }],
    ['RFC822', { legacy: 'RFC822', peek: false, section: { part: [], what: 'ALL', fields: [] } }],
    ['RFC822.HEADER', { legacy: 'RFC822.HEADER', peek: true }],
  ])('FETCH %s', (text, item) => {
    expect(command(`a FETCH 1 ${text}`)).toMatchObject({ items: [{ item: 'SECTION', ...item }] });
  });

  test.each<[string, unknown]>([
    ['ALL', { key: 'all' }],
    ['UNSEEN', { key: 'flag', flag: '\\Seen', set: false }],
    ['KEYWORD $Done', { key: 'flag', flag: '$Done', set: true }],
    ['1:3', { key: 'sequence', set: [[1, 3]] }],
    ['UID 7', { key: 'uid', set: [[7, 7]] }],
    ['SINCE 1-Feb-1994', { key: 'since', sent: false, day: 8797 }],
    ['SENTON "01-Feb-1994"', { key: 'on', sent: true, day: 8797 }],
    ['SUBJECT "a b"', { key: 'envelope', field: 'subject', text: 'a b' }],
    ['HEADER Message-ID <x@y>', { key: 'header', field: 'message-id', text: '<x@y>' }],
    ['CHARSET utf-8 TEXT {2+}\r\n\xc3\xa4', { key: 'text', text: 'ä' }],
    ['CHARSET ISO-8859-1 TEXT "\xe4"', { key: 'text', text: 'ä' }],
    [
      'NOT OR SEEN (ANSWERED LARGER 5)',
      {
        key: 'not',
        operand: {
          key: 'or',
          left: { key: 'flag', flag: '\\Seen', set: true },
          right: {
            key: 'and',
            keys: [
              { key: 'flag', flag: '\\Answered', set: true },
              { key: 'larger', size: 5 },
            ],
          },
        },
      },
    ],
    ['MODSEQ "/flags/\\\\Draft" all 62', { key: 'modseq', modseq: 62 }],
  ])('SEARCH %s', (text, key) => expect(command(`a UID SEARCH ${text}`)).toMatchObject({ key }));

  test('an unknown charset is told from a known one', () => {
    expect(command('a SEARCH CHARSET x-foo ALL')).toMatchObject({ charset: 'X-FOO', charsetKnown: false });
  });

  test.each([
    ['a', 'expected a space'],
    ['a FOO', 'FOO is not a command'],
    ['a NOOP x', 'unexpected text'],
    ['a LOGIN x', 'expected a space'],
    ['a LOGIN "x y', 'not closed'],
    ['a SELECT &AGE-', 'modified UTF-7'],
    ['a FETCH 0 FLAGS', 'sequence set'],
    ['a FETCH 1 ()', 'FETCH needs an item'],
    ['a FETCH 1 (ALL)', 'not known'],
    ['a FETCH 1 BODY[1.FOO]', 'section FOO'],
    ['a FETCH 1 BODY[]<0.0>', 'at least one byte'],
    ['a UID UID', 'UID UID'],
    ['a APPEND x', 'malformed'],
    ['a SEARCH (', 'expected'],
    [`a SEARCH ${'NOT '.repeat(60)}ALL`, 'too deeply'],
    ['a toString x', 'not a command'],
    ['a UID constructor x', 'not a command'],
  ])('%s is refused', (text, reason) => expect(bad(text)).toContain(reason));

  test('a refusal names the tag, and the next command is understood', () => {
    expect(events(['a1 FOO\r\na2 NOOP\r\n'])).toMatchObject([
      { kind: 'bad', tag: 'a1', fatal: false },
      { kind: 'command', command: { tag: 'a2' } },
    ]);
  });

  test('bare LF ends a line; empty lines ask for nothing', () => {
    expect(events(['\r\na NOOP\n\n'])).toMatchObject([{ kind: 'command', command: { name: 'NOOP' } }]);
  });
});

describe('literals', () => {
  test('a synchronising literal is asked for, a non-synchronising one is not', () => {
    expect(events(['a LOGIN {1}\r\n'])).toEqual([{ kind: 'continue' }]);
    expect(events(['a LOGIN {1+}\r\n'])).toEqual([]);
  });

  test('a marker inside a quoted string is none', () => {
    expect(bad('a LOGIN "x {5}')).toContain('not closed');
    expect(command('a LOGIN "x {5}" "y{1}"')).toMatchObject({ user: 'x {5}', password: 'y{1}' });
  });

  test('a literal beyond the limit is refused before a byte of it is taken', () => {
    expect(events(['a LOGIN {9000}\r\nb NOOP\r\n'], strangerLimits)).toMatchObject([
      { kind: 'bad', tag: 'a', fatal: false },
      { kind: 'command', command: { tag: 'b' } },
    ]);
    expect(events(['a LOGIN {9000+}\r\n'], strangerLimits)).toMatchObject([{ kind: 'bad', fatal: true }]);
  });

  test('an unwanted non-synchronising literal is thrown away with the rest of its command', () => {
    const size = userLimits.command + 1;
    expect(events([`a LOGIN {${size}+}\r\n${'x'.repeat(size)} {2+}\r\nyy\r\nb NOOP\r\n`])).toMatchObject([
      { kind: 'bad', tag: 'a', fatal: false },
      { kind: 'command', command: { tag: 'b' } },
    ]);
  });

  test('a line without end is fatal', () => {
    expect(events(['x'.repeat(strangerLimits.line + 1)], strangerLimits)).toMatchObject([
      { kind: 'bad', fatal: true },
    ]);
  });
});

describe('APPEND', () => {
  test('the message is passed on, not collected', () => {
    const stream = 'a APPEND Gesendet (\\Seen) " 1-Feb-2024 10:00:00 +0100" {5+}\r\nab\r\nc\r\nb NOOP\r\n';
    expect(events([stream])).toEqual([
      {
        kind: 'append',
        append: {
          tag: 'a',
          mailbox: 'Gesendet',
          flags: ['\\Seen'],
          internalDate: Date.parse('2024-02-01T09:00:00Z'),
          size: 5,
          synchronising: false,
        },
      },
      { kind: 'data', bytes: Buffer.from('ab\r\nc') },
      { kind: 'append-end' },
      { kind: 'command', command: { tag: 'b', name: 'NOOP' } },
    ]);
  });

  test('the mailbox may be a literal too', () => {
    expect(events(['a APPEND {5+}\r\nINBOX {1+}\r\nx\r\n'])).toMatchObject([
      { kind: 'append', append: { mailbox: 'INBOX', size: 1 } },
      { kind: 'data' },
      { kind: 'append-end' },
    ]);
  });

  test('refused: a client that waits sends nothing, one that does not wait is read past', () => {
    for (const [literal, message] of [
      ['{5}', ''],
      ['{5+}', 'xxxxx\r\n'],
    ]) {
      const parser = createParser(userLimits);
      parser.push(Buffer.from(`a APPEND x ${literal}\r\n${message}b NOOP\r\n`));
      expect(parser.next()).toMatchObject({ kind: 'append' });
      expect(parser.next()).toBeNull();
      parser.refuse();
      expect(parser.next()).toMatchObject({ kind: 'command', command: { tag: 'b' } });
    }
  });

  test('text after the message is refused', () => {
    expect(events(['a APPEND x {1+}\r\ny z\r\n']).at(-1)).toMatchObject({
      kind: 'bad',
      tag: 'a',
      fatal: false,
    });
  });
});

test('expectLine takes the next line as it stands', () => {
  const parser = createParser(userLimits);
  parser.expectLine();
  parser.push(Buffer.from('DONE\r\na NOOP\r\n'));
  expect(parser.next()).toEqual({ kind: 'line', line: 'DONE' });
  expect(parser.next()).toMatchObject({ kind: 'command' });
});

const session = [
  'a1 LOGIN {5+}\r\nerika "pa\\"ss"\r\n',
  'a2 SELECT "Entw&APw-rfe" (CONDSTORE)\r\n',
  'a3 UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS ({4+}\r\nFrom To)]<0.20>)\r\n',
  'a4 APPEND INBOX (\\Seen) {12+}\r\nA: b\r\n\r\nx\r\ny\r\n',
  'a5 FOO {3+}\r\nxyz bar\r\n',
  'a6 SEARCH CHARSET UTF-8 OR TEXT {2+}\r\n\xc3\xa4 NOT 1:3\r\n',
].join('');

test('any split of a stream gives the same events', () => {
  const whole = events([session]);
  expect(whole.map(({ kind }) => kind)).toEqual([
    'command',
    'command',
    'command',
    'append',
    'data',
    'append-end',
    'bad',
    'command',
  ]);
  for (let at = 0; at <= session.length; at++)
    expect(events([session.slice(0, at), session.slice(at)])).toEqual(whole);
  expect(events(session)).toEqual(whole);
});

const pieces = fc.constantFrom(
  'a ',
  '\r\n',
  '\n',
  ' ',
  '(',
  ')',
  '"',
  '\\',
  '{3}',
  '{3+}',
  '{99999999999+}',
  '{0+}\r\n',
  '\0',
  '\xff',
  'LOGIN ',
  'FETCH ',
  'UID ',
  'SEARCH ',
  'APPEND x ',
  'STORE ',
  '1:*',
  ',',
  'BODY[',
  ']',
  '<0.1>',
  'NOT ',
  'OR ',
  '&',
  '-',
  'LIST ',
  'RETURN ',
);

test('total: any bytes, in any pieces, give events and never an exception', () => {
  const chunk = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    pieces,
  );
  fc.assert(
    fc.property(
      fc.array(chunk, { maxLength: 60 }),
      fc.constantFrom(strangerLimits, userLimits),
      (chunks, limits) => {
        for (const event of events(chunks, limits)) expect(event.kind).toBeTypeOf('string');
      },
    ),
    { numRuns: 2000 },
  );
});

test('memory is bounded by the limits however slowly the bytes come', () => {
  const parser = createParser(strangerLimits);
  let fatal = false;
  for (let count = 0; count < 3 * strangerLimits.line && !fatal; count++) {
    parser.push(Buffer.from('x'));
    const event = parser.next();
    fatal = event?.kind === 'bad' && event.fatal;
    expect(parser.buffered).toBeLessThanOrEqual(strangerLimits.line + 1);
  }
  expect(fatal).toBe(true);
});
