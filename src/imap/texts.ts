/**
 * What mail clients show when something is refused, in the language of the user. ASCII, with ae for ä: text of responses
 * is US-ASCII unless LANGUAGE (RFC 5255) was negotiated.
 */
import { toAscii } from '../ascii.ts';
import type { Language } from '../config/schema.ts';
import { languageOf } from '../directory/mailboxes.ts';
import { GatewayError } from '../errors.ts';
import { errorText } from '../errors-german.ts';
import { ownTree } from './mailbox-names.ts';
import { type Answer, no, type Session } from './session.ts';

/** Details that the commands give; others are names and numbers. */
const germanDetails: Readonly<Record<string, string>> = {
  'it was opened by EXAMINE': 'es ist nur zum Lesen geöffnet',
  'a private De-Mail goes into no shared mailbox':
    'eine persönliche De-Mail gehört in kein gemeinsames Postfach',
  'no such quota root': 'diese Quote gibt es nicht',
  'quotas are set in the configuration': 'Quoten setzt die Konfiguration',
  'rights are set in the configuration': 'Rechte setzt die Konfiguration',
  'it belongs to the gateway': 'es gehört dem Gateway',
  'move the messages instead': 'verschieben Sie stattdessen die Nachrichten',
  'a mailbox cannot move into itself': 'es kann nicht in sich selbst liegen',
  'it holds the shared mailboxes': 'darin liegen die gemeinsamen Postfächer',
  'shared mailboxes are made in the configuration': 'gemeinsame Postfächer legt die Konfiguration an',
};

export function refusalText(session: Session, { code, detail }: GatewayError): string {
  const language = languageFor(session);
  const shown = language === 'de' && detail !== undefined ? (germanDetails[detail] ?? detail) : detail;
  return toAscii(errorText(code, language) + (shown === undefined ? '' : ` (${shown})`));
}

/** RFC 3501 6.3.11: the client should make the mailbox first. */
export function tryCreate(session: Session): Answer {
  return no(refusalText(session, new GatewayError('mailbox-unknown')), 'TRYCREATE');
}

/** Before login: what all tenants share, else English. */
function languageFor({ principal, directory }: Session): Language {
  if (principal !== null) return languageOf(principal.tenant, ownTree(principal));
  return directory.tenants.every(({ language }) => language === 'de') ? 'de' : 'en';
}
