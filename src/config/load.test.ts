import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createAuthority } from '../pki/authority.ts';
import { readSecret } from './files.ts';
import { ConfigError, loadConfig, parseConfig } from './load.ts';

const folder = mkdtempSync(join(tmpdir(), 'demail-config-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const good = `tls: { certificate: a.pem, key: a.key }
tenants:
  - id: stadt
    name: Stadt
    internalDomains: [stadt.example]
    demailDomains: [stadt.de-mail.de]
    provider:
      account: stadt
      smtp: { host: smtp.example, port: 465 }
      imap: { host: imap.example, port: 993 }
    users:
      - login: erika@stadt.example
        passwordHash: $argon2id$x
    sharedMailboxes:
      - { name: Poststelle, address: poststelle@stadt.example, members: [erika@stadt.example] }
    fallbackMailbox: Poststelle
    operators: [erika@stadt.example]
`;

/** The lines of the ConfigError, without the file's name. */
function errorsOf(text: string, files = false): string[] {
  try {
    parseConfig(text, 'gateway.yaml', { files });
  } catch (error) {
    if (error instanceof ConfigError) return error.lines.map((line) => line.replace(/^gateway\.yaml:/, ''));
    throw error;
  }
  return [];
}

describe('a configuration', () => {
  it('is accepted when it is good, with its defaults, and paths meant from its folder', () => {
    const config = parseConfig(good, '/etc/demail/gateway.yaml', { files: false });
    expect(config.limits.messageSize).toBe(45 * 1024 * 1024);
    expect(config.tenants[0]!.provider.retryFor).toBe(96 * 3_600_000);
    expect(config.tls.certificate).toBe('/etc/demail/a.pem');
    expect(config.data).toBe('/etc/demail/data');
  });

  it('gives way to the command line', () => {
    const overrides = { data: '/elsewhere', listeners: { relay: { address: '::1', port: 0 } } };
    const config = parseConfig(good, 'gateway.yaml', { files: false, overrides });
    expect(config.data).toBe('/elsewhere');
    expect(config.listeners.relay).toEqual({ address: '::1', port: 0 });
  });

  it('tells every error at once, in the order of the file', () => {
    const text = good
      .replace('name: Stadt\n', 'nane: Stadt\n')
      .replace('port: 465', 'port: 70000')
      .replace('account: stadt\n', 'account: stadt\n      authLevel: highest\n');
    expect(errorsOf(`log: { level: loud }\n${text}`)).toEqual([
      '1: log.level: expected one of "debug"|"info"|"warn"|"error"',
      '4: tenants[0].name: is missing (expected string)',
      '5: tenants[0].nane: unknown key',
      '10: tenants[0].provider.authLevel: expected one of "normal"|"high"',
      '11: tenants[0].provider.smtp.port: too big: expected number to be <=65535',
    ]);
  });

  it('cross-checks what is valid although something else is not', () => {
    const lines = errorsOf(`${good.replace('fallbackMailbox: Poststelle', 'fallbackMailbox: Postelle')}relays:
  - { name: r, tenants: [nobody], addresses: [10.0.0.1] }
bogus: 1
`);
    expect(lines).toEqual([
      '16: tenants[0].fallbackMailbox: Postelle is neither a shared mailbox nor a login of the tenant',
      '19: relays[0].tenants[0]: no tenant has the id nobody',
      '20: bogus: unknown key',
    ]);
  });

  const second = good
    .slice(good.indexOf('  - id'))
    .replaceAll('stadt', 'dorf')
    .replace('name: Stadt', 'name: Dorf');

  it.each<[string, string, string]>([
    ['a tenant id twice', good + second.replace('id: dorf', 'id: stadt'), 'tenant id stadt occurs twice'],
    [
      'a domain in two tenants',
      good + second.replace('[dorf.example]', '[dorf.example, stadt.example]'),
      'domain stadt.example occurs twice; a domain belongs to one tenant (also in stadt)',
    ],
    [
      'an account twice',
      good + second.replace('account: dorf', 'account: stadt'),
      'account stadt occurs twice',
    ],
    [
      'a login in two tenants',
      good + second.replace('login: erika@dorf.example', 'login: erika@stadt.example'),
      'login erika@stadt.example occurs twice',
    ],
    [
      'a login outside',
      good.replaceAll('erika@stadt.example', 'erika@dorf.example'),
      "erika@dorf.example is outside the tenant's internalDomains",
    ],
    [
      'an alias outside',
      good.replace(
        '    users:',
        '    addressMapping: { aliases: [{ internal: a@x.example, demail: b@y.de-mail.de }] }\n    users:',
      ),
      "b@y.de-mail.de is outside the tenant's demailDomains",
    ],
    [
      'a De-Mail domain that is none',
      good.replace('stadt.de-mail.de', 'stadt.gmail.example'),
      'stadt.gmail.example is not covered by demailDomains',
    ],
    [
      'an operator who is nobody',
      good.replace('operators: [erika', 'operators: [jan'),
      'no user of the tenant has the login jan@',
    ],
    [
      'a member who is nobody',
      good.replace('members: [erika', 'members: [jan'),
      'no user of the tenant has the login jan@',
    ],
    [
      'a default that is not permitted',
      `${good}    options: { default: [receipt], permitted: [dispatch] }\n`,
      'receipt is a default but not among options.permitted',
    ],
    [
      'a default beyond the level',
      `${good}    options: { default: [private] }\n`,
      'private needs provider.authLevel high',
    ],
    [
      'a control beyond the level',
      `${good}    options: { fromReadReceipt: true }\n`,
      'retrieval needs provider.authLevel high',
    ],
    [
      'a control for what is not permitted',
      `${good}    options: { fromImportance: true, permitted: [dispatch] }\n`,
      'authoritative is not among options.permitted',
    ],
    [
      'a quota of nothing',
      good.replace('account: stadt\n', 'account: stadt\n      dailyQuota: { messages: 0 }\n'),
      'tenants[0].provider.dailyQuota.messages',
    ],
    [
      'a time zone that is none',
      good.replace('    name: Stadt\n', '    name: Stadt\n    timeZone: Europe/Schwerin\n'),
      'an IANA time zone such as Europe/Berlin',
    ],
    [
      'a user with no hash',
      good.replace('        passwordHash: $argon2id$x\n', ''),
      'a user has either passwordHash or passwordHashFile',
    ],
    ['delivery to nowhere', `${good}    delivery: { facade: false }\n`, 'mail is delivered nowhere'],
    [
      'a relay by a name',
      `${good}relays: [{ name: r, tenants: [stadt], addresses: [mail.example] }]\n`,
      'mail.example is neither an IP address nor a CIDR range',
    ],
    [
      'security none across the network',
      good.replace('{ host: smtp.example, port: 465 }', '{ host: smtp.example, port: 465, security: none }'),
      'security none is for a connector on this machine',
    ],
    [
      'a password in the file',
      good.replace('account: stadt', 'account: stadt\n      password: secret'),
      'a secret never stands in this file',
    ],
    ['a key twice', good.replace('name: Stadt', 'name: Stadt\n    name: Dorf'), 'unique'],
    ['no YAML', 'tenants: [', 'Flow sequence'],
    ['nothing', '', 'tenants: is missing'],
    ['a list', '- a', '(top): expected object'],
  ])('refuses %s', (_, text, expected) => {
    const lines = errorsOf(text);
    expect(lines.join('\n')).toContain(expected);
    for (const line of lines) expect(line).toMatch(/^\d+: /);
  });

  it('refuses copies at the provider that outlive what is erased', () => {
    const classes = (keep: string, kinds: string) =>
      good
        .replace('account: stadt', 'account: stadt\n      deleteAfter: 90d')
        .concat(
          `    retention:\n      classes: [{ name: k, keep: ${keep}, legalBasis: x, match: { kinds: [${kinds}] } }]\n`,
        );
    expect(errorsOf(classes('2mo', 'inbound'))).toEqual([
      expect.stringMatching(
        /^\d+: tenants\[0\]\.retention\.classes\[0\]\.keep: class k may end after 56 days/,
      ),
    ]);
    for (const [keep, kinds] of [
      ['90d', 'inbound'],
      ['forever', 'inbound'],
      ['1mo', 'refused'],
    ] as const)
      expect(errorsOf(classes(keep, kinds))).toEqual([]);
  });

  it('is not blown up by aliases of aliases', () => {
    const levels = Array.from(
      { length: 12 },
      (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(', ')}]`,
    );
    expect(errorsOf(['l0: &l0 [x]', ...levels].join('\n')).join()).toMatch(/alias/i);
  });
});

