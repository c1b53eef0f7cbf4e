/** STORE and UID STORE. RFC 3501 6.4.6; RFC 7162 3.1.3. */
import { GatewayError } from '../../errors.ts';
import type { CommandOf } from '../codec/command.ts';
import { compress } from '../codec/sequence.ts';
import { storableFlags, tenantOf } from '../mailbox-access.ts';
import { type Answer, badAnswer, enableCondstore, no, ok, type Session } from '../session.ts';
import { fetchFlags } from '../tell.ts';

/** Messages changed by one commit: others wait no longer than that. */
const batch = 1000;
const maxKeywords = 100;

export async function store(session: Session, command: CommandOf<'STORE'>): Promise<Answer> {
  const view = session.view!;
  if (!command.uid && !view.covers(command.set)) return badAnswer('No such message');
  if (view.readOnly) throw new GatewayError('mailbox-not-permitted', 'it was opened by EXAMINE');
  if (command.unchangedSince !== null) enableCondstore(session);
  if (command.flags.length > maxKeywords) return no('Too many flags', 'LIMIT');
  const sequences = view.select(command.set, command.uid);
  const uids = sequences.map((sequence) => view.at(sequence).uid);
  const refused: number[] = [];
  let missing = 0;
  for (let from = 0; from < uids.length; from += batch) {
    const some = uids.slice(from, from + batch);
    const result = await session.deps.store.changeFlags(tenantOf(session), view.id, some, {
      op: command.op,
      flags: storableFlags(command.flags),
      ...(command.unchangedSince === null ? {} : { unchangedSince: command.unchangedSince }),
      ...(view.user === undefined ? {} : { user: view.user }),
    });
    refused.push(...result.refused);
    missing += some.length - result.changed.length - result.refused.length;
    for (const row of result.changed) {
      const sequence = view.sequenceOf(row.uid);
      if (sequence === 0) continue;
      view.update(row);
      if (!command.silent) session.connection.send(fetchFlags(session, sequence, row, command.uid));
      // RFC 7162 3.1.3: the new modseq is told even where the flags are not.
      else if (session.condstore)
        session.connection.send(`* ${sequence} FETCH (UID ${row.uid} MODSEQ (${row.modseq}))\r\n`);
    }
    await session.connection.breathe();
  }
  if (refused.length > 0) {
    const names = command.uid ? refused : refused.map((uid) => view.sequenceOf(uid));
    return ok('Some were changed by others meanwhile', `MODIFIED ${compress(names.sort((a, b) => a - b))}`);
  }
  // RFC 2180 4.2.2: the rest is done; the client learns of the expunge when it may be told.
  if (missing > 0 && !command.uid) return no('Some messages were deleted meanwhile', 'EXPUNGEISSUED');
  return ok('Stored');
}
