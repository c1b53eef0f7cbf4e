/**
 * Private De-Mails (TR-01201 FU 3.3) in the facade. Whoever opens one is recorded before its bytes leave. Where the
 * tenant demands a client certificate, a session without one sees a placeholder instead, in a mailbox of
 * another UIDVALIDITY: so one UID never has two contents (RFC 3501 2.3.1.1), and a client that logs in with the
 * certificate later on reads everything anew.
 */
import type { X509Certificate } from 'node:crypto';
import { certificateProblem, fingerprintOf } from '../directory/client-certificate.ts';
import type { Principal } from '../directory/directory.ts';
import type { Entry } from '../evidence/entry.ts';
import type { MailboxInfo, MessageContent, MessageRow } from '../store/store.ts';
import type { FetchItem } from './codec/command.ts';
import { tenantOf } from './mailbox-access.ts';
import { clientName } from './mailbox-names.ts';
import { placeholderFor } from './placeholder.ts';
import type { PrivateAccess, Session } from './session.ts';

/**
 * How much lower UIDVALIDITY is for sessions that see placeholders: it grows where a client begins to log in with its
 * certificate (RFC 3501 2.3.1.1), and both stay what they are. Smaller by one with each change of the placeholder's
 * words: what a client has cached under the old ones is not what it is now.
 */
const BELOW = 0x4000_0000;

export function privateAccess(principal: Principal, certificate: X509Certificate | null): PrivateAccess {
  const problem = certificate && problemOf(principal, certificate);
  const proven = certificate !== null && problem === null;
  return {
    restricted: principal.tenant.privateMail.requireClientCertificate && !proven,
    certificate: proven ? fingerprintOf(certificate) : null,
    problem,
  };
}

/** An authority that cannot be read proves nothing, and keeps nobody from the rest of their mail. */
function problemOf(principal: Principal, certificate: X509Certificate): string | null {
  try {
    return certificateProblem(principal, certificate, new Date());
  } catch (error) {
    return (error as Error).message;
  }
}

/** UIDVALIDITY as this session is told it. */
export function shownUidValidity({ privateAccess }: Session, uidValidity: number): number {
  return privateAccess?.restricted ? Math.max(1, uidValidity - BELOW) : uidValidity;
}

/** Rows of messages as this session sees them: a placeholder has a size of its own. */
export async function shownRows(
  session: Session,
  mailbox: number,
  rows: readonly MessageRow[],
): Promise<readonly MessageRow[]> {
  if (!session.privateAccess?.restricted || rows.length === 0) return rows;
  const hidden = await session.deps.store.privateMessages(tenantOf(session), mailbox);
  if (hidden.size === 0) return rows;
  return Promise.all(
    rows.map(async (row) => {
      const index = hidden.get(row.uid);
      return index === undefined ? row : { ...row, size: (await placeholder(session, index)).index.size };
    }),
  );
}

/** Bytes of the mailbox as this session sees it. */
export async function shownBytes(session: Session, info: MailboxInfo): Promise<number> {
  if (!session.privateAccess?.restricted) return info.bytes;
  const rows = await session.deps.store.messages(tenantOf(session), info.id);
  return (await shownRows(session, info.id, rows)).reduce((sum, { size }) => sum + size, 0);
}

/** Messages of the selected mailbox as this session may see them. */
export async function shownContents(session: Session, uids: readonly number[]): Promise<MessageContent[]> {
  const contents = await session.deps.store.contents(tenantOf(session), session.view!.id, uids);
  if (!session.privateAccess?.restricted) return contents;
  return Promise.all(
    contents.map(async (content) =>
      content.privateOf === null
        ? content
        : { uid: content.uid, ...(await placeholder(session, content.privateOf)), privateOf: null },
    ),
  );
}

async function placeholder(session: Session, index: number) {
  const tenant = tenantOf(session);
  return placeholderFor(tenant, index, await session.deps.store.entry(tenant, index));
}

/** Does the item give what the message says? Its header alone, and the headers of parts, are what lists show. */
export function opens(item: FetchItem): boolean {
  if (item.item !== 'SECTION') return false;
  const { what, part } = item.section;
  return what === 'ALL' || what === 'TEXT' || (what !== 'MIME' && part.length > 0);
}

/**
 * Records that this session opens these messages; resolves after the commit. Once for each message and session: a
 * client that fetches it in pieces opens it once.
 */
export async function recordOpenings(
  session: Session,
  contents: Iterable<Pick<MessageContent, 'privateOf'>>,
): Promise<void> {
  const fresh = new Set<number>();
  for (const { privateOf } of contents)
    if (privateOf !== null && !session.opened.has(privateOf)) fresh.add(privateOf);
  if (fresh.size === 0) return;
  const tenant = tenantOf(session);
  const { store } = session.deps;
  const info = await store.mailboxById(tenant, session.view!.id);
  const certificate = session.privateAccess?.certificate ?? null;
  await Promise.all(
    [...fresh].map(async (index) => {
      const letter = letterOf(await store.entry(tenant, index)) ?? index;
      await store.recordOpened(tenant, {
        actor: { type: 'user', name: session.principal!.user.login, address: session.connection.peer },
        letter,
        mailbox: info === null ? '' : clientName(session.principal!, info),
        ...(letter === index ? {} : { about: index }),
        method: certificate === null ? 'password' : 'password and client certificate',
        ...(certificate === null ? {} : { certificate }),
      });
      session.opened.add(index);
    }),
  );
}

function letterOf(entry: Entry | null): number | null {
  return entry?.kind === 'confirmation' || entry?.kind === 'notification' ? entry.letter : null;
}
