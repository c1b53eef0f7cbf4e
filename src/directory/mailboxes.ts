/**
 * The mailboxes every user and every shared mailbox has. What a mailbox is for stands in the store beside its name
 * (`use`), so that the provider link and the SMTP listener find it whatever it is called. New ones are named in the
 * language of the user, those in a shared mailbox in that of the tenant; existing ones keep their names.
 */
import type { Language, TenantConfig } from '../config/schema.ts';
import type { MailboxDefinition, MailboxOwner } from '../store/store.ts';

export const INBOX = 'INBOX';

/** Names as clients show them (decoded). */
const names = {
  de: {
    confirmations: 'De-Mail-Bestätigungen',
    sent: 'Gesendet',
    drafts: 'Entwürfe',
    trash: 'Papierkorb',
    archive: 'Archiv',
    quarantine: 'Quarantäne',
    shared: 'Geteilt',
  },
  en: {
    confirmations: 'De-Mail confirmations',
    sent: 'Sent',
    drafts: 'Drafts',
    trash: 'Trash',
    archive: 'Archive',
    quarantine: 'Quarantine',
    shared: 'Shared',
  },
} as const satisfies Record<Language, object>;

/** As they are named by default. */
export const CONFIRMATIONS = names.de.confirmations;
export const QUARANTINE = names.de.quarantine;

/** RFC 6154 attributes; words without a backslash are the gateway's own uses, which no client is shown. */
const uses = {
  confirmations: 'confirmations',
  sent: '\\Sent',
  drafts: '\\Drafts',
  trash: '\\Trash',
  archive: '\\Archive',
  quarantine: 'quarantine',
} as const;

/**
 * `confirmations`: confirmations and notifications of the provider. `quarantine`: fetched mail with malware, where the
 * configuration names somebody for it; made when it is needed, as the only one.
 */
export type MailboxRole = keyof typeof uses;

export const SENT_USE = uses.sent;

function definition(language: Language, role: MailboxRole): MailboxDefinition {
  return { name: names[language][role], specialUse: uses[role] };
}

/** Made at login, in this order. */
export function standardMailboxes(language: Language): readonly MailboxDefinition[] {
  const roles = ['confirmations', 'sent', 'drafts', 'trash', 'archive'] as const;
  return [{ name: INBOX, specialUse: null }, ...roles.map((role) => definition(language, role))];
}

/** The language that the owner's mailboxes are named in. */
export function languageOf(tenant: TenantConfig, owner: MailboxOwner): Language {
  const user = owner.type === 'user' ? tenant.users.find(({ login }) => login === owner.name) : undefined;
  return user?.language ?? tenant.language;
}

/** Where the gateway deposits: the mailbox of that use, by this name where there is none yet. */
export function depositPlace(
  tenant: TenantConfig,
  owner: MailboxOwner,
  role: MailboxRole,
): { readonly mailbox: string; readonly specialUse: string | null } {
  const { name, specialUse } = definition(languageOf(tenant, owner), role);
  return { mailbox: name, specialUse };
}

/** The mailboxes that the gateway deposits into or clients know by their use. They cannot be deleted. */
export function isStandard({ name, specialUse }: MailboxDefinition): boolean {
  return name === INBOX || specialUse !== null;
}

/** Shared mailboxes appear below this name: `Geteilt/Poststelle`. */
export function sharedRoot(language: Language): string {
  return names[language].shared;
}

/** Separates the levels of a mailbox name, in the store and on the wire. */
export const HIERARCHY = '/';
