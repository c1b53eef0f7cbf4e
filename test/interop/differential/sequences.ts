/** Random command sequences: what clients say, and what none should. */
import fc from 'fast-check';
import { letters } from './letters.ts';

export interface Step {
  /** Which of two sessions of one user says it. */
  readonly session: 0 | 1;
  /**
   * Without its tag. `<modseq n>` stands for a HIGHESTMODSEQ that the server told, n back; `<modseq+1 n>` for one above
   * it: what did not change since has no greater one on either server, and nothing else can be compared.
   */
  readonly command: string;
  /** The other session idles meanwhile. */
  readonly idling: boolean;
}

const one = (...words: readonly string[]) => fc.constantFrom(...words);
const said = (...parts: readonly (string | fc.Arbitrary<string>)[]): fc.Arbitrary<string> =>
  fc
    .tuple(...parts.map((part) => (typeof part === 'string' ? fc.constant(part) : part)))
    .map((all) => all.join(''));
const some = (item: fc.Arbitrary<string>, maxLength = 4): fc.Arbitrary<string> =>
  fc.array(item, { minLength: 1, maxLength }).map((items) => items.join(' '));

const mailbox = one(
  'INBOX',
  'inbox',
  '"Inbox"',
  'a',
  '"a"',
  'a/b',
  'a/b/c',
  'b',
  '"x y"',
  'Gr&APYA3w-e',
  'Archiv',
  'Archiv/2024',
  'INBOX/c',
);
const made = one('a', 'a/b', 'a/b/c', 'b', '"x y"', 'Gr&APYA3w-e', 'Archiv/2024', 'INBOX/c', 'INBOX');
const numbers = one(
  '1',
  '2',
  '3',
  '1:*',
  '*',
  '2:4',
  '*:1',
  '1,3',
  '3:2',
  '7',
  '99:*',
  '1:2,2:3',
  '4294967295',
  '*:*',
  '2,1,2',
);
const flags = one(
  '\\Seen',
  '\\Answered',
  '\\Flagged',
  '\\Deleted',
  '\\Draft',
  '\\seen',
  '$Work',
  'Urgent',
  'urgent',
);
const flagList = fc.oneof(
  some(flags, 3).map((list) => `(${list})`),
  flags,
  fc.constant('()'),
);

const part = one('', '', '1', '2', '3', '1.1', '2.1', '2.2', '2.1.1', '2.2.1', '1.2', '4');
const header = one(
  '(Subject)',
  '(subject FROM)',
  '(X-None)',
  '(Received To Cc)',
  '("Subject")',
  '(Date Message-ID References)',
);
const partial = one('', '', '', '<0.5>', '<3.20>', '<0.100000>', '<100000.5>');
const section = fc
  .tuple(part, one('', 'HEADER', 'TEXT', 'MIME', 'HEADER.FIELDS', 'HEADER.FIELDS.NOT'), header, partial)
  .filter(([number, what]) => what !== 'MIME' || number !== '')
  .map(([number, what, fields, cut]) => {
    const dot = number && what ? '.' : '';
    return `[${number}${dot}${what}${what.startsWith('HEADER.') ? ` ${fields}` : ''}]${cut}`;
  });
const item = fc.oneof(
  one('FLAGS', 'UID', 'INTERNALDATE', 'RFC822.SIZE', 'ENVELOPE', 'BODY', 'BODYSTRUCTURE', 'MODSEQ'),
  one('RFC822', 'RFC822.HEADER', 'RFC822.TEXT'),
  said(one('BODY', 'BODY.PEEK', 'BODY.PEEK', 'body.peek'), section),
);
const items = fc.oneof(
  { weight: 4, arbitrary: some(item).map((list) => `(${list})`) },
  { weight: 2, arbitrary: item },
  { weight: 1, arbitrary: one('ALL', 'FAST', 'FULL', 'full') },
);

const literal = (text: string) => `{${text.length}+}\r\n${text}`;
const octets = (text: string) => literal(Buffer.from(text).toString('latin1'));
const words = one(
  'Hallo',
  'hallo',
  octets('Gruß'),
  'example',
  'zwei',
  'drei',
  'xyzzy',
  octets('Straße 1'),
  '""',
  'Anhang',
  'multipart',
  octets('Jürgen'),
  '"eins zwei"',
);
const day = one('1-Feb-2024', '2-Feb-2024', '"3-Feb-2024"', '29-Feb-2024', '1-Jan-2000', '31-Dec-2030');
const plainKey = fc.oneof(
  one(
    'ALL',
    'ANSWERED',
    'DELETED',
    'DRAFT',
    'FLAGGED',
    'SEEN',
    'UNANSWERED',
    'UNDELETED',
    'UNDRAFT',
    'UNFLAGGED',
    'UNSEEN',
  ),
  said(one('KEYWORD ', 'UNKEYWORD '), one('$Work', 'urgent', '$None')),
  said(one('FROM ', 'TO ', 'CC ', 'BCC ', 'SUBJECT ', 'BODY ', 'TEXT '), words),
  said('HEADER ', one('Subject', 'message-id', 'X-None', 'To', 'References'), ' ', words),
  said(one('BEFORE ', 'ON ', 'SINCE ', 'SENTBEFORE ', 'SENTON ', 'SENTSINCE '), day),
  said(one('LARGER ', 'SMALLER '), one('0', '100', '500', '4294967295')),
  said('UID ', numbers),
  numbers,
);
const { key } = fc.letrec<{ key: string }>((tie) => ({
  key: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    plainKey,
    said('NOT ', tie('key')),
    said('OR ', tie('key'), ' ', tie('key')),
    fc.array(tie('key'), { minLength: 1, maxLength: 3 }).map((keys) => `(${keys.join(' ')})`),
  ),
}));
/** Not below NOT, where Dovecot takes nothing for everything. */
const modseqKey = one('', '', '', ' MODSEQ 0', ' MODSEQ <modseq+1 0>', ' MODSEQ <modseq+1 2>');
const returns = one(
  '',
  '',
  '',
  'RETURN () ',
  'RETURN (MIN) ',
  'RETURN (MAX COUNT) ',
  'RETURN (ALL) ',
  'RETURN (MIN MAX ALL COUNT) ',
);
const charset = one('CHARSET UTF-8 ', 'CHARSET utf-8 ');

