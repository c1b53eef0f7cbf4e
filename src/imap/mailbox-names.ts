/**
 * Names as a client sees them ↔ mailboxes of the store. A user's own tree stands at the root; each shared
 * mailbox they may open hangs below `Geteilt/` (in the user's language): its INBOX is `Geteilt/Poststelle`, its
 * other mailboxes lie below that.
 */
import type { Principal, SharedAccess } from '../directory/directory.ts';
import { HIERARCHY, INBOX, languageOf, sharedRoot } from '../directory/mailboxes.ts';
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

/** The name that this user's shared mailboxes hang below. */
export function rootOf(principal: Principal): string {
  return sharedRoot(languageOf(principal.tenant, ownTree(principal)));
}

/** Where a client's name lies: in the user's own tree, or in that of a shared mailbox that they may open. */
export function locate(principal: Principal, shared: readonly SharedAccess[], clientName: string): StoreName {
  const [root, mailbox, ...levels] = clientName.split(HIERARCHY);
  const owner =
    root === rootOf(principal) ? shared.find((access) => access.owner.name === mailbox)?.owner : undefined;
  if (!owner) return { owner: ownTree(principal), name: clientName };
  return { owner, name: levels.length === 0 ? INBOX : levels.join(HIERARCHY) };
}

/** The name a client sees. */
export function clientName(principal: Principal, { owner, name }: StoreName): string {
  if (owner.type === 'user') return name;
  const root = rootOf(principal) + HIERARCHY + owner.name;
  return name === INBOX ? root : root + HIERARCHY + name;
}

/**
 * One spelling for names that look alike: composed characters, as macOS does not write them, and INBOX also before a
 * separator (RFC 5198, RFC 3501 5.1).
 */
export function normaliseName(name: string): string {
  const composed = name.normalize('NFC');
  return /^inbox(?=\/|$)/i.test(composed) ? INBOX + composed.slice(INBOX.length) : composed;
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
  const inboxPattern = normaliseName(pattern);
  let states = closure(inboxPattern, new Set([0]));
  for (const char of normaliseName(name)) {
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
