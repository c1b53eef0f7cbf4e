/** SELECT, EXAMINE, CLOSE, UNSELECT. RFC 3501 6.3.1, 6.3.2, 6.4.2; RFC 3691; RFC 7162 3.1.8. */

import type { MailboxInfo } from '../../store/store.ts';
import type { CommandOf } from '../codec/command.ts';
import { tellFlags } from '../flag-list.ts';
import { findMailbox, rightsOn, seenUser, tenantOf } from '../mailbox-access.ts';
import { createMailboxView } from '../mailbox-view.ts';
import { shownRows, shownUidValidity } from '../private-mail.ts';
import { type Answer, ok, type Session } from '../session.ts';
import { watchMailbox } from '../tell.ts';

export async function select(session: Session, command: CommandOf<'SELECT' | 'EXAMINE'>): Promise<Answer> {
  const { store, recent, rows } = session.deps;
  // RFC 3501 6.3.1: a SELECT that fails leaves nothing selected.
  const closed = session.view !== null;
  leave(session);
  // RFC 7162 3.2.11: from here on nothing speaks of the mailbox before.
  if (closed && session.condstore) session.connection.send('* OK [CLOSED] Mailbox closed\r\n');
  const readOnly = command.name === 'EXAMINE';
  const tenant = tenantOf(session);
  const found = await findMailbox(session, command.mailbox);
  using entered = new DisposableStack();
  // Watched before it is read: what changes in between is seen as a change.
  entered.use(watchMailbox(session, found));
  try {
    const info = await findMailbox(session, command.mailbox);
    const user = seenUser(session, info.owner);
    // Where private De-Mails are hidden, sizes are others than those that the other sessions see.
    const shared = session.privateAccess?.restricted ? undefined : entered.use(rows.enter(info.id, user));
    const known = shared?.snapshot?.highestModseq === info.highestModseq;
    const state = known ? info : await store.changesSince(tenant, info.id, -1, user);
    const all = 'changed' in state ? await shownRows(session, info.id, state.changed) : null;
    const highestModseq = Math.max(info.highestModseq, state.highestModseq);
    const view = createMailboxView({ ...info, highestModseq }, all, { readOnly, user, shared });
    const next = Math.max(info.uidNext, view.lastUid + 1);
    const firstRecent = readOnly ? recent.peek(info.id, next) : recent.claim(info.id, next);
    view.claimRecent(firstRecent, next);
    session.view = view;
    session.unwatch = entered.move();
    if (command.condstore) session.condstore = true;
    const { firstUnseen } = view;
    tellFlags(session);
    session.connection.send(
      [
        `* ${view.count} EXISTS`,
        `* ${view.recentCount} RECENT`,
        ...(firstUnseen > 0 ? [`* OK [UNSEEN ${firstUnseen}] First unseen`] : []),
        `* OK [UIDVALIDITY ${shownUidValidity(session, info.uidValidity)}] UIDs are valid`,
        `* OK [UIDNEXT ${next}] Predicted next UID`,
        `* OK [HIGHESTMODSEQ ${highestModseq}] Highest`,
        '',
      ].join('\r\n'),
    );
    return ok(
      `${command.name === 'SELECT' ? 'Selected' : 'Examined'}`,
      readOnly || !changesAnything(session, info) ? 'READ-ONLY' : 'READ-WRITE',
    );
  } catch (error) {
    leave(session);
    throw error;
  }
}

/** RFC 4314 5.2: a \\Seen of one's own makes no mailbox writable. */
function changesAnything(session: Session, { owner }: MailboxInfo): boolean {
  return rightsOn(session, owner).some((right) => right !== 'read');
}

/** CLOSE expunges without telling, and nothing where the user may not (RFC 4314 4). */
export async function close(session: Session): Promise<Answer> {
  const { view } = session;
  const tenant = tenantOf(session);
  leave(session);
  if (view && !view.readOnly && rightsOn(session, view.owner).includes('delete'))
    await session.deps.store.expunge(tenant, view.id, null);
  return ok('Closed');
}

export async function unselect(session: Session): Promise<Answer> {
  leave(session);
  return ok('Unselected');
}

/** Nothing is selected any more; nothing is expunged. */
export function leave(session: Session): void {
  session.unwatch?.[Symbol.dispose]();
  session.unwatch = null;
  session.view = null;
  session.dirty = false;
}
