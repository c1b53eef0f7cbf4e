/**
 * The mailboxes every user and every shared mailbox has. Names are as clients show them (decoded); the
 * provider link and the SMTP listener deposit into them by these names, the facade makes them at login.
 */
import type { MailboxDefinition } from '../store/store.ts';

export const INBOX = 'INBOX';
/** Confirmations and notifications of the provider, and the gateway's own notices. */
export const CONFIRMATIONS = 'De-Mail-Bestätigungen';
export const SENT = 'Gesendet';
export const DRAFTS = 'Entwürfe';
export const TRASH = 'Papierkorb';
export const ARCHIVE = 'Archiv';
/** Fetched mail with malware, where the configuration names somebody for it; made when it is needed. */
export const QUARANTINE = 'Quarantäne';

export const defaultMailboxes: readonly MailboxDefinition[] = [
  { name: INBOX, specialUse: null },
  { name: CONFIRMATIONS, specialUse: null },
  { name: SENT, specialUse: '\\Sent' },
  { name: DRAFTS, specialUse: '\\Drafts' },
  { name: TRASH, specialUse: '\\Trash' },
  { name: ARCHIVE, specialUse: '\\Archive' },
];

/** Shared mailboxes appear below this name: `Geteilt/Poststelle`. */
export const SHARED_ROOT = 'Geteilt';
/** Separates the levels of a mailbox name, in the store and on the wire. */
export const HIERARCHY = '/';
