/**
 * Whether a tenant's account may be logged in to now: not while the tenant is locked (TR-01201 GS 10.2.2.1), and
 * at level high only within its calendar (FU 3.3.5). One gate per account; whoever logs in asks it first.
 */
import type { ProviderConfig } from '../config/schema.ts';
import { type Calendar, createCalendar } from '../demail/calendar.ts';
import type { Directory } from '../directory/directory.ts';
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { Store } from '../store/store.ts';

export type Protocol = 'imap' | 'smtp';

export interface Closed {
  readonly why: 'locked' | 'outside-hours';
  /** Epoch milliseconds of the next opening; null where only an operator opens it. */
  readonly until: number | null;
  readonly text: string;
}

export interface Gate {
  /** Null where it is open. `outsideHours`: an operator wants it whatever the calendar says; a lock still holds. */
  closed(protocol: Protocol, outsideHours?: boolean): Closed | null;
  /** Its signal aborts as soon as the gate closes. */
  whileOpen(protocol: Protocol, outsideHours?: boolean): Disposable & { readonly signal: AbortSignal };
  /** The configuration is another one: looks at once whether that opens or closes. */
  refresh(): void;
  /** Called after every change between open and closed. */
  onChange(listener: () => void): Disposable;
  /** Resolves at the next change. */
  changed(): Promise<void>;
  readonly locked: boolean;
  /** Milliseconds between two instants in which the calendar kept the protocol from logging in. */
  closedBetween(protocol: Protocol, from: number, to: number): number;
  /** Epoch milliseconds at which a lock was lifted last; null where none was since the start. */
  readonly unlockedAt: number | null;
  close(): void;
}

export interface GateDeps {
  readonly store: Pick<Store, 'lock' | 'changes'>;
  readonly directory: () => Directory;
  readonly tenant: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** The calendar is asked again at least this often (milliseconds), so that a clock set anew is noticed. */
const longestLook = 60_000;
/** Nothing opens within the calendar's horizon. */
const never = 'no login window within 400 days';

/** @throws what the store throws: without knowing the lock nothing may log in */
export async function createGate(deps: GateDeps): Promise<Gate> {
  const { store, tenant, clock, log } = deps;
  const calendarOf = rememberCalendar();
  const listeners = new Set<() => void>();
  let lock = await store.lock(tenant);
  let unlockedAt: number | null = null;
  let reading: Promise<void> = Promise.resolve();
  let timer: Disposable | undefined;
  let ended = false;
  let last = '';

  function governing(protocol: Protocol): Calendar | null {
    const provider = deps.directory().tenant(tenant)?.provider;
    if (provider === undefined || !legalEffect(provider, protocol)) return null;
    return provider.loginCalendar === undefined ? null : calendarOf(provider.loginCalendar);
  }

  function closed(protocol: Protocol, outsideHours = false): Closed | null {
    if (lock !== null) {
      return { why: 'locked', until: null, text: `locked since ${lock.since}: ${lock.reason}` };
    }
    const calendar = outsideHours ? null : governing(protocol);
    const now = clock.now();
    if (calendar === null || calendar.isOpen(now)) return null;
    const until = calendar.nextOpening(now);
    const text = until === null ? never : `waits for login window until ${new Date(until).toISOString()}`;
    return { why: 'outside-hours', until, text };
  }

  function look() {
    timer?.[Symbol.dispose]();
    if (ended) return;
    if (governing('imap') !== null) timer = clock.after(nextLook(), look);
    const state = `${closed('imap')?.why} ${closed('smtp')?.why}`;
    if (state === last) return;
    last = state;
    for (const listener of [...listeners]) listener();
  }

  function nextLook(): number {
    const now = clock.now();
    const calendar = governing('imap');
    const change = calendar?.closesAt(now) ?? calendar?.nextOpening(now) ?? Number.POSITIVE_INFINITY;
    return Math.min(Math.max(change - now, 1), longestLook);
  }

  function onChange(listener: () => void): Disposable {
    listeners.add(listener);
    return { [Symbol.dispose]: () => void listeners.delete(listener) };
  }

  async function readLock() {
    const before = lock;
    try {
      lock = await store.lock(tenant);
    } catch (error) {
      log.error({ tenant, error: String(error) }, 'lock cannot be read; the account counts as locked');
      lock = {
        since: new Date(clock.now()).toISOString(),
        reason: 'the lock cannot be read',
        actor: 'gateway',
      };
    }
    if (before !== null && lock === null) unlockedAt = clock.now();
    look();
  }

  const subscription = store.changes.subscribe((change) => {
    if (change.topic === 'lock' && change.tenant === tenant) reading = reading.then(readLock);
  });
  look();
  return {
    closed,
    whileOpen(protocol, outsideHours) {
      const stop = new AbortController();
      const check = () => {
        const found = closed(protocol, outsideHours);
        if (found !== null) stop.abort(new Error(found.text));
      };
      const watching = onChange(check);
      check();
      return { signal: stop.signal, [Symbol.dispose]: () => watching[Symbol.dispose]() };
    },
    refresh: look,
    onChange,
    changed() {
      const { promise, resolve } = Promise.withResolvers<void>();
      const once = onChange(() => {
        once[Symbol.dispose]();
        resolve();
      });
      return promise;
    },
    get locked() {
      return lock !== null;
    },
    closedBetween: (protocol, from, to) => governing(protocol)?.closedBetween(from, to) ?? 0,
    get unlockedAt() {
      return unlockedAt;
    },
    close() {
      ended = true;
      subscription[Symbol.dispose]();
      timer?.[Symbol.dispose]();
      listeners.clear();
    },
  };
}

/** A login at level high serves what lies in the account; by SMTP only where the provider sees it so. */
export function legalEffect(provider: ProviderConfig, protocol: Protocol): boolean {
  return provider.authLevel === 'high' && (protocol === 'imap' || provider.smtpLoginServes);
}

/** The calendar is made anew only when a reload brought other settings. */
function rememberCalendar() {
  let made: { from: NonNullable<ProviderConfig['loginCalendar']>; calendar: Calendar } | undefined;
  return (settings: NonNullable<ProviderConfig['loginCalendar']>): Calendar => {
    if (made?.from !== settings) made = { from: settings, calendar: createCalendar(settings) };
    return made.calendar;
  };
}
