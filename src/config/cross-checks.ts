/** What a schema cannot say: names that must exist, must be unique, must fit each other. */
import { isIP } from 'node:net';
import { matchesDomain } from '../demail/domains.ts';
import { needsLevelHigh } from '../demail/options.ts';
import { COSIGNATURE, ED25519, parseVerifierKey } from '../evidence/note.ts';
import { shortestPeriod } from './retention.ts';
import type { Config, TenantConfig } from './schema.ts';
import type { Finding, Path } from './yaml.ts';

/** All contradictions within a configuration that fits the schema. Pure. */
export function crossCheck(config: Config, known: { knownTenants?: readonly string[] } = {}): Finding[] {
  const findings: Finding[] = [];
  const add = (path: Path, message: string): void => {
    findings.push({ path, message });
  };
  const unique = uniqueness(add);
  config.tenants.forEach((tenant, t) => {
    const at: Path = ['tenants', t];
    unique('tenant id', tenant.id, [...at, 'id'], 'ids are unique');
    unique('account', tenant.provider.account, [...at, 'provider', 'account'], 'account names are unique');
    for (const list of ['internalDomains', 'demailDomains'] as const) {
      tenant[list].forEach((domain, i) => {
        // The same domain may be a tenant's internal and De-Mail domain at once, but never two tenants'.
        unique('domain', domain, [...at, list, i], 'a domain belongs to one tenant', tenant.id);
      });
    }
    tenant.demailDomains.forEach((domain, i) => {
      if (!matchesDomain(domain, config.demailDomains)) {
        add([...at, 'demailDomains', i], `${domain} is not covered by demailDomains at the top of the file`);
      }
    });
    tenant.users.forEach((user, u) => {
      unique('login', user.login, [...at, 'users', u, 'login'], 'a login belongs to one user');
    });
    checkTenant(tenant, at, add);
  });
  const { backup, secondCopy } = config.preservation;
  if (backup && (config.keys?.recovery ?? []).length === 0)
    add(
      ['preservation', 'backup'],
      'a backup opens by a recovery key where this host is gone: name its certificate under keys.recovery',
    );
  if (secondCopy && !backup)
    add(
      ['preservation', 'secondCopy'],
      'a second copy continues a backup: configure preservation.backup as well',
    );
  config.evidence.witnesses.forEach((witness, w) => {
    const path: Path = ['evidence', 'witnesses', w, 'key'];
    unique('witness key', witness.key, path, 'a witness is named once');
    checkKey(witness.key, COSIGNATURE, path, add);
  });
  config.witness?.logs.forEach((log, l) => {
    unique('log', log.origin, ['witness', 'logs', l, 'origin'], 'a log is named once');
    log.keys.forEach((key, k) => {
      checkKey(key, ED25519, ['witness', 'logs', l, 'keys', k], add);
    });
  });
  const ids = new Set([...config.tenants.map((tenant) => tenant.id), ...(known.knownTenants ?? [])]);
  config.relays.forEach((relay, r) => {
    unique('relay', relay.name, ['relays', r, 'name'], 'names of relays are unique');
    relay.tenants.forEach((id, i) => {
      if (!ids.has(id)) add(['relays', r, 'tenants', i], `no tenant has the id ${id}`);
    });
    relay.addresses.forEach((address, i) => {
      if (!isAddressRange(address)) {
        add(
          ['relays', r, 'addresses', i],
          `${address} is neither an IP address nor a CIDR range such as 10.1.0.0/16`,
        );
      }
    });
  });
  return findings;
}

/** Kinds that the provider has a copy of. */
const fetchedKinds = new Set(['inbound', 'confirmation', 'notification', 'sent-copy', 'submission']);

/** A letter that was erased must not lie on at the provider. */
function checkDeletion(
  { provider, retention }: TenantConfig,
  at: Path,
  add: (path: Path, message: string) => void,
): void {
  const { deleteAfter } = provider;
  if (deleteAfter === undefined) return;
  retention.classes.forEach(({ name, keep, match }, i) => {
    if (keep === 'forever' || match.kinds?.every((kind) => !fetchedKinds.has(kind))) return;
    const shortest = shortestPeriod(keep);
    if (deleteAfter > shortest)
      add(
        [...at, 'retention', 'classes', i, 'keep'],
        `class ${name} may end after ${shortest / 86_400_000} days, and provider.deleteAfter leaves copies at the provider for ${deleteAfter / 86_400_000} days: what was erased would lie on there`,
      );
  });
}

