/** SEARCH and UID SEARCH. RFC 3501 6.4.4; RFC 4731; RFC 7162 3.1.5. */
import { setImmediate } from 'node:timers/promises';
import type { CommandOf, SearchKey } from '../codec/command.ts';
import { charsets } from '../codec/grammar-search.ts';
import { printString } from '../codec/printer.ts';
import { compress } from '../codec/sequence.ts';
import { tenantOf } from '../mailbox-access.ts';
import type { MailboxView } from '../mailbox-view.ts';
import { shownContents } from '../private-mail.ts';
import { createMatcher } from '../search-match.ts';
import { type Answer, enableCondstore, no, ok, type Session } from '../session.ts';

/** How long a search may hold up everybody else, milliseconds. */
const turnMs = 8;

export async function search(session: Session, command: CommandOf<'SEARCH'>): Promise<Answer> {
  if (!command.charsetKnown)
    return no('Charset is not known', `BADCHARSET (${Object.keys(charsets).join(' ')})`);
  const view = session.view!;
  const withModseq = asksModseq(command.key);
  if (withModseq) enableCondstore(session);
  const turn = createTurn();
  const matches = createMatcher(
    {
      turn,
      store: session.deps.store,
      tenant: tenantOf(session),
      contentsOf: (uids) => shownContents(session, uids),
    },
    view,
    command.key,
  );
  const found: number[] = [];
  const first = command.returns?.every((option) => option === 'MIN') ?? false;
  for (let sequence = 1; sequence <= view.count; sequence++) {
    if (turn.isOver()) await turn();
    // Nobody is there to be answered, or soon will be.
    if (session.connection.closed || session.ended || session.deps.closing.aborted)
      return no('Search was broken off', 'UNAVAILABLE');
    const answer = matches(sequence);
    if (answer === false || !(await answer)) continue;
    found.push(sequence);
    if (first) break;
  }
  const shown = command.uid ? found.map((sequence) => view.at(sequence).uid) : found;
  const modseq = withModseq && found.length > 0 ? highestModseq(view, command, found) : null;
  if (command.returns === null) await sendNumbers(session, shown, modseq);
  else session.connection.send(extended(command, shown, modseq));
  return ok('Searched');
}

/** Whose turn it is: after `turnMs` that of others. */
function createTurn(): (() => Promise<void>) & { isOver(): boolean } {
  let since = performance.now();
  const isOver = () => performance.now() - since > turnMs;
  const turn = async () => {
    if (!isOver()) return;
    await setImmediate();
    since = performance.now();
  };
  return Object.assign(turn, { isOver });
}

/** Numbers of a line that are put together at a time. */
const some = 10_000;

async function sendNumbers({ connection }: Session, found: readonly number[], modseq: number | null) {
  connection.send('* SEARCH');
  for (let from = 0; from < found.length; from += some) {
    connection.send(
      found
        .slice(from, from + some)
        .map((n) => ` ${n}`)
        .join(''),
    );
    await connection.breathe();
  }
  connection.send(`${modseq === null ? '' : ` (MODSEQ ${modseq})`}\r\n`);
}

/** RFC 7162 3.1.10: of what is returned: where only MIN and MAX are, of these. */
function highestModseq(
  view: MailboxView,
  { returns }: CommandOf<'SEARCH'>,
  found: readonly number[],
): number {
  const all = returns === null || returns.includes('ALL') || returns.includes('COUNT');
  const ends = [
    ...(returns?.includes('MIN') ? [found[0]!] : []),
    ...(returns?.includes('MAX') ? [found.at(-1)!] : []),
  ];
  return (all ? found : ends).reduce((highest, n) => Math.max(highest, view.at(n).modseq), 0);
}

/** RFC 4731 3.1: MIN, MAX and ALL are left out where nothing matched. */
function extended(command: CommandOf<'SEARCH'>, found: readonly number[], modseq: number | null): string {
  const returns = command.returns ?? [];
  const parts = [`* ESEARCH (TAG ${printString(command.tag)})`];
  if (command.uid) parts.push('UID');
  if (found.length > 0) {
    if (returns.includes('MIN')) parts.push(`MIN ${found[0]}`);
    if (returns.includes('MAX')) parts.push(`MAX ${found.at(-1)}`);
    if (returns.includes('ALL')) parts.push(`ALL ${compress(found)}`);
  }
  if (returns.includes('COUNT')) parts.push(`COUNT ${found.length}`);
  if (modseq !== null) parts.push(`MODSEQ ${modseq}`);
  return `${parts.join(' ')}\r\n`;
}

function asksModseq(key: SearchKey): boolean {
  switch (key.key) {
    case 'modseq':
      return true;
    case 'and':
      return key.keys.some(asksModseq);
    case 'or':
      return asksModseq(key.left) || asksModseq(key.right);
    case 'not':
      return asksModseq(key.operand);
    default:
      return false;
  }
}