describe('files named by a configuration', () => {
  it('must be readable and fit together, each with its line', async () => {
    const authority = await createAuthority({ name: 'test' });
    const one = await authority.issue({ commonName: 'a', dnsNames: ['a.example'], purpose: 'server' });
    const two = await authority.issue({ commonName: 'b', dnsNames: ['b.example'], purpose: 'server' });
    writeFileSync(join(folder, 'one.pem'), one.certificate);
    writeFileSync(join(folder, 'two.key'), two.key);
    writeFileSync(join(folder, 'one.key'), one.key);
    const file = join(folder, 'bad.yaml');
    writeFileSync(
      file,
      good
        .replace('a.pem', 'one.pem')
        .replace('a.key', 'two.key')
        .replace(
          'account: stadt\n',
          'account: stadt\n      trustAnchors: [gone.pem]\n      password: { env: DEMAIL_TEST_UNSET }\n',
        )
        .replace('passwordHash: $argon2id$x', 'passwordHashFile: none.hash'),
    );
    try {
      loadConfig(file);
      expect.unreachable();
    } catch (error) {
      const { lines } = error as ConfigError;
      expect(lines).toHaveLength(4);
      expect(lines[0]).toBe(
        `${file}:1: tls.key: ${join(folder, 'two.key')} is not the key of ${join(folder, 'one.pem')}`,
      );
      expect(lines[1]).toContain(`${file}:9: tenants[0].provider.trustAnchors[0]: cannot be used: ENOENT`);
      expect(lines[2]).toContain(
        `${file}:10: tenants[0].provider.password: cannot be used: environment variable DEMAIL_TEST_UNSET`,
      );
      expect(lines[3]).toContain(`${file}:15: tenants[0].users[0].passwordHashFile: cannot be read: ENOENT`);
    }
  });

  it('fill the password hashes', () => {
    writeFileSync(join(folder, 'erika.hash'), '$argon2id$hash\n');
    const file = join(folder, 'good.yaml');
    writeFileSync(
      file,
      good
        .replace('a.pem', 'one.pem')
        .replace('a.key', 'one.key')
        .replace('passwordHash: $argon2id$x', 'passwordHashFile: erika.hash'),
    );
    expect(loadConfig(file).tenants[0]!.users[0]!.passwordHash).toBe('$argon2id$hash');
  });

  it('hold secrets, without the line end of the editor', () => {
    const file = join(folder, 'secret');
    writeFileSync(file, 'a b\n');
    expect(readSecret({ file })).toBe('a b');
    writeFileSync(file, '\n');
    expect(() => readSecret({ file })).toThrow('is empty');
  });

  it('must be there', () => {
    expect(() => loadConfig(join(folder, 'absent.yaml'))).toThrow(/absent\.yaml:1: \(top\): cannot be read/);
  });
});

it('the example is a valid configuration', () => {
  const file = new URL('../../config/gateway.example.yaml', import.meta.url).pathname;
  const config = loadConfig(file, {}, { files: false });
  expect(config.tenants.map((tenant) => tenant.id)).toEqual(['seestadt', 'amt-moorland']);
  expect(readFileSync(file, 'utf8')).not.toContain('\t');
});
