/** IDLE. RFC 2177. */
import { type Answer, badAnswer, ok, receive, type Session } from '../session.ts';
import { tellChanges } from '../tell.ts';

export async function idle(session: Session): Promise<Answer> {
  const { connection, parser } = session;
  parser.expectLine();
  connection.send('+ idling\r\n');
  await connection.flush();
  for (;;) {
    await tellChanges(session, true);
    await connection.flush();
    const event = parser.next();
    if (event?.kind === 'line')
      return event.line.trim().toUpperCase() === 'DONE' ? ok('Idle done') : badAnswer('Expected DONE');
    if (event) return badAnswer('Expected DONE');
    if (!(await changeOrInput(session))) return badAnswer('Connection ended');
  }
}

/** Waits for bytes or for a change, whichever comes first; false where the connection ended. */
async function changeOrInput(session: Session): Promise<boolean> {
  if (session.dirty) return true;
  const { promise: changed, resolve } = Promise.withResolvers<true>();
  session.onDirty = () => resolve(true);
  try {
    return (await Promise.race([receive(session), changed])) && !session.ended;
  } finally {
    session.onDirty = null;
  }
}
