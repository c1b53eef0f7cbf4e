/** Where the facade and Dovecot answer differently, and why. */
import type { Disagreement } from './compare.ts';
import { doubleSubject } from './letters.ts';
import type { Value } from './response.ts';
import type { Reply } from './side.ts';

type Sides = readonly [ours: Value | undefined, theirs: Value | undefined];

export interface Difference {
  readonly reason: string;
  /** What is left to compare where the difference is taken away; null where it does not concern this answer. */
  readonly settle: (found: Disagreement) => Sides | null;
  /** From here on the two mailboxes are not the same any more: the sequence ends. */
  readonly ends?: boolean;
}

const nothing: Sides = [null, null];

/** The difference explains all of the disagreement. */
function wholly(covers: (found: Disagreement) => boolean): Difference['settle'] {
  return (found) => (covers(found) ? nothing : null);
}

const bothRefuse = ({ replies: { ours, theirs } }: Disagreement) =>
  ours.status === 'NO' && theirs.status === 'NO';

export const differences: readonly Difference[] = [
  {
    reason: 'The facade names what is missing, NONEXISTENT (RFC 5530); Dovecot says NO alone.',
    settle: wholly((found) => bothRefuse(found) && found.ours === 'NONEXISTENT' && found.theirs === null),
  },
  {
    reason: 'DELETE of INBOX is refused by both; the facade says CANNOT.',
    settle: wholly(
      (found) => found.what === 'code' && bothRefuse(found) && /^DELETE INBOX/.test(found.command),
    ),
  },
  {
    reason: 'Where a RENAME fails for several reasons, each server names another one first.',
    settle: wholly((found) => found.what === 'code' && bothRefuse(found) && /^RENAME /.test(found.command)),
  },
  {
    reason: 'EXPUNGE tells HIGHESTMODSEQ once CONDSTORE is on (RFC 7162 3.2.7); Dovecot with QRESYNC alone.',
    settle: wholly(
      ({ what, command, ours, theirs }) =>
        what === 'code' && /EXPUNGE/.test(command) && ours === 'HIGHESTMODSEQ #' && theirs === null,
    ),
  },
  {
    reason:
      'Both tell FLAGS again when a keyword is new in the mailbox; when, and whether for a keyword searched for, each chooses.',
    settle: wholly(
      ({ what, command, ours, theirs }) =>
        /^FLAGS$|PERMANENTFLAGS/.test(what) &&
        (ours === undefined || theirs === undefined) &&
        !/^(SELECT|EXAMINE)/.test(command),
    ),
  },
  {
    reason:
      'Dovecot warns by CLIENTBUG of a STATUS on the selected mailbox, which RFC 3501 6.3.10 leaves to the client.',
    settle: wholly(
      ({ what, command, theirs }) => what === 'code' && theirs === 'CLIENTBUG' && /^STATUS /.test(command),
    ),
  },
  {
    reason:
      'A MOVE into the mailbox itself is refused, for it would give every message a new UID for nothing.',
    settle: wholly(
      ({ command, replies: { ours, theirs } }) =>
        /MOVE /.test(command) && ours.code === 'CANNOT' && theirs.status === 'OK',
    ),
    ends: true,
  },
  {
    reason:
      'A COPY of no message into no mailbox: the facade looks at the mailbox first, Dovecot at the messages.',
    settle: wholly(
      ({ command, replies: { ours, theirs } }) =>
        /COPY |MOVE /.test(command) && ours.code === 'TRYCREATE' && theirs.status === 'OK',
    ),
  },
  {
    reason: 'RENAME of INBOX moves its messages (RFC 3501 6.3.5); Dovecot refuses it with this maildir.',
    settle: wholly(
      ({ command, replies: { ours } }) => /^RENAME INBOX /i.test(command) && ours.status === 'OK',
    ),
    ends: true,
  },
  {
    reason:
      'STORE, EXPUNGE and MOVE in a mailbox opened by EXAMINE are refused with NOPERM; Dovecot ignores the first two, and moves.',
    settle: wholly(
      ({ command, replies }) =>
        /STORE |EXPUNGE|MOVE /.test(command) &&
        replies.ours.code === 'NOPERM' &&
        replies.theirs.status !== 'BAD',
    ),
    ends: true,
  },
  {
    reason: 'A session whose mailbox is renamed by another one goes on; Dovecot may end it.',
    settle: wholly(({ replies }) =>
      replies.theirs.raw.some((line) => line.startsWith('* BYE IMAP session state is inconsistent')),
    ),
    ends: true,
  },
  {
    reason: 'Dovecot tells of keywords that no message has any more; the facade of those in use.',
    settle: ({ what, ours, theirs }) =>
      /^FLAGS$|PERMANENTFLAGS/.test(what) ? [systemFlags(ours), systemFlags(theirs)] : null,
  },
  {
    reason: 'To ask for `1:*` of an empty mailbox is no error here; Dovecot says BAD.',
    settle: wholly(
      ({ command, replies }) =>
        /^(FETCH|STORE|COPY|MOVE) (1:\*|\*:1) /.test(command) &&
        replies.ours.status !== 'BAD' &&
        invalidSet(replies.theirs),
    ),
  },
  {
    reason:
      'Dovecot 2.3.19 takes a modifier after a single section, `BODY[1] (CHANGEDSINCE 1)`, for a list of header fields.',
    settle: wholly(
      ({ command, replies }) =>
        / \(CHANGEDSINCE/.test(command) && replies.theirs.raw.some((line) => line.includes("Missing ']'")),
    ),
    ends: true,
  },
  {
    reason:
      'A range beyond the last message, `99:*`, is the last message (RFC 3501 9); for SEARCH Dovecot takes it as none.',
    settle: wholly(({ what, command }) => /SEARCH$/.test(what) && /99:\*/.test(command)),
  },
  {
    reason:
      'INBOX can be unsubscribed; Dovecot subscribes it again by itself, as it is told to for the first time.',
    settle: wholly(({ what, ours }) => what === 'LSUB INBOX' && ours === undefined),
  },
  {
    reason:
      'A name that only holds others is listed, as \\Noselect; Dovecot leaves it out where `*` asks for all.',
    settle: wholly(
      ({ what, ours, theirs }) =>
        what.startsWith('LIST ') &&
        theirs === undefined &&
        String(ours).startsWith('\\hasc') &&
        String(ours).includes('\\noselect'),
    ),
  },
  {
    reason:
      'LIST names special uses and children whether asked or not, as RFC 6154 2 and RFC 5258 4 allow; Dovecot leaves them out.',
    settle: ({ what, ours, theirs }) =>
      /^(LIST|LSUB) /.test(what) ? [attributesLeft(ours), attributesLeft(theirs)] : null,
  },
  {
    reason:
      'Dovecot shows the charset us-ascii of a text that names none; the facade shows what the message says.',
    settle: ({ what, ours, theirs }) =>
      what.startsWith('FETCH ') ? [withoutAscii(ours), withoutAscii(theirs)] : null,
  },
  {
    reason: 'Of a header field that occurs twice the topmost counts (docs/imap.md), for Dovecot the last.',
    settle: ({ what, ours, theirs }) =>
      what.startsWith('FETCH ') && twice(ours) ? [withoutSubject(ours), withoutSubject(theirs)] : null,
  },
  {
    reason: 'Source routes in addresses (`<@a:b@c>`), obsolete since RFC 2822, are not shown.',
    settle: ({ what, ours, theirs }) =>
      what.startsWith('FETCH ') ? [withoutRoutes(ours), withoutRoutes(theirs)] : null,
  },
  {
    reason:
      'The facade shows an encoding in small letters, Dovecot as the message writes it; it is the same in any case.',
    settle: ({ what, ours, theirs }) =>
      what.startsWith('FETCH ') ? [smallEncoding(ours), smallEncoding(theirs)] : null,
  },
  {
    reason:
      'A section that is not there is NIL (RFC 3501 7.4.2); Dovecot gives an empty text, or takes `.1` of a part for the part.',
    settle: ({ what, ours, theirs }) => (what.startsWith('FETCH ') ? withoutMissing(ours, theirs) : null),
  },
];

function systemFlags(value: Value | undefined): Value | undefined {
  return String(value)
    .split(/[ ,]/)
    .filter((flag) => flag.startsWith('\\'))
    .join();
}

function invalidSet({ raw }: Reply): boolean {
  return raw.some((line) => line.includes('Invalid messageset'));
}

function attributesLeft(answer: Value | undefined): Value | undefined {
  if (!Array.isArray(answer)) return answer;
  const [attributes, ...rest] = answer as readonly Value[];
  return [
    (attributes as readonly string[]).filter((name) => !/^\\(has|archive|sent|drafts|trash)/.test(name)),
    ...rest,
  ];
}

function withoutAscii(value: Value | undefined): Value | undefined {
  if (!Array.isArray(value)) return value;
  if (value.length === 2 && value[0] === 'charset' && value[1] === 'us-ascii') return null;
  return value.map((one) => withoutAscii(one) as Value);
}

function smallEncoding(value: Value | undefined): Value | undefined {
  if (Array.isArray(value)) return value.map((one) => smallEncoding(one) as Value);
  return typeof value === 'string' && /^(base64|quoted-printable|[78]bit)$/i.test(value)
    ? value.toLowerCase()
    : value;
}

/** The letter that has two subjects. */
function twice(value: Value | undefined): boolean {
  return envelopeOf(value)?.[1] === doubleSubject;
}

function envelopeOf(value: Value | undefined): readonly Value[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return (value as readonly (readonly [string, readonly Value[]])[]).find(
    ([name]) => name === 'ENVELOPE',
  )?.[1];
}

function withEnvelope(
  value: Value | undefined,
  change: (envelope: readonly Value[]) => readonly Value[],
): Value | undefined {
  if (!Array.isArray(value)) return value;
  return value.map((pair) => (pair[0] === 'ENVELOPE' ? ['ENVELOPE', change(pair[1])] : pair));
}

function withoutSubject(value: Value | undefined): Value | undefined {
  return withEnvelope(value, (envelope) => envelope.toSpliced(1, 1));
}

function withoutRoutes(value: Value | undefined): Value | undefined {
  const withoutRoute = (address: Value) => (Array.isArray(address) ? address.toSpliced(1, 1) : address);
  return withEnvelope(value, (envelope) =>
    envelope.map((addresses) => (Array.isArray(addresses) ? addresses.map(withoutRoute) : addresses)),
  );
}

/** Without the sections that the facade does not have. */
function withoutMissing(ours: Value | undefined, theirs: Value | undefined): Sides | null {
  if (!Array.isArray(ours) || !Array.isArray(theirs)) return null;
  const missing = new Set(
    ours.filter(([name, value]) => value === null && /^BODY\[\d/.test(name)).map(([name]) => String(name)),
  );
  const left = (pairs: readonly Value[]) => pairs.filter((pair) => !missing.has(String(pair?.[0])));
  return [left(ours), left(theirs)];
}
