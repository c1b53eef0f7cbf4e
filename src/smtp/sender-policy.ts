/**
 * Who may send as whom. Tenant and provider account follow from the sender's domain and from nothing
 * else (TR-01201 GS 10: sending under the wrong account).
 */
import type { RelayConfig, TenantConfig } from '../config/schema.ts';
import type { Directory, Principal } from '../directory/directory.ts';
import type { ErrorCode } from '../errors.ts';

/** Who is at the other end of the session: someone who logged in, or an admitted relay host. */
export type Identity =
  | { readonly type: 'user'; readonly principal: Principal }
  | { readonly type: 'relay'; readonly relay: RelayConfig };

/** A sender address that the identity may use. */
export interface Sender {
  readonly tenant: TenantConfig;
  /** Its De-Mail form. */
  readonly demail: string;
}

/** The right to an address, internal or De-Mail form, as envelope sender. Pure. */
export function checkSender(directory: Directory, identity: Identity, address: string): Sender | ErrorCode {
  if (address === '') return 'sender-null';
  const tenant = directory.tenantOfAddress(address);
  if (tenant === undefined) return 'sender-no-tenant';
  if (!maySend(directory, identity, tenant, address)) return 'sender-not-permitted';
  const demail = directory.toDemail(tenant, address);
  // An address of the tenant that no De-Mail address belongs to.
  if (demail === undefined || !directory.isDemailAddress(demail)) return 'sender-not-permitted';
  return { tenant, demail };
}

/** The right to the From address of a mail whose envelope sender was accepted. Pure. */
export function checkFrom(
  directory: Directory,
  identity: Identity,
  envelope: Sender,
  address: string,
): Sender | ErrorCode {
  if (directory.tenantOfAddress(address) !== envelope.tenant) return 'from-other-tenant';
  return checkSender(directory, identity, address);
}

function maySend(directory: Directory, identity: Identity, tenant: TenantConfig, address: string): boolean {
  if (identity.type === 'relay') return identity.relay.tenants.includes(tenant.id);
  return identity.principal.tenant === tenant && directory.maySendAs(identity.principal, address);
}
