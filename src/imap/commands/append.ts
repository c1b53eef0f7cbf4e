/** APPEND. RFC 3501 6.3.11; RFC 4315; RFC 7889. */

import { GatewayError } from '../../errors.ts';
import { scanStaged } from '../../inspection/scan-staged.ts';
import { createIndexer } from '../../mime/structure.ts';
import { addFingerprints, withFingerprint } from '../../store/sent-copies.ts';
import type { MailboxInfo, ObjectWriter, StagedMessage } from '../../store/store.ts';
import type { AppendHead } from '../codec/command.ts';
import { filingInto, findTarget, isSentMailbox, storableFlags, tenantOf } from '../mailbox-access.ts';
import { shownUidValidity } from '../private-mail.ts';
import { type Answer, badAnswer, nextEvent, no, ok, type Session } from '../session.ts';
import { tryCreate } from '../texts.ts';

/** The message goes into the store as it comes; it is never whole in memory. */
export async function appendCommand(session: Session, append: AppendHead): Promise<Answer> {
  const target = await admit(session, append).catch((error: unknown) => {
    turnAway(session, append);
    throw error;
  });
  if ('status' in target) {
    turnAway(session, append);
    return target;
  }
  session.parser.accept();
  if (append.synchronising) {
    session.connection.send('+ ready for the message\r\n');
    await session.connection.flush();
  }
  const tenant = tenantOf(session);
  const writer = session.deps.store.stage(tenant);
  let done = false;
  try {
    const message = await receiveMessage(session, writer);
    if ('status' in message) return message;
    await refuseMalware(session, message);
    const answer = await file(session, target, append, message);
    done = true;
    return answer;
  } finally {
    if (!done) await writer.abort();
  }
}

function turnAway(session: Session, append: AppendHead): void {
  session.parser.refuse();
  // A client that waits for `+` hears the refusal instead; another one's bytes are read and forgotten.
  if (!append.synchronising && append.size > 2 * session.deps.limits.messageSize) session.ended = true;
}

/** The mailbox, or why the message is not taken. */
async function admit(session: Session, append: AppendHead): Promise<MailboxInfo | Answer> {
  if (!session.principal) return badAnswer('Log in first');
  if (append.size > session.deps.limits.messageSize)
    throw new GatewayError('message-too-large', `${session.deps.limits.messageSize} bytes`);
  if (append.size === 0) return no('An empty message is none');
  const target = await findTarget(session, append.mailbox);
  // Of a letter's own copy there may be one already: then this one takes no room.
  if (target && !isSentMailbox(target)) await requireRoom(session, target, append.size);
  return target ?? tryCreate(session);
}

/** Before the upload, so that nobody waits for a refusal; what counts is the look in the commit. */
async function requireRoom(session: Session, { owner }: MailboxInfo, size: number): Promise<void> {
  const { quota } = filingInto(session, owner);
  if (quota === undefined) return;
  const used = await session.deps.store.mailboxUsage(tenantOf(session), owner);
  if (used.bytes + size > (quota.bytes ?? Infinity) || used.messages >= (quota.messages ?? Infinity))
    throw new GatewayError('quota-exceeded');
}

async function receiveMessage(session: Session, writer: ObjectWriter): Promise<StagedMessage | Answer> {
  const indexer = createIndexer();
  for (;;) {
    const event = await nextEvent(session);
    switch (event?.kind) {
      case 'data':
        indexer.push(event.bytes);
        await writer.write(event.bytes);
        break;
      case 'append-end':
        return { object: await writer.finish(), index: indexer.finish() };
      case 'bad':
        if (event.fatal) session.ended = true;
        return badAnswer(event.text);
      default:
        session.ended = true;
        return badAnswer('Connection ended');
    }
  }
}

/** What lies in a mailbox reaches others by shared mailboxes, and other computers of the user. */
async function refuseMalware({ deps }: Session, message: StagedMessage): Promise<void> {
  if (deps.scanner === undefined) return;
  const scanned = await scanStaged(deps.store, deps.scanner, message);
  if (scanned.result === 'infected') throw new GatewayError('malware-found', scanned.detail);
}

async function file(
  session: Session,
  found: MailboxInfo,
  append: AppendHead,
  message: StagedMessage,
): Promise<Answer> {
  const { store } = session.deps;
  const tenant = tenantOf(session);
  // The upload took its time: the mailbox may be gone, or another one may bear its name.
  const target = await findTarget(session, append.mailbox);
  if (!target || target.id !== found.id) return no('The mailbox was deleted meanwhile', 'TRYCREATE');
  const { uid } = await store.appendMessage(tenant, target.id, {
    message: isSentMailbox(target) ? await recognisable(session, target, message) : message,
    flags: storableFlags(append.flags),
    internalDate: append.internalDate ?? Date.now(),
    ...filingInto(session, target.owner),
  });
  if (session.view?.id === target.id) session.dirty = true;
  return ok('Appended', `APPENDUID ${shownUidValidity(session, target.uidValidity)} ${uid}`);
}

/** The message with its fingerprint; copies that an earlier release filed get theirs, so that they are found by it. */
async function recognisable(
  session: Session,
  target: MailboxInfo,
  message: StagedMessage,
): Promise<StagedMessage> {
  const { store } = session.deps;
  const tenant = tenantOf(session);
  const { envelope } = message.index.root;
  if (!envelope?.messageId) return message;
  const filed = await store.byMessageId(tenant, target.id, envelope.messageId);
  await addFingerprints(store, tenant, target.id, filed);
  return withFingerprint(store, message);
}
