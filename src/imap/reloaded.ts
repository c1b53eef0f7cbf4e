/** After a reload of the configuration: whose rights are no longer what they were at login has to log in again. */
import { bye, type Session } from './session.ts';

/** What a login was worth: another password, address or shared mailbox makes it another one. */
export function rightsOf({ principal, deps }: Pick<Session, 'principal' | 'deps'>): string | null {
  if (principal === null) return null;
  const directory = deps.directory();
  const now = directory.user(principal.user.login);
  if (now === undefined || now.tenant.id !== principal.tenant.id) return null;
  return JSON.stringify([now.user, now.tenant.privateMail, directory.sharedOf(now)]);
}

export function dismiss(session: Session): void {
  bye(session, 'Your rights have changed, please log in again');
}
