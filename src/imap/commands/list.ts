/** LIST, extended and plain, LSUB, STATUS. RFC 3501 6.3.8 to 6.3.10; RFC 5258, 5819, 6154, 8438. */
import { HIERARCHY, INBOX } from '../../directory/mailboxes.ts';
import type { MailboxInfo } from '../../store/store.ts';
import type { CommandOf, StatusItem } from '../codec/command.ts';
import { printMailbox, printString } from '../codec/printer.ts';
import { findMailbox, principalOf, seenUser, tenantOf } from '../mailbox-access.ts';
import { clientName, matches, ownTree } from '../mailbox-names.ts';
import { shownBytes, shownRows, shownUidValidity } from '../private-mail.ts';
import { type Answer, enableCondstore, ok, type Session } from '../session.ts';

const separator = printString(HIERARCHY);

/** A name in the tree as the client sees it; without `info` it only holds names below it, or is subscribed. */
interface Node {
  readonly name: string;
  info: MailboxInfo | null;
  subscribed: boolean;
}

export async function list(session: Session, command: CommandOf<'LIST'>): Promise<Answer> {
  const { connection } = session;
  // RFC 3501 6.3.8: an empty name asks for the separator and the root of the reference.
  if (!command.extended && command.patterns[0] === '') {
    connection.send(`* LIST (\\Noselect) ${separator} ""\r\n`);
    return ok('List done');
  }
  const tree = await readTree(session);
  const wantsSubscribed = command.select.includes('SUBSCRIBED');
  const showSubscribed = wantsSubscribed || command.returns.includes('SUBSCRIBED');
  const patterns = command.patterns.map((pattern) => command.reference + pattern);
  for (const node of tree.values()) {
    if (!patterns.some((pattern) => matches(pattern, node.name))) continue;
    if (command.select.includes('SPECIAL-USE') && !specialUseOf(node)) continue;
    // RFC 5258 3.5: for what is subscribed below and shown by no pattern itself.
    const below =
      wantsSubscribed &&
      command.select.includes('RECURSIVEMATCH') &&
      subscribedBelow(tree, node, (name) => !patterns.some((pattern) => matches(pattern, name)));
    if (wantsSubscribed && !node.subscribed && !below) continue;
    // A plain LIST shows what is there, and the names that only hold others.
    if (!wantsSubscribed && !node.info && !hasChildren(tree, node)) continue;
    const attributes = attributesOf(tree, node);
    if (showSubscribed && node.subscribed) attributes.push('\\Subscribed');
    const info = below && !node.subscribed ? ' ("CHILDINFO" ("SUBSCRIBED"))' : '';
    connection.send(`* LIST (${attributes.join(' ')}) ${separator} ${printMailbox(node.name)}${info}\r\n`);
    if (command.status && node.info) await sendStatus(session, node.name, node.info, command.status);
    await connection.breathe();
  }
  return ok('List done');
}

export async function lsub(session: Session, command: CommandOf<'LSUB'>): Promise<Answer> {
  const tree = await readTree(session);
  const pattern = command.reference + command.pattern;
  for (const node of tree.values()) {
    if (!matches(pattern, node.name)) continue;
    // RFC 3501 6.3.9: with `%`, a name whose inferiors are subscribed is shown as \Noselect.
    const implied = !node.subscribed && pattern.endsWith('%') && subscribedBelow(tree, node);
    if (!node.subscribed && !implied) continue;
    const attributes = implied ? '\\Noselect' : '';
    session.connection.send(`* LSUB (${attributes}) ${separator} ${printMailbox(node.name)}\r\n`);
  }
  return ok('Lsub done');
}

/** Before RFC 6154 there was Gmail's XLIST, which older Outlooks and Apple Mails ask with. */
export async function xlist(session: Session, command: CommandOf<'XLIST'>): Promise<Answer> {
  if (command.pattern === '') {
    session.connection.send(`* XLIST (\\Noselect) ${separator} ""\r\n`);
    return ok('Xlist done');
  }
  const tree = await readTree(session);
  const pattern = command.reference + command.pattern;
  for (const node of tree.values()) {
    if (!matches(pattern, node.name) || (!node.info && !hasChildren(tree, node))) continue;
    const attributes = [...attributesOf(tree, node), ...(node.name === INBOX ? ['\\Inbox'] : [])];
    session.connection.send(`* XLIST (${attributes.join(' ')}) ${separator} ${printMailbox(node.name)}\r\n`);
  }
  return ok('Xlist done');
}