function checkTenant(tenant: TenantConfig, at: Path, add: (path: Path, message: string) => void): void {
  const logins = new Set(tenant.users.map((user) => user.login));
  const shared = new Set(tenant.sharedMailboxes.map((mailbox) => mailbox.name));
  const inside = (address: string, domains: readonly string[]): boolean =>
    domains.includes(address.slice(address.lastIndexOf('@') + 1));
  const unique = uniqueness(add);
  const own = [...tenant.internalDomains, ...tenant.demailDomains];

  tenant.addressMapping.aliases.forEach((alias, i) => {
    const path: Path = [...at, 'addressMapping', 'aliases', i];
    if (!inside(alias.internal, tenant.internalDomains)) {
      add([...path, 'internal'], `${alias.internal} is outside the tenant's internalDomains`);
    }
    if (!inside(alias.demail, tenant.demailDomains)) {
      add([...path, 'demail'], `${alias.demail} is outside the tenant's demailDomains`);
    }
    unique('alias', alias.internal, [...path, 'internal'], 'an address is mapped once');
    unique('De-Mail alias', alias.demail, [...path, 'demail'], 'an address is mapped once');
  });

  for (const [control, option] of [
    ['fromReadReceipt', 'retrieval'],
    ['fromImportance', 'authoritative'],
  ] as const) {
    if (!tenant.options[control]) continue;
    const path: Path = [...at, 'options', control];
    // Otherwise every message with that control would be refused.
    if (!tenant.options.permitted.includes(option)) add(path, `${option} is not among options.permitted`);
    if (tenant.provider.authLevel !== 'high')
      add(path, `${option} needs provider.authLevel high (TR-01201 FU 3.3)`);
  }

  for (const list of ['default', 'permitted'] as const) {
    tenant.options[list].forEach((option, i) => {
      const needsHigh = needsLevelHigh(option);
      if (list === 'default' && !tenant.options.permitted.includes(option)) {
        add([...at, 'options', list, i], `${option} is a default but not among options.permitted`);
      }
      if (list === 'default' && needsHigh && tenant.provider.authLevel !== 'high') {
        add([...at, 'options', list, i], `${option} needs provider.authLevel high (TR-01201 FU 3.3)`);
      }
    });
  }

  tenant.users.forEach((user, u) => {
    const path: Path = [...at, 'users', u];
    if (!inside(user.login, tenant.internalDomains)) {
      add([...path, 'login'], `${user.login} is outside the tenant's internalDomains`);
    }
    if ((user.passwordHash === undefined) === (user.passwordHashFile === undefined)) {
      add(path, 'a user has either passwordHash or passwordHashFile; make a hash with "user hash"');
    }
    user.sendAs.forEach((address, i) => {
      if (!inside(address, own)) add([...path, 'sendAs', i], `${address} is outside the tenant's domains`);
    });
    user.permittedOptions?.forEach((option, i) => {
      if (!tenant.options.permitted.includes(option)) {
        add([...path, 'permittedOptions', i], `${option} is not among the tenant's options.permitted`);
      }
    });
  });

  tenant.groups.forEach((group, g) => {
    const path: Path = [...at, 'groups', g];
    unique('group', group.name, [...path, 'name'], 'names are unique');
    group.members.forEach((member, i) => {
      if (!logins.has(member)) add([...path, 'members', i], `no user of the tenant has the login ${member}`);
    });
  });

  tenant.sharedMailboxes.forEach((mailbox, m) => {
    const path: Path = [...at, 'sharedMailboxes', m];
    unique('shared mailbox', mailbox.name, [...path, 'name'], 'names are unique');
    unique('shared address', mailbox.address, [...path, 'address'], 'an address belongs to one mailbox');
    if (logins.has(mailbox.name)) add([...path, 'name'], `${mailbox.name} is also a login`);
    if (logins.has(mailbox.address)) add([...path, 'address'], `${mailbox.address} is also a login`);
    if (/[/\p{Cc}]/u.test(mailbox.name))
      add([...path, 'name'], 'a name has no "/" and no control characters');
    if (!inside(mailbox.address, own))
      add([...path, 'address'], `${mailbox.address} is outside the tenant's domains`);
    mailbox.members.forEach((member, i) => {
      if (!logins.has(member)) add([...path, 'members', i], `no user of the tenant has the login ${member}`);
    });
    mailbox.access.forEach(({ user, group }, i) => {
      if (user !== undefined && !logins.has(user))
        add([...path, 'access', i, 'user'], `no user of the tenant has the login ${user}`);
      if (group !== undefined && !tenant.groups.some(({ name }) => name === group))
        add([...path, 'access', i, 'group'], `the tenant has no group ${group}`);
    });
  });

  if (!logins.has(tenant.fallbackMailbox) && !shared.has(tenant.fallbackMailbox)) {
    add(
      [...at, 'fallbackMailbox'],
      `${tenant.fallbackMailbox} is neither a shared mailbox nor a login of the tenant`,
    );
  }
  const { quarantine } = tenant;
  if (quarantine !== undefined && !logins.has(quarantine) && !shared.has(quarantine)) {
    add([...at, 'quarantine'], `${quarantine} is neither a shared mailbox nor a login of the tenant`);
  }
  checkPrivateMail(tenant, [...at, 'privateMail'], add);
  tenant.operators.forEach((operator, i) => {
    if (!logins.has(operator))
      add([...at, 'operators', i], `no user of the tenant has the login ${operator}`);
  });
  const classes = new Set<string>();
  tenant.retention.classes.forEach(({ name }, i) => {
    if (classes.has(name)) add([...at, 'retention', 'classes', i, 'name'], `class ${name} occurs twice`);
    classes.add(name);
  });
  checkDeletion(tenant, at, add);
  const { approvers } = tenant.retention;
  approvers.forEach((login, i) => {
    if (!logins.has(login))
      add([...at, 'retention', 'approvers', i], `no user of the tenant has the login ${login}`);
  });
  if (approvers.length > 0 && new Set(approvers).size < 2)
    add([...at, 'retention', 'approvers'], 'one person alone can erase nothing: name two at least');
  if (!tenant.delivery.facade && !tenant.delivery.forward) {
    add([...at, 'delivery'], 'mail is delivered nowhere: set facade: true, or forward, or both');
  }
}

