/** COPY, MOVE, EXPUNGE and UID EXPUNGE. RFC 3501 6.4.3, 6.4.7; RFC 4315; RFC 6851. */
import { GatewayError } from '../../errors.ts';
import { addFingerprints } from '../../store/sent-copies.ts';
import type { CopyResult, MailboxInfo } from '../../store/store.ts';
import type { CommandOf } from '../codec/command.ts';
import { printSequenceSet, type Range } from '../codec/sequence.ts';
import {
  filingInto,
  findTarget,
  isSentMailbox,
  principalOf,
  requireRight,
  tenantOf,
} from '../mailbox-access.ts';
import { shownUidValidity } from '../private-mail.ts';
import { type Answer, badAnswer, no, ok, type Session } from '../session.ts';
import { tryCreate } from '../texts.ts';

export async function copy(session: Session, command: CommandOf<'COPY' | 'MOVE'>): Promise<Answer> {
  const view = session.view!;
  const move = command.name === 'MOVE';
  if (!command.uid && !view.covers(command.set)) return badAnswer('No such message');
  if (move && view.readOnly) throw new GatewayError('mailbox-not-permitted', 'it was opened by EXAMINE');
  if (move) requireRight(session, view.owner, 'delete');
  const target = await findTarget(session, command.mailbox);
  if (!target) return tryCreate(session);
  const uids = view.select(command.set, command.uid).map((sequence) => view.at(sequence).uid);
  if (uids.length === 0) return ok('Nothing to do');
  await refusePrivate(session, uids, target);
  const { store } = session.deps;
  if (isSentMailbox(target)) await addFingerprints(store, tenantOf(session), view.id, uids);
  const filing = filingInto(session, target.owner);
  const done = move
    ? await store.moveMessages(tenantOf(session), view.id, uids, target.id, filing)
    : await store.copyMessages(tenantOf(session), view.id, uids, target.id, filing);
  if (done.pairs.length === 0) return no('The messages were deleted meanwhile', 'EXPUNGEISSUED');
  session.dirty = true;
  if (!move) return ok('Copied', copyUid(session, done));
  // RFC 6851 4.3: COPYUID stands before the EXPUNGEs that follow.
  session.connection.send(`* OK [${copyUid(session, done)}] Moved\r\n`);
  return ok('Moved');
}

/** A private De-Mail stays with its person; a set that holds one is refused whole (RFC 3501 6.4.7). */
async function refusePrivate(session: Session, uids: readonly number[], target: MailboxInfo): Promise<void> {
  if (target.owner.type !== 'shared') return;
  if (principalOf(session).tenant.privateMail.shared.includes(target.owner.name)) return;
  const kept = await session.deps.store.privateMessages(tenantOf(session), session.view!.id);
  if (uids.some((uid) => kept.has(uid)))
    throw new GatewayError('mailbox-not-permitted', 'a private De-Mail goes into no shared mailbox');
}

export async function expunge(
  session: Session,
  command: CommandOf<'EXPUNGE' | 'UID EXPUNGE'>,
): Promise<Answer> {
  const view = session.view!;
  if (view.readOnly) throw new GatewayError('mailbox-not-permitted', 'it was opened by EXAMINE');
  requireRight(session, view.owner, 'delete');
  const uids =
    command.name === 'EXPUNGE'
      ? null
      : view.select(command.set, true).map((sequence) => view.at(sequence).uid);
  const { modseq } = await session.deps.store.expunge(tenantOf(session), view.id, uids);
  session.dirty = true;
  return ok('Expunged', session.condstore ? `HIGHESTMODSEQ ${modseq}` : undefined);
}

/** Both sets keep the order of the pairs, ascending on either side. */
function copyUid(session: Session, { uidValidity, pairs }: CopyResult): string {
  const column = (side: 0 | 1): string => {
    const found: [number, number][] = [];
    for (const pair of pairs) {
      const last = found.at(-1);
      if (last && pair[side] === last[1] + 1) last[1] = pair[side];
      else found.push([pair[side], pair[side]]);
    }
    return printSequenceSet(found as Range[]);
  };
  return `COPYUID ${shownUidValidity(session, uidValidity)} ${column(0)} ${column(1)}`;
}
