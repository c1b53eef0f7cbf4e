/**
 * One process per store. The lock is the operating system's: an exclusive SQLite lock on
 * `<data>/gateway.lock`, which ends with the process however it ends. `<data>/gateway.pid` only names the
 * holder; it is never what decides.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { Unavailable } from './unavailable.ts';

export interface StoreLock extends Disposable {
  readonly pidFile: string;
}

/**
 * Takes the store for this process.
 * @param role `gateway` announces itself in `gateway.pid`; a `command` works on a store at rest.
 * @param patienceMs how long to wait for a command that is about to finish.
 * @throws Unavailable naming the holder.
 */
export async function lockStore(
  dataDir: string,
  role: 'gateway' | 'command',
  patienceMs = 3000,
): Promise<StoreLock> {
  const pidFile = join(dataDir, 'gateway.pid');
  const giveUpAt = Date.now() + patienceMs;
  let lock = tryLock(dataDir);
  while (lock === null) {
    const pid = runningGateway(dataDir);
    if (pid !== null) {
      throw new Unavailable(`the store ${dataDir} belongs to the running gateway, process ${pid}`);
    }
    if (Date.now() >= giveUpAt) {
      throw new Unavailable(`the store ${dataDir} is in use by another command; try again when it is done`);
    }
    await wait(50);
    lock = tryLock(dataDir);
  }
  if (role === 'gateway') writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o644 });
  else rmSync(pidFile, { force: true }); // left by a gateway that was killed
  const held = lock;
  return {
    pidFile,
    [Symbol.dispose]() {
      if (!held.open) return;
      if (role === 'gateway') rmSync(pidFile, { force: true });
      held.close();
    },
  };
}

/** The process id in `gateway.pid` if such a process lives, else null. */
export function runningGateway(dataDir: string): number | null {
  const pid = Number.parseInt(readPid(dataDir), 10);
  return Number.isSafeInteger(pid) && pid > 1 && lives(pid) ? pid : null;
}

function readPid(dataDir: string): string {
  try {
    return readFileSync(join(dataDir, 'gateway.pid'), 'utf8');
  } catch {
    return '';
  }
}

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'; // it lives, under another user
  }
}

function tryLock(dataDir: string): Database.Database | null {
  const file = join(dataDir, 'gateway.lock');
  const database = new Database(file, { timeout: 0 });
  try {
    database.pragma('journal_mode = OFF');
    database.exec('BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database.close();
    if (String((error as { code?: unknown }).code).startsWith('SQLITE_BUSY')) return null;
    throw new Unavailable(`cannot lock the store: ${file}: ${(error as Error).message}`, error);
  }
}
