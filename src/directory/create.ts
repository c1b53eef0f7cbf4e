/** The directory of a configuration: lookups made once, answered from maps. */
import { type Config, mailboxRights, type TenantConfig } from '../config/schema.ts';
import { MAX_ADDRESS, MAX_DOMAIN, MAX_LOCAL_PART, matchesDomain } from '../demail/domains.ts';
import type { MailboxOwner } from '../store/store.ts';
import type { Directory, Principal, SharedAccess } from './directory.ts';

/** Local part of a De-Mail address: dot-atom (RFC 5322 3.2.3), so that it needs no quoting in any header. */
const DEMAIL_LOCAL = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
const DOMAIN = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

interface TenantIndex {
  readonly toDemail: ReadonlyMap<string, string>;
  readonly toInternal: ReadonlyMap<string, string>;
  /** By address in every form: who has this mailbox. */
  readonly owners: ReadonlyMap<string, MailboxOwner>;
}

/** Builds the directory. Addresses are compared without regard to case (De-Mail addresses are lower case). */
export function createDirectory(config: Config): Directory {
  const byId = new Map(config.tenants.map((tenant) => [tenant.id, tenant]));
  const byDomain = new Map(
    config.tenants.flatMap((tenant) =>
      [...tenant.internalDomains, ...tenant.demailDomains].map((domain) => [domain, tenant] as const),
    ),
  );
  const principals = new Map<string, Principal>(
    config.tenants.flatMap((tenant) =>
      tenant.users.map((user) => [user.login.toLowerCase(), { tenant, user }]),
    ),
  );
  const indexes = new Map(config.tenants.map((tenant) => [tenant.id, indexTenant(tenant)]));

  return {
    tenants: config.tenants,
    tenant: (id) => byId.get(id),
    tenantOfAddress: (address) => byDomain.get(split(address)[1]),
    user: (login) => principals.get(login.toLowerCase()),
    isDemailAddress(address) {
      const [local, domain] = split(address);
      return (
        local.length <= MAX_LOCAL_PART &&
        domain.length <= MAX_DOMAIN &&
        address.length <= MAX_ADDRESS &&
        DEMAIL_LOCAL.test(local) &&
        DOMAIN.test(domain) &&
        matchesDomain(domain, config.demailDomains)
      );
    },
    toDemail,
    toInternal,
    maySendAs(principal, address) {
      const { tenant, user } = principal;
      const wanted = formsOf(tenant, address);
      const permitted = [
        user.login,
        ...user.sendAs,
        ...tenant.sharedMailboxes
          .filter((shared) => shared.members.includes(user.login))
          .map((s) => s.address),
      ];
      return permitted.some((own) => formsOf(tenant, own).some((form) => wanted.includes(form)));
    },
    mailboxOf(tenant, address) {
      const owners = indexes.get(tenant.id)?.owners;
      for (const form of formsOf(tenant, address)) {
        const owner = owners?.get(form);
        if (owner !== undefined) return owner;
      }
      return undefined;
    },
    fallbackOf(tenant) {
      const shared = tenant.sharedMailboxes.some((mailbox) => mailbox.name === tenant.fallbackMailbox);
      return { type: shared ? 'shared' : 'user', name: tenant.fallbackMailbox };
    },
    sharedOf: (principal) => accessOf(principal),
    quotaOf(tenant, owner) {
      const quota =
        owner.type === 'shared'
          ? tenant.sharedMailboxes.find(({ name }) => name === owner.name)?.mailboxQuota
          : (tenant.users.find(({ login }) => login === owner.name)?.mailboxQuota ?? tenant.mailboxQuota);
      return quota === undefined ? null : { bytes: quota.size ?? null, messages: quota.messages ?? null };
    },
  };

  function toDemail(tenant: TenantConfig, address: string): string | undefined {
    const [local, domain] = split(address);
    const known = indexes.get(tenant.id)?.toDemail.get(`${local}@${domain}`);
    if (known !== undefined) return known;
    if (tenant.demailDomains.includes(domain)) return `${local}@${domain}`;
    // Only the first domains of both lists are one address space: erika@a and erika@b may be two people.
    const ruled = tenant.addressMapping.rule === 'same-local-part' && domain === tenant.internalDomains[0];
    if (!ruled) return undefined;
    const mapped = `${local}@${tenant.demailDomains[0]}`;
    // An alias may have given this De-Mail address to somebody else.
    return indexes.get(tenant.id)?.toInternal.has(mapped) ? undefined : mapped;
  }

  function toInternal(tenant: TenantConfig, address: string): string | undefined {
    const [local, domain] = split(address);
    const known = indexes.get(tenant.id)?.toInternal.get(`${local}@${domain}`);
    if (known !== undefined) return known;
    if (tenant.internalDomains.includes(domain)) return `${local}@${domain}`;
    const ruled = tenant.addressMapping.rule === 'same-local-part' && domain === tenant.demailDomains[0];
    if (!ruled) return undefined;
    const mapped = `${local}@${tenant.internalDomains[0]}`;
    return indexes.get(tenant.id)?.toDemail.has(mapped) ? undefined : mapped;
  }

  /** The address in every form of this tenant; nothing for an address of nobody here. */
  function formsOf(tenant: TenantConfig, address: string): string[] {
    const [local, domain] = split(address);
    if (byDomain.get(domain) !== tenant) return [];
    const forms = [`${local}@${domain}`, toDemail(tenant, address), toInternal(tenant, address)];
    return [...new Set(forms.filter((form) => form !== undefined))];
  }
}

/** Rights of user and groups add up, as in RFC 4314 2. */
function accessOf({ tenant, user: { login } }: Principal): SharedAccess[] {
  const groups = new Set(
    tenant.groups.filter(({ members }) => members.includes(login)).map(({ name }) => name),
  );
  return tenant.sharedMailboxes.flatMap(({ name, members, access }) => {
    const granted = access
      .filter(({ user, group }) => user === login || (group !== undefined && groups.has(group)))
      .flatMap(({ rights }) => rights);
    const rights = mailboxRights.filter((right) => members.includes(login) || granted.includes(right));
    return rights.length === 0 ? [] : [{ owner: { type: 'shared', name }, rights }];
  });
}

function indexTenant(tenant: TenantConfig): TenantIndex {
  const { aliases } = tenant.addressMapping;
  const owners = new Map<string, MailboxOwner>();
  for (const shared of tenant.sharedMailboxes) {
    owners.set(shared.address.toLowerCase(), { type: 'shared', name: shared.name });
  }
  for (const user of tenant.users) owners.set(user.login.toLowerCase(), { type: 'user', name: user.login });
  return {
    toDemail: new Map(aliases.map((a) => [a.internal.toLowerCase(), a.demail.toLowerCase()])),
    toInternal: new Map(aliases.map((a) => [a.demail.toLowerCase(), a.internal.toLowerCase()])),
    owners,
  };
}

/** Local part and domain, lower case; the domain is what follows the last `@`. */
function split(address: string): [string, string] {
  const lower = address.toLowerCase();
  const at = lower.lastIndexOf('@');
  return at < 0 ? [lower, ''] : [lower.slice(0, at), lower.slice(at + 1)];
}
