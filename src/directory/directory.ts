/**
 * Who is who: tenants, users and rights, and the one way from a sender's domain to a tenant's provider
 * account (GS chapter 10: sending under the wrong account). Built from the configuration, replaced whole
 * on reload, never changed in place.
 */
import type { MailboxRight, TenantConfig, UserConfig } from '../config/schema.ts';
import type { MailboxOwner, MailboxQuota } from '../store/store.ts';

/** A user after login. */
export interface Principal {
  readonly tenant: TenantConfig;
  readonly user: UserConfig;
}

/** A shared mailbox with what a user may do in it and in the mailboxes below it. */
export interface SharedAccess {
  readonly owner: MailboxOwner;
  readonly rights: readonly MailboxRight[];
}

export interface Directory {
  readonly tenants: readonly TenantConfig[];
  tenant(id: string): TenantConfig | undefined;
  /** By the internal or De-Mail domain of an address, whole domain only; undefined fits no tenant. */
  tenantOfAddress(address: string): TenantConfig | undefined;
  /** The user of a login name, without any check of a password. */
  user(login: string): Principal | undefined;
  /** True for a domain that counts as De-Mail. */
  isDemailAddress(address: string): boolean;
  /** Internal or De-Mail form → De-Mail form; undefined where the mapping has none. */
  toDemail(tenant: TenantConfig, address: string): string | undefined;
  /** De-Mail or internal form → internal form; undefined where the mapping has none. */
  toInternal(tenant: TenantConfig, address: string): string | undefined;
  /** May this user send from the address (either form)? The login, sendAs, and shared mailboxes they are members of. */
  maySendAs(principal: Principal, address: string): boolean;
  /** The mailbox that belongs to an address (either form): a user's, a shared one, or none. */
  mailboxOf(tenant: TenantConfig, address: string): MailboxOwner | undefined;
  /** The fallback mailbox of the tenant. */
  fallbackOf(tenant: TenantConfig): MailboxOwner;
  /** Shared mailboxes that the user may open, and what they may do in each. */
  sharedOf(principal: Principal): readonly SharedAccess[];
  /** What clients may fill the owner's mailboxes with; null: no limit. */
  quotaOf(tenant: TenantConfig, owner: MailboxOwner): MailboxQuota | null;
}

/** Checks a password; slows and limits failures per address and per user. */
export interface Authenticator {
  /**
   * @throws GatewayError `authentication-failed`, or `authentication-limited` where there were too many
   * failures from this peer address or for this login.
   */
  login(login: string, password: string, peerAddress: string): Promise<Principal>;
}
