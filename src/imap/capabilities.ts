/** What the facade offers, by state: nothing is named that does not work. */
import type { Session } from './session.ts';

const always = ['IMAP4rev1', 'LITERAL+', 'SASL-IR', 'ID', 'ENABLE'];

const afterLogin = [
  'NAMESPACE',
  'CHILDREN',
  'SPECIAL-USE',
  'LIST-EXTENDED',
  'LIST-STATUS',
  'IDLE',
  'UNSELECT',
  'UIDPLUS',
  'MOVE',
  'CONDSTORE',
  'ESEARCH',
  'STATUS=SIZE',
  'QUOTA',
  'QUOTA=RES-STORAGE',
  'QUOTA=RES-MESSAGE',
  'ACL',
  'RIGHTS=kxte',
  'XLIST',
];

/** Before login without TLS: no way to log in is shown (RFC 3501 6.2.3). */
export function capabilities(session: Pick<Session, 'connection' | 'principal' | 'deps'>): string {
  if (session.principal)
    return [...always, ...afterLogin, `APPENDLIMIT=${session.deps.limits.messageSize}`].join(' ');
  const login = session.connection.secure ? ['AUTH=PLAIN', 'AUTH=LOGIN'] : ['STARTTLS', 'LOGINDISABLED'];
  return [...always, ...afterLogin, ...login].join(' ');
}
