import { describe, expect, it } from 'vitest';
import type { Principal } from '../directory/directory.ts';
import { checkNewName, clientName, locate, matches, normaliseName } from './mailbox-names.ts';

const tenant = { language: 'de', users: [] as object[] };
const principal = { tenant, user: { login: 'erika' } } as Principal;
const own = { type: 'user', name: 'erika' } as const;
const office = { type: 'shared', name: 'Poststelle' } as const;
const open = [{ owner: office, rights: ['read'] }] as const;

describe('names', () => {
  it.each([
    ['INBOX', { owner: own, name: 'INBOX' }],
    ['a/b', { owner: own, name: 'a/b' }],
    ['Geteilt/Poststelle', { owner: office, name: 'INBOX' }],
    ['Geteilt/Poststelle/Gesendet', { owner: office, name: 'Gesendet' }],
    ['Geteilt/Poststelle/a/b', { owner: office, name: 'a/b' }],
    ['Shared/Poststelle', { owner: own, name: 'Shared/Poststelle' }],
  ])('%s there and back', (name, place) => {
    expect(locate(principal, open, name)).toEqual(place);
    expect(clientName(principal, place)).toBe(name);
  });

  it.each(['Geteilt', 'Geteilt/Andere', 'Geteilt/Poststellen'])('%s is in no shared mailbox', (name) => {
    expect(locate(principal, open, name)).toEqual({ owner: own, name });
  });

  it('the shared mailboxes hang below a name in the language of the user', () => {
    const english = {
      tenant: { ...tenant, users: [{ login: 'erika', language: 'en' }] },
      user: principal.user,
    };
    expect(clientName(english as Principal, { owner: office, name: 'INBOX' })).toBe('Shared/Poststelle');
    expect(locate(english as Principal, open, 'Shared/Poststelle/a')).toEqual({ owner: office, name: 'a' });
  });

  it.each([
    ['Entwu\u0308rfe', 'Entwürfe'],
    ['inbox', 'INBOX'],
    ['Inbox/a', 'INBOX/a'],
    ['inboxes', 'inboxes'],
    ['a/inbox', 'a/inbox'],
  ])('%j is spelled %j', (name, spelled) => expect(normaliseName(name)).toBe(spelled));

  it.each(['', '/a', 'a/', 'a//b', ' a', 'a\n', 'a*', 'a%', 'x'.repeat(256), 'a/'.repeat(20).concat('a')])(
    'no mailbox is made under %j',
    (name) => expect(() => checkNewName(name)).toThrow(),
  );
});

describe('patterns', () => {
  it.each([
    ['*', 'a/b', true],
    ['%', 'a', true],
    ['%', 'a/b', false],
    ['a/%', 'a/b', true],
    ['a/%', 'a', false],
    ['a*', 'a', true],
    ['%/%', 'a/b', true],
    ['*b', 'a/b', true],
    ['inbox', 'INBOX', true],
    ['Inbox/*', 'INBOX/a', true],
    ['gesendet', 'Gesendet', false],
    ['', 'a', false],
    ['Entw%e', 'Entwürfe', true],
    ['*😀', 'a😀', true],
  ])('%s and %s: %s', (pattern, name, wanted) => expect(matches(pattern, name)).toBe(wanted));

  it('stays linear on patterns made to explode', () => {
    expect(matches('*a'.repeat(200), 'a'.repeat(199))).toBe(false);
    expect(matches('%*'.repeat(500), 'b'.repeat(255))).toBe(true);
  });
});