export async function status(session: Session, command: CommandOf<'STATUS'>): Promise<Answer> {
  const info = await findMailbox(session, command.mailbox);
  // RFC 7162 3.1.7: asking for it shows that the client knows CONDSTORE.
  if (command.items.includes('HIGHESTMODSEQ')) enableCondstore(session);
  await sendStatus(session, command.mailbox, info, command.items);
  return ok('Status done');
}

async function sendStatus(
  session: Session,
  name: string,
  info: MailboxInfo,
  items: readonly StatusItem[],
): Promise<void> {
  const user = seenUser(session, info.owner);
  const { recent, limits } = session.deps;
  // RFC 9208 4.1.4: what an EXPUNGE would free.
  const deleted = async () => {
    const rows = await session.deps.store.messages(tenantOf(session), info.id);
    return (await shownRows(session, info.id, rows)).filter(({ flags }) => flags.includes('\\Deleted'));
  };
  const values: Readonly<Record<StatusItem, () => number | Promise<number>>> = {
    MESSAGES: () => info.messages,
    RECENT: () => info.uidNext - recent.peek(info.id, info.uidNext),
    UIDNEXT: () => info.uidNext,
    UIDVALIDITY: () => shownUidValidity(session, info.uidValidity),
    UNSEEN: () =>
      user === undefined ? info.unseen : session.deps.store.unseenBy(tenantOf(session), info.id, user),
    SIZE: () => shownBytes(session, info),
    HIGHESTMODSEQ: () => info.highestModseq,
    APPENDLIMIT: () => limits.messageSize,
    DELETED: async () => (await deleted()).length,
    'DELETED-STORAGE': async () => (await deleted()).reduce((sum, { size }) => sum + size, 0),
  };
  const shown: string[] = [];
  for (const item of items) shown.push(`${item} ${await values[item]()}`);
  session.connection.send(`* STATUS ${printMailbox(name)} (${shown.join(' ')})\r\n`);
}

/** Every name the user can see, in order of the tree, with the names in between that hold others. */
async function readTree(session: Session): Promise<Map<string, Node>> {
  const { store } = session.deps;
  const tenant = tenantOf(session);
  const principal = principalOf(session);
  const nodes = new Map<string, Node>();
  const node = (name: string): Node => {
    const known = nodes.get(name);
    if (known) return known;
    const made: Node = { name, info: null, subscribed: false };
    nodes.set(name, made);
    return made;
  };
  const owners = [ownTree(principal), ...session.shared.map(({ owner }) => owner)];
  for (const owner of owners)
    for (const info of await store.mailboxes(tenant, owner)) node(clientName(principal, info)).info = info;
  for (const place of await store.subscriptions(tenant, principal.user.login)) {
    const visible = owners.some(({ type, name }) => type === place.owner.type && name === place.owner.name);
    if (visible) node(clientName(principal, place)).subscribed = true;
  }
  for (const name of [...nodes.keys()]) {
    const levels = name.split(HIERARCHY);
    for (let depth = 1; depth < levels.length; depth++) node(levels.slice(0, depth).join(HIERARCHY));
  }
  const inOrder = [...nodes.values()].sort((a, b) => order(a, b));
  return new Map(inOrder.map((entry) => [entry.name, entry]));
}

/** INBOX first, then by name; levels compare level by level, so that children follow their parent. */
function order(a: Node, b: Node): number {
  const key = ({ name }: Node) => (name === INBOX ? '' : name.replaceAll(HIERARCHY, '\u0001'));
  return key(a) < key(b) ? -1 : 1;
}

function attributesOf(tree: ReadonlyMap<string, Node>, node: Node): string[] {
  const attributes: string[] = [];
  const children = hasChildren(tree, node);
  if (!node.info) attributes.push(children ? '\\Noselect' : '\\NonExistent');
  attributes.push(children ? '\\HasChildren' : '\\HasNoChildren');
  const use = specialUseOf(node);
  if (use) attributes.push(use);
  return attributes;
}

/** Special use belongs to the user's own mailboxes: a client files its Sent copies by it. */
function specialUseOf({ info }: Node): string | null {
  const use = info?.owner.type === 'user' ? info.specialUse : null;
  return use?.startsWith('\\') ? use : null;
}

function hasChildren(tree: ReadonlyMap<string, Node>, { name }: Node): boolean {
  for (const other of tree.values()) if (other.name.startsWith(name + HIERARCHY) && other.info) return true;
  return false;
}

function subscribedBelow(
  tree: ReadonlyMap<string, Node>,
  { name }: Node,
  counts: (name: string) => boolean = () => true,
): boolean {
  for (const other of tree.values())
    if (other.subscribed && other.name.startsWith(name + HIERARCHY) && counts(other.name)) return true;
  return false;
}
