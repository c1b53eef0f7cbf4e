/** Logins: argon2id, with failures counted per address and per login, and slowed. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import { addressKey, createAttempts } from './attempts.ts';
import type { Authenticator, Directory } from './directory.ts';
import { hashPassword, verifyPassword } from './password.ts';

export interface AuthenticatorDeps {
  /** Asked at every login, so that a reloaded configuration counts at once. */
  readonly directory: () => Directory;
  readonly limits: Pick<
    Config['limits'],
    'failedLoginsPerAddress' | 'failedLoginsPerUser' | 'failedLoginWindow'
  >;
  /** Epoch milliseconds. */
  readonly now?: () => number;
  /** Waits that many milliseconds. */
  readonly delay?: (ms: number) => Promise<void>;
}

/**
 * How long a good password is remembered. Mail clients open dozens of connections and poll; each would
 * cost 20 ms and 19 MiB otherwise. What is remembered is a MAC under a key of this process over hash and
 * password: changing or removing the hash ends it at once.
 */
const REMEMBER_MS = 60_000;
const REMEMBER_LOGINS = 10_000;
/** argon2 runs on the thread pool that also syncs the store's files: it may not fill it. */
const PARALLEL_HASHES = 2;
/** The first failure waits this long, each further one of the same login or address twice as long. */
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 4_000;
const MAX_LOGIN_LENGTH = 320;

/** An authenticator over the directory. */
export function createAuthenticator(deps: AuthenticatorDeps): Authenticator {
  const now = deps.now ?? Date.now;
  const delay = deps.delay ?? ((ms: number) => sleep(ms, undefined, { ref: false }));
  const window = { windowMs: deps.limits.failedLoginWindow, now };
  const byAddress = createAttempts({ limit: deps.limits.failedLoginsPerAddress, ...window });
  const byLogin = createAttempts({ limit: deps.limits.failedLoginsPerUser, ...window });
  const gate = createGate(PARALLEL_HASHES);
  const remembered = createMemory(now);
  let nobodysHash: Promise<string> | undefined;

  return {
    async login(name, password, peerAddress) {
      const login = name.toLowerCase();
      const address = addressKey(peerAddress);
      const principal = login.length <= MAX_LOGIN_LENGTH ? deps.directory().user(login) : undefined;
      const hash = principal?.user.passwordHash;
      // A password known to be good is no guess: an office behind one address stays able to work while
      // one stale client there uses up the failures of that address.
      if (principal && hash !== undefined && remembered.has(login, hash, password)) return principal;
      const loginKey = login.slice(0, MAX_LOGIN_LENGTH);
      if (!byAddress.reserve(address)) throw new GatewayError('authentication-limited');
      if (!byLogin.reserve(loginKey)) {
        // Not given back to the address: knocking on a locked door is a failure of its own.
        throw new GatewayError('authentication-limited');
      }
      // The same work for an unknown login, or the time would tell who exists.
      nobodysHash ??= hashPassword(randomBytes(16).toString('hex'));
      const against = hash ?? (await nobodysHash);
      const good = await gate(() => verifyPassword(against, password));
      if (good && principal && hash !== undefined) {
        byAddress.release(address);
        byLogin.release(loginKey);
        remembered.add(login, hash, password);
        return principal;
      }
      const failures = Math.max(byAddress.count(address), byLogin.count(loginKey), 1);
      await delay(Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(failures - 1, 10)));
      throw new GatewayError('authentication-failed');
    },
  };
}

function createMemory(now: () => number) {
  const key = randomBytes(32);
  const known = new Map<string, { mac: Buffer; until: number }>();
  const macOf = (hash: string, password: string): Buffer =>
    createHmac('sha256', key).update(`${hash}\0${password}`).digest();
  return {
    has(login: string, hash: string, password: string): boolean {
      const entry = known.get(login);
      if (entry === undefined) return false;
      if (entry.until <= now()) {
        known.delete(login);
        return false;
      }
      return timingSafeEqual(entry.mac, macOf(hash, password));
    },
    add(login: string, hash: string, password: string): void {
      known.delete(login);
      if (known.size >= REMEMBER_LOGINS) known.delete(known.keys().next().value!);
      known.set(login, { mac: macOf(hash, password), until: now() + REMEMBER_MS });
    },
  };
}

/** Lets `places` run at once; the others wait in turn. */
function createGate(places: number) {
  const waiting: (() => void)[] = [];
  let free = places;
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (free > 0) free -= 1;
    else await new Promise<void>((go) => waiting.push(go));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    }
  };
}