function checkPrivateMail(
  { privateMail, sharedMailboxes, users }: TenantConfig,
  at: Path,
  add: (path: Path, message: string) => void,
): void {
  const shared = new Set(sharedMailboxes.map(({ name }) => name));
  privateMail.shared.forEach((name, i) => {
    if (!shared.has(name)) add([...at, 'shared', i], `the tenant has no shared mailbox ${name}`);
  });
  const { fallback } = privateMail;
  if (fallback !== undefined && !shared.has(fallback) && !users.some(({ login }) => login === fallback))
    add([...at, 'fallback'], `${fallback} is neither a shared mailbox nor a login of the tenant`);
  const known = privateMail.certificateAuthorities.length > 0 || users.some((u) => u.certificates.length > 0);
  if (privateMail.requireClientCertificate && !known)
    add(
      [...at, 'requireClientCertificate'],
      'nobody could open a private De-Mail: name certificateAuthorities, or certificates of users',
    );
}

function checkKey(key: string, type: number, path: Path, add: (path: Path, message: string) => void): void {
  try {
    if (parseVerifierKey(key).type !== type)
      add(path, `is of the wrong type: a log's key has type 01, that of a witness type 04`);
  } catch (error) {
    add(path, (error as Error).message);
  }
}

/** Reports the second owner of a name. With `owner`, the same owner may name it again. */
function uniqueness(add: (path: Path, message: string) => void) {
  const seen = new Map<string, string | undefined>();
  return (kind: string, name: string, path: Path, rule: string, owner?: string): void => {
    const key = `${kind} ${name}`;
    if (!seen.has(key)) seen.set(key, owner);
    else if (owner === undefined || seen.get(key) !== owner) {
      add(
        path,
        `${kind} ${name} occurs twice; ${rule}${owner === undefined ? '' : ` (also in ${seen.get(key)})`}`,
      );
    }
  };
}

function isAddressRange(text: string): boolean {
  const [address = '', bits, more] = text.split('/');
  const family = isIP(address);
  if (family === 0 || more !== undefined) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}
