/** JSON logs on stderr. Message content, subjects and passwords never go here. */
import pino from 'pino';

export type Log = pino.Logger;

/** The process's logger; `room` names the part of the house that speaks. */
export function createLog(level: string): Log {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
}

/** A logger that says nothing, for tests. */
export function silentLog(): Log {
  return pino({ level: 'silent' });
}
