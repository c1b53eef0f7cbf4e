/** Tells a session's client what happened in the selected mailbox: EXISTS, RECENT, FETCH, EXPUNGE. */
import type { MailboxInfo, MessageRow } from '../store/store.ts';
import { printFlags } from './codec/printer.ts';
import { tellFlags } from './flag-list.ts';
import type { MailboxView } from './mailbox-view.ts';
import { shownRows } from './private-mail.ts';
import { bye, type Session } from './session.ts';

/** From now on changes of the mailbox mark the session as behind. */
export function watchMailbox(session: Session, mailbox: MailboxInfo): Disposable {
  const { id } = mailbox;
  return session.deps.store.changes.subscribe((change) => {
    if (change.topic !== 'mailbox' || change.mailbox !== id) return;
    session.dirty = true;
    session.onDirty?.();
  });
}

/** Brings the view up to date and says what changed. Does nothing where nothing did. */
export async function tellChanges(session: Session, mayExpunge: boolean): Promise<void> {
  const { view } = session;
  if (!view || session.ended) return;
  if (!session.dirty && !(mayExpunge && view.expungePending)) return;
  session.dirty = false;
  const tenant = session.principal!.tenant.id;
  const { store } = session.deps;
  const changes = await store.changesSince(tenant, view.id, view.highestModseq, view.user);
  if (changes.uidNext === 0) {
    bye(session, 'The selected mailbox was deleted');
    return;
  }
  const before = view.lastUid;
  const changed = await shownRows(session, view.id, changes.changed);
  const update = view.apply({ ...changes, changed }, mayExpunge);
  tellFlags(session);
  if (update.exists !== null) {
    claimArrivals(session, view, before);
    session.connection.send(`* ${update.exists} EXISTS\r\n* ${view.recentCount} RECENT\r\n`);
  }
  for (const { sequence, uid } of update.changed) {
    const now = view.sequenceOf(uid);
    if (now > 0) session.connection.send(fetchFlags(session, sequence, view.at(now), true));
    await session.connection.breathe();
  }
  for (const sequence of update.expunged) session.connection.send(`* ${sequence} EXPUNGE\r\n`);
}

/** `* n FETCH (…)` with the flags of a message; the UID where the client can use it. */
export function fetchFlags(session: Session, sequence: number, row: MessageRow, withUid: boolean): string {
  const items = withUid ? [`UID ${row.uid}`] : [];
  items.push(`FLAGS ${printFlags(shownFlags(session, row))}`);
  if (session.condstore) items.push(`MODSEQ (${row.modseq})`);
  return `* ${sequence} FETCH (${items.join(' ')})\r\n`;
}

/** A message's flags, with \Recent where this session was told of it first. */
export function shownFlags(session: Session, row: MessageRow): readonly string[] {
  return session.view?.isRecent(row.uid) ? [...row.flags, '\\Recent'] : row.flags;
}

function claimArrivals(session: Session, view: MailboxView, before: number): void {
  const next = view.lastUid + 1;
  const { recent } = session.deps;
  const from = view.readOnly ? recent.peek(view.id, next) : recent.claim(view.id, next);
  view.claimRecent(Math.max(from, before + 1), next);
}