const letter = fc.constantFrom(...letters);
const dates = one(
  ' "01-Feb-2024 10:00:00 +0000"',
  ' " 2-Feb-2024 23:30:00 +0000"',
  ' "03-Feb-2024 00:15:00 +0100"',
);
const append = fc
  .tuple(mailbox, fc.option(some(flags, 2)), dates, letter)
  .map(
    ([name, list, date, text]) =>
      `APPEND ${name}${list === null ? '' : ` (${list})`}${date} ${literal(text)}`,
  );

const pattern = one(
  '*',
  '%',
  'a*',
  'a/%',
  '%/%',
  'inbox',
  'INBOX*',
  'Gr*',
  '*/b',
  '"x y"',
  'Archiv/%',
  '"%"',
  '(a* INBOX)',
  '(% */c)',
);
const reference = one('""', '""', '""', 'a/', '"a/b"');
const listReturn = one(
  '',
  '',
  ' RETURN ()',
  ' RETURN (CHILDREN)',
  ' RETURN (SUBSCRIBED)',
  ' RETURN (SUBSCRIBED CHILDREN)',
  ' RETURN (STATUS (MESSAGES UIDNEXT))',
  ' RETURN (SPECIAL-USE)',
);
const selection = one(
  '',
  '',
  '(SUBSCRIBED) ',
  '(SUBSCRIBED RECURSIVEMATCH) ',
  '() ',
  '(SPECIAL-USE) ',
  '(RECURSIVEMATCH) ',
  '(REMOTE) ',
);
const statusItem = one('MESSAGES', 'UIDNEXT', 'UIDVALIDITY', 'UNSEEN', 'SIZE', 'HIGHESTMODSEQ');

const uid = one('', 'UID ');
const since = one('', '', ' (CHANGEDSINCE <modseq 0>)', ' (CHANGEDSINCE <modseq 2>)');
const unchanged = one('', '', '', '(UNCHANGEDSINCE <modseq 0>) ', '(UNCHANGEDSINCE <modseq 3>) ');

/** With `<modseq n>` where a number that the server told belongs. */
export const commands = fc.oneof(
  { weight: 8, arbitrary: said(uid, 'FETCH ', numbers, ' ', items, since) },
  {
    weight: 7,
    arbitrary: said(
      uid,
      'STORE ',
      numbers,
      ' ',
      unchanged,
      one('', '+', '-'),
      one('FLAGS ', 'FLAGS.SILENT ', 'flags '),
      flagList,
    ),
  },
  { weight: 6, arbitrary: said(uid, 'SEARCH ', returns, charset, some(key, 3), modseqKey) },
  { weight: 4, arbitrary: append },
  { weight: 4, arbitrary: said(uid, one('COPY ', 'MOVE '), numbers, ' ', mailbox) },
  { weight: 3, arbitrary: one('EXPUNGE', 'UID EXPUNGE 1:*', 'UID EXPUNGE 2', 'CLOSE', 'UNSELECT') },
  { weight: 4, arbitrary: said(one('SELECT ', 'SELECT ', 'EXAMINE '), mailbox, one('', '', ' (CONDSTORE)')) },
  {
    weight: 3,
    arbitrary: one(
      'a',
      'a/',
      'a/b',
      'a/b/c/',
      'b',
      '"x y"',
      'Gr&APYA3w-e',
      'Archiv/2024',
      'INBOX/c',
      'INBOX',
    ).map((name) => `CREATE ${name}`),
  },
  { weight: 1, arbitrary: said('DELETE ', made) },
  { weight: 2, arbitrary: said('RENAME ', made, ' ', made) },
  { weight: 2, arbitrary: said(one('SUBSCRIBE ', 'UNSUBSCRIBE '), made) },
  { weight: 3, arbitrary: said('LIST ', selection, reference, ' ', pattern, listReturn) },
  {
    weight: 1,
    arbitrary: said(
      'LSUB ',
      reference,
      ' ',
      pattern.filter((text) => !text.startsWith('(')),
    ),
  },
  { weight: 2, arbitrary: said('STATUS ', mailbox, ' (', some(statusItem, 3), ')') },
  { weight: 2, arbitrary: one('NOOP', 'CHECK', 'NAMESPACE', 'LIST "" ""') },
);

/** A sequence begins with a mailbox of a few messages, so that most commands have something to work on. */
export const sequences = fc.record({
  start: fc
    .array(fc.tuple(letter, fc.option(some(flags, 2)), dates), { maxLength: 5 })
    .map((list) =>
      list.map(
        ([text, set, date]) => `APPEND INBOX${set === null ? '' : ` (${set})`}${date} ${literal(text)}`,
      ),
    ),
  steps: fc.array(
    fc.record<Step>({
      session: fc.oneof(
        { weight: 3, arbitrary: fc.constant(0 as const) },
        { weight: 1, arbitrary: fc.constant(1 as const) },
      ),
      command: commands,
      idling: fc.integer({ min: 0, max: 9 }).map((roll) => roll === 0),
    }),
    { minLength: 1, maxLength: 30, size: 'max' },
  ),
});
export interface Sequence {
  readonly start: readonly string[];
  readonly steps: readonly Step[];
}
