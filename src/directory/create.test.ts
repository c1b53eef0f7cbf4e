import { describe, expect, it } from 'vitest';
import { parseConfig } from '../config/load.ts';
import { createDirectory } from './create.ts';

const config = parseConfig(
  `tls: { certificate: a, key: a }
demailDomains: ['*.de-mail.de']
tenants:
  - id: stadt
    name: Stadt
    internalDomains: [stadt.example, amt.example]
    demailDomains: [stadt.de-mail.de, amt.de-mail.de]
    addressMapping:
      aliases:
        - { internal: chefin@stadt.example, demail: buergermeisterin@stadt.de-mail.de }
        - { internal: info@amt.example, demail: info@amt.de-mail.de }
    provider: &provider
      account: stadt
      smtp: { host: smtp.example, port: 465 }
      imap: { host: imap.example, port: 993 }
    users:
      - { login: erika@stadt.example, passwordHash: $argon2id$x, sendAs: [presse@stadt.example] }
      - { login: erika@amt.example, passwordHash: $argon2id$x, mailboxQuota: { size: 1KiB, messages: 2 } }
      - { login: chefin@stadt.example, passwordHash: $argon2id$x }
    sharedMailboxes:
      - name: Poststelle
        address: poststelle@stadt.example
        members: [erika@stadt.example]
        access:
          - { user: chefin@stadt.example, rights: [read] }
          - { group: vertretung, rights: [read, flag] }
        mailboxQuota: { messages: 5 }
    groups: [{ name: vertretung, members: [chefin@stadt.example] }]
    mailboxQuota: { size: 1GiB }
    fallbackMailbox: Poststelle
    operators: [erika@stadt.example]
  - id: dorf
    name: Dorf
    internalDomains: [dorf.example]
    demailDomains: [dorf.de-mail.de]
    addressMapping: { rule: none }
    provider:
      account: dorf
      smtp: { host: smtp.example, port: 465 }
      imap: { host: imap.example, port: 993 }
    users: [{ login: jan@dorf.example, passwordHash: $argon2id$x }]
    fallbackMailbox: jan@dorf.example
    operators: [jan@dorf.example]
`,
  'gateway.yaml',
  { files: false },
);
const directory = createDirectory(config);
const stadt = directory.tenant('stadt')!;
const dorf = directory.tenant('dorf')!;

describe('tenants', () => {
  it.each([
    ['erika@stadt.example', 'stadt'],
    ['ERIKA@Stadt.Example', 'stadt'],
    ['x@amt.de-mail.de', 'stadt'],
    ['x@dorf.example', 'dorf'],
    ['x@sub.dorf.example', undefined],
    ['x@notdorf.example', undefined],
    ['x@dorf.example.', undefined],
    ['a@dorf.example@evil.example', undefined],
    ['dorf.example', undefined],
    ['', undefined],
  ])('%s belongs to %s', (address, id) => {
    expect(directory.tenantOfAddress(address)?.id).toBe(id);
  });
});

describe('De-Mail addresses', () => {
  it.each([
    ['max@buerger.de-mail.de', true],
    ['Max@Buerger.De-Mail.De', true],
    ['max@de-mail.de', false],
    ['max@evilde-mail.de', false],
    ['max@buerger.de-mail.de.evil.example', false],
    ['max@gmail.example', false],
    ['"max m"@buerger.de-mail.de', false],
    ['max;x@buerger.de-mail.de', false],
    ['max..m@buerger.de-mail.de', false],
    ['@buerger.de-mail.de', false],
    ['max@-x.de-mail.de', false],
    ['mäx@buerger.de-mail.de', false],
    [`${'a'.repeat(65)}@buerger.de-mail.de`, false],
    [`a@${'b.'.repeat(100)}de-mail.de`, false],
  ])('%s: %s', (address, expected) => {
    expect(directory.isDemailAddress(address)).toBe(expected);
  });
});

