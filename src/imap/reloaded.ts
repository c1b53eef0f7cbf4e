/**
 * After a reload of the configuration: rights and quotas are those of the new one from the next command on. Whose login
 * is no longer what it was has to log in again, and so has who looks at a mailbox that is closed to them now.
 */
import { languageOf } from '../directory/mailboxes.ts';
import { rightsOn } from './mailbox-access.ts';
import { ownTree } from './mailbox-names.ts';
import { openTrees } from './mailbox-trees.ts';
import { bye, type Session } from './session.ts';

/** What a login is worth: another password, certificate or language makes it another one. */
export function worthOf({ principal, deps }: Pick<Session, 'principal' | 'deps'>): string | null {
  if (principal === null) return null;
  const now = deps.directory().user(principal.user.login);
  if (now === undefined || now.tenant.id !== principal.tenant.id) return null;
  const { passwordHash, certificates } = now.user;
  const language = languageOf(now.tenant, ownTree(now));
  return JSON.stringify([passwordHash, certificates, language, now.tenant.privateMail]);
}

/** Takes the rights over, or ends the session where they are no longer enough. Changes nothing else at once. */
export function takeRights(session: Session): void {
  const directory = session.deps.directory();
  if (directory === session.directory) return;
  session.directory = directory;
  if (session.principal === null) return;
  const principal = directory.user(session.principal.user.login);
  if (session.worth !== worthOf(session) || principal === undefined) {
    dismiss(session);
    return;
  }
  session.principal = principal;
  session.shared = directory.sharedOf(principal);
  session.treesOpen = false;
  if (session.view && !rightsOn(session, session.view.owner).includes('read')) dismiss(session);
}

/** Before a command: also makes the mailboxes of what was opened to the user meanwhile. */
export async function takeOver(session: Session): Promise<void> {
  takeRights(session);
  if (session.ended || !session.principal || session.treesOpen) return;
  try {
    await openTrees(session, session.principal);
  } catch (error) {
    session.treesOpen = false;
    session.log.error({ err: error }, 'mailboxes could not be made');
  }
}

function dismiss(session: Session): void {
  bye(session, 'Your rights have changed, please log in again');
}
