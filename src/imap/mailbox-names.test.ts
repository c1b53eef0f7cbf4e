import { describe, expect, it } from 'vitest';
import type { Principal } from '../directory/directory.ts';
import { checkNewName, clientName, locate, matches } from './mailbox-names.ts';

const principal = { user: { login: 'erika' } } as Principal;
const own = { type: 'user', name: 'erika' } as const;
const office = { type: 'shared', name: 'Poststelle' } as const;
const hall = { type: 'shared', name: 'Poststelle/Rathaus' } as const;

describe('names', () => {
  it.each([
    ['INBOX', { owner: own, name: 'INBOX' }],
    ['a/b', { owner: own, name: 'a/b' }],
    ['Geteilt/Poststelle', { owner: office, name: 'INBOX' }],
    ['Geteilt/Poststelle/Gesendet', { owner: office, name: 'Gesendet' }],
    ['Geteilt/Poststelle/Rathaus', { owner: hall, name: 'INBOX' }],
    ['Geteilt/Poststelle/Rathaus/a', { owner: hall, name: 'a' }],
  ])('%s there and back', (name, place) => {
    expect(locate(principal, [office, hall], name)).toEqual(place);
    expect(clientName(place)).toBe(name);
  });

  it.each(['Geteilt', 'Geteilt/Andere', 'Geteilt/Poststellen'])('%s is nobody’s', (name) => {
    expect(locate(principal, [office], name)).toBeNull();
  });

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
