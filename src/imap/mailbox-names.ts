/**
 * Names as a client sees them ↔ mailboxes of the store. A user's own tree stands at the root; each shared
 * mailbox they may open hangs below `Geteilt/`: its INBOX is `Geteilt/Poststelle`, its other mailboxes lie
 * below that.
 */
import type { Principal } from '../directory/directory.ts';
import { defaultMailboxes, HIERARCHY, INBOX, SHARED_ROOT } from '../directory/mailboxes.ts';
import { GatewayError } from '../errors.ts';
import type { MailboxOwner } from '../store/store.ts';

export interface StoreName {
  readonly owner: MailboxOwner;
  /** Name within the owner's tree. */
  readonly name: string;
}

const maxNameLength = 255;
const maxDepth = 20;

export function ownTree(principal: Principal): MailboxOwner {
  return { type: 'user', name: principal.user.login };
}

/** Where a client's name lies; null below `Geteilt/` where the user may open nothing of that name. */
export function locate(
  principal: Principal,
  shared: readonly MailboxOwner[],
  clientName: string,
): StoreName | null {
  if (clientName !== SHARED_ROOT && !clientName.startsWith(SHARED_ROOT + HIERARCHY))
    return { owner: ownTree(principal), name: clientName };
  const below = clientName.slice(SHARED_ROOT.length + 1);
  // Names of shared mailboxes may contain the separator: the longest that fits is meant.
  const owner = shared
    .filter(({ name }) => below === name || below.startsWith(name + HIERARCHY))
    .sort((a, b) => b.name.length - a.name.length)[0];
  if (!owner) return null;
  return { owner, name: below === owner.name ? INBOX : below.slice(owner.name.length + 1) };
}

/** The name a client sees. */
export function clientName({ owner, name }: StoreName): string {
  if (owner.type === 'user') return name;
  const root = SHARED_ROOT + HIERARCHY + owner.name;
  return name === INBOX ? root : root + HIERARCHY + name;
}

/** Default mailboxes stay where they are: the gateway itself deposits into them. */
export function isDefaultMailbox(name: string): boolean {
  return defaultMailboxes.some((mailbox) => mailbox.name === name);
}

/**
 * A name that a mailbox may get.
 * @throws GatewayError `mailbox-name-invalid`.
 */
export function checkNewName(name: string): void {
  const levels = name.split(HIERARCHY);
  const usable =
    name.length <= maxNameLength &&
    levels.length <= maxDepth &&
    levels.every((level) => level !== '' && level === level.trim()) &&
    !/[\p{Cc}\u2028\u2029\ufffd%*]/u.test(name) &&
    name.isWellFormed();
  if (!usable) throw new GatewayError('mailbox-name-invalid');
}

/**
 * Does a mailbox name match a LIST pattern? `*` stands for anything, `%` for anything within one level.
 * Linear in name times pattern, whatever the pattern.
 */
export function matches(pattern: string, name: string): boolean {
  const inboxPattern = /^inbox(?=\/|$)/i.test(pattern) ? INBOX + pattern.slice(INBOX.length) : pattern;
  let states = closure(inboxPattern, new Set([0]));
  for (const char of name) {
    const next = new Set<number>();
    for (const at of states) {
      const token = inboxPattern[at];
      if (token === '*' || (token === '%' && char !== HIERARCHY)) next.add(at);
      else if (token !== undefined && inboxPattern.codePointAt(at) === char.codePointAt(0))
        next.add(at + char.length);
    }
    states = closure(inboxPattern, next);
    if (states.size === 0) return false;
  }
  return states.has(inboxPattern.length);
}

/** Wildcards match nothing too. */
function closure(pattern: string, states: Set<number>): Set<number> {
  for (const at of states) if (pattern[at] === '*' || pattern[at] === '%') states.add(at + 1);
  return states;
}
