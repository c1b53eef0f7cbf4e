/** FLAGS and PERMANENTFLAGS of the selected mailbox: told at SELECT, and again where either is no longer true. */
import { isGatewayKeyword } from '../evidence/keywords.ts';
import { flagRights } from './mailbox-access.ts';
import type { Session } from './session.ts';

const systemFlags = ['\\Answered', '\\Flagged', '\\Deleted', '\\Seen', '\\Draft'];

/** RFC 3501 7.2.6: before the first message with a new keyword is shown. Costs nothing where nothing is new. */
export function tellFlags(session: Session): void {
  const { view } = session;
  if (view === null) return;
  const rights = flagRights(session, view.owner);
  const state = `${view.keywords.size} ${rights.deleted} ${rights.others}`;
  if (view.flagsTold === state) return;
  view.flagsTold = state;
  const permanent = [
    ...(rights.others ? ['\\Answered', '\\Flagged'] : []),
    ...(rights.deleted ? ['\\Deleted'] : []),
    ...(rights.seen ? ['\\Seen'] : []),
    ...(rights.others
      ? ['\\Draft', ...[...view.keywords].filter((keyword) => !isGatewayKeyword(keyword)), '\\*']
      : []),
  ];
  session.connection.send(
    `* FLAGS (${[...systemFlags, ...view.keywords].join(' ')})\r\n` +
      `* OK [PERMANENTFLAGS (${view.readOnly ? '' : permanent.join(' ')})] Flags that are kept\r\n`,
  );
}
