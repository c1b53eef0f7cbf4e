/** SEARCH and UID SEARCH. RFC 3501 6.4.4; RFC 4731; RFC 7162 3.1.5. */
import { setImmediate } from 'node:timers/promises';
import type { CommandOf, SearchKey } from '../codec/command.ts';
import { printString } from '../codec/printer.ts';
import { compress } from '../codec/sequence.ts';
import { tenantOf } from '../mailbox-access.ts';
import { shownContents } from '../private-mail.ts';
import { createMatcher } from '../search-match.ts';
import { type Answer, enableCondstore, no, ok, type Session } from '../session.ts';

/** Messages looked at before other sessions get a turn. */
const turn = 200;

export async function search(session: Session, command: CommandOf<'SEARCH'>): Promise<Answer> {
  if (!command.charsetKnown) return no('Charset is not known', 'BADCHARSET (UTF-8 US-ASCII ISO-8859-1)');
  const view = session.view!;
  const withModseq = asksModseq(command.key);
  if (withModseq) enableCondstore(session);
  const matches = createMatcher(
    {
      store: session.deps.store,
      tenant: tenantOf(session),
      contentOf: async (uid) => (await shownContents(session, [uid]))[0],
    },
    view,
    command.key,
  );
  const found: number[] = [];
  let highest = 0;
  for (let sequence = 1; sequence <= view.count; sequence++) {
    if (sequence % turn === 0) await setImmediate();
    if (session.connection.closed) break;
    if (!(await matches(sequence))) continue;
    const row = view.at(sequence);
    found.push(command.uid ? row.uid : sequence);
    highest = Math.max(highest, row.modseq);
  }
  const modseq = withModseq && found.length > 0 ? ` (MODSEQ ${highest})` : '';
  if (command.returns === null)
    session.connection.send(`* SEARCH${found.map((n) => ` ${n}`).join('')}${modseq}\r\n`);
  else session.connection.send(extended(command, found, withModseq && found.length > 0 ? highest : null));
  return ok('Searched');
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
