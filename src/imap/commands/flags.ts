/** STORE and UID STORE. RFC 3501 6.4.6; RFC 7162 3.1.3. */
import { GatewayError } from '../../errors.ts';
import { isGatewayKeyword } from '../../evidence/keywords.ts';
import type { FlagRights } from '../../store/store.ts';
import type { CommandOf } from '../codec/command.ts';
import { compress } from '../codec/sequence.ts';
import { tellFlags } from '../flag-list.ts';
import { flagRights, storableFlags, tenantOf } from '../mailbox-access.ts';
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
  const settable = flagRights(session, view.owner);
  // RFC 4314 4: whoever may change none of the flags is told so; else those that they may change are changed.
  if (!changesSome(command, settable)) throw new GatewayError('mailbox-not-permitted');
  const sequences = view.select(command.set, command.uid);
  const uids = sequences.map((sequence) => view.at(sequence).uid);
  // A client that would change what only the gateway states is shown what stands.
  const tells = !command.silent || command.flags.some(isGatewayKeyword);
  const refused: number[] = [];
  let missing = 0;
  for (let from = 0; from < uids.length; from += batch) {
    const some = uids.slice(from, from + batch);
    const result = await session.deps.store.changeFlags(tenantOf(session), view.id, some, {
      op: command.op,
      flags: storableFlags(command.flags),
      ...(command.unchangedSince === null ? {} : { unchangedSince: command.unchangedSince }),
      settable,
      ...(view.user === undefined ? {} : { user: view.user }),
    });
    refused.push(...result.refused);
    missing += some.length - result.changed.length - result.refused.length;
    for (const row of result.changed) view.update(row);
    tellFlags(session);
    for (const row of result.changed) {
      const sequence = view.sequenceOf(row.uid);
      if (sequence === 0) continue;
      if (tells) session.connection.send(fetchFlags(session, sequence, row, command.uid));
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

function changesSome({ op, flags }: CommandOf<'STORE'>, { seen, deleted, others }: FlagRights): boolean {
  if (op === 'replace') return seen || deleted || others;
  const names = storableFlags(flags).map((flag) => flag.toLowerCase());
  const permitted = (name: string) => (name === '\\seen' ? seen : name === '\\deleted' ? deleted : others);
  return names.length === 0 || names.some(permitted);
}