describe('the two forms of an address', () => {
  it.each([
    ['erika@stadt.example', 'erika@stadt.de-mail.de'],
    ['Erika@Stadt.example', 'erika@stadt.de-mail.de'],
    ['chefin@stadt.example', 'buergermeisterin@stadt.de-mail.de'],
    ['info@amt.example', 'info@amt.de-mail.de'],
    // Another person than erika@stadt.example: the rule covers the first domains alone.
    ['erika@amt.example', undefined],
    // Given away by an alias.
    ['buergermeisterin@stadt.example', undefined],
    ['x@amt.de-mail.de', 'x@amt.de-mail.de'],
    ['jan@dorf.example', undefined],
  ])('%s is the De-Mail address %s', (address, demail) => {
    expect(directory.toDemail(stadt, address)).toBe(demail);
  });

  it.each([
    ['erika@stadt.de-mail.de', 'erika@stadt.example'],
    ['buergermeisterin@stadt.de-mail.de', 'chefin@stadt.example'],
    ['chefin@stadt.de-mail.de', undefined],
    ['erika@amt.de-mail.de', undefined],
    ['jan@dorf.de-mail.de', undefined],
  ])('%s is the internal address %s', (address, internal) => {
    expect(directory.toInternal(stadt, address)).toBe(internal);
  });

  it('are mapped by aliases alone where the tenant says so', () => {
    expect(directory.toDemail(dorf, 'jan@dorf.example')).toBeUndefined();
    expect(directory.toInternal(dorf, 'jan@dorf.de-mail.de')).toBeUndefined();
  });
});

describe('rights', () => {
  it.each([
    ['erika@stadt.example', 'erika@stadt.example', true],
    ['erika@stadt.example', 'erika@stadt.de-mail.de', true],
    ['erika@stadt.example', 'presse@stadt.de-mail.de', true],
    ['erika@stadt.example', 'poststelle@stadt.example', true],
    ['erika@stadt.example', 'erika@amt.example', false],
    ['erika@stadt.example', 'chefin@stadt.example', false],
    ['erika@stadt.example', 'jan@dorf.example', false],
    ['chefin@stadt.example', 'buergermeisterin@stadt.de-mail.de', true],
    ['chefin@stadt.example', 'chefin@stadt.de-mail.de', false],
    ['chefin@stadt.example', 'poststelle@stadt.example', false],
    ['erika@amt.example', 'erika@stadt.de-mail.de', false],
    ['jan@dorf.example', 'jan@dorf.example', true],
    ['jan@dorf.example', 'erika@stadt.example', false],
  ])('%s as %s: %s', (login, address, expected) => {
    expect(directory.maySendAs(directory.user(login)!, address)).toBe(expected);
  });

  it('nobody of one tenant may send as an address of another', () => {
    const addresses = [
      'erika@stadt.example',
      'poststelle@stadt.de-mail.de',
      'jan@dorf.example',
      'jan@dorf.de-mail.de',
    ];
    for (const tenant of config.tenants) {
      for (const user of tenant.users) {
        for (const address of addresses) {
          if (directory.tenantOfAddress(address) !== tenant) {
            expect(directory.maySendAs({ tenant, user }, address)).toBe(false);
          }
        }
      }
    }
  });

  it.each([
    ['erika@stadt.example', [['read', 'insert', 'flag', 'delete']]],
    ['chefin@stadt.example', [['read', 'flag']]],
    ['erika@amt.example', []],
  ])('of %s in shared mailboxes', (login, rights) => {
    expect(directory.sharedOf(directory.user(login)!).map((access) => access.rights)).toEqual(rights);
  });

  it.each([
    ['user', 'erika@stadt.example', { bytes: 1024 ** 3, messages: null }],
    ['user', 'erika@amt.example', { bytes: 1024, messages: 2 }],
    ['shared', 'Poststelle', { bytes: null, messages: 5 }],
    ['shared', 'Andere', null],
  ] as const)('%s %s has a quota of its own, or the tenant’s', (type, name, quota) => {
    expect(directory.quotaOf(stadt, { type, name })).toEqual(quota);
    expect(directory.quotaOf(dorf, { type: 'user', name: 'jan@dorf.example' })).toBeNull();
  });
});

describe('mailboxes', () => {
  it.each([
    ['erika@stadt.de-mail.de', { type: 'user', name: 'erika@stadt.example' }],
    ['Buergermeisterin@stadt.de-mail.de', { type: 'user', name: 'chefin@stadt.example' }],
    ['poststelle@stadt.de-mail.de', { type: 'shared', name: 'Poststelle' }],
    ['presse@stadt.de-mail.de', undefined],
    ['erika@amt.de-mail.de', undefined],
    ['jan@dorf.example', undefined],
  ])('%s', (address, owner) => {
    expect(directory.mailboxOf(stadt, address)).toEqual(owner);
  });

  it('the fallback is a shared mailbox or a user', () => {
    expect(directory.fallbackOf(stadt)).toEqual({ type: 'shared', name: 'Poststelle' });
    expect(directory.fallbackOf(dorf)).toEqual({ type: 'user', name: 'jan@dorf.example' });
  });
});
