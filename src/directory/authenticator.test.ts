import { beforeAll, describe, expect, it } from 'vitest';
import { parseConfig } from '../config/load.ts';
import { GatewayError } from '../errors.ts';
import { addressKey, createAttempts } from './attempts.ts';
import { createAuthenticator } from './authenticator.ts';
import { createDirectory } from './create.ts';
import type { Directory } from './directory.ts';
import { hashPassword, MAX_PASSWORD_BYTES, verifyPassword } from './password.ts';

let erika: string;
let jan: string;
beforeAll(async () => {
  [erika, jan] = await Promise.all([hashPassword('rosebud'), hashPassword('xanadu')]);
});

function directoryWith(hash: string): Directory {
  const text = `tls: { certificate: a, key: a }
tenants:
  - id: stadt
    name: Stadt
    internalDomains: [stadt.example]
    demailDomains: [stadt.de-mail.de]
    provider: { account: stadt, smtp: { host: a.example, port: 1 }, imap: { host: a.example, port: 1 } }
    users:
      - { login: erika@stadt.example, passwordHash: "${hash}" }
      - { login: jan@stadt.example, passwordHash: "${jan}" }
    fallbackMailbox: erika@stadt.example
    operators: [erika@stadt.example]
`;
  return createDirectory(parseConfig(text, 'gateway.yaml', { files: false }));
}

function setUp(limits: { perAddress?: number; perUser?: number } = {}) {
  const state = { now: 1_000_000, delays: [] as number[], directory: directoryWith(erika) };
  const authenticator = createAuthenticator({
    directory: () => state.directory,
    limits: {
      failedLoginsPerAddress: limits.perAddress ?? 100,
      failedLoginsPerUser: limits.perUser ?? 100,
      failedLoginWindow: 900_000,
    },
    now: () => state.now,
    delay: async (ms) => {
      state.delays.push(ms);
    },
  });
  const attempt = async (login: string, password: string, from = '192.0.2.1'): Promise<string> => {
    try {
      return (await authenticator.login(login, password, from)).user.login;
    } catch (error) {
      if (error instanceof GatewayError) return error.code;
      throw error;
    }
  };
  return { state, attempt };
}

describe('a login', () => {
  it('succeeds with the password, whatever the case of the login', async () => {
    const { attempt, state } = setUp();
    expect(await attempt('erika@stadt.example', 'rosebud')).toBe('erika@stadt.example');
    expect(await attempt('Erika@Stadt.example', 'rosebud')).toBe('erika@stadt.example');
    expect(state.delays).toEqual([]);
  });

  it.each([
    ['a wrong password', 'erika@stadt.example', 'Rosebud'],
    ['no password', 'erika@stadt.example', ''],
    ["another user's password", 'erika@stadt.example', 'xanadu'],
    ['an unknown login', 'karl@stadt.example', 'rosebud'],
    ['an endless password', 'erika@stadt.example', 'x'.repeat(MAX_PASSWORD_BYTES + 1)],
    ['an endless login', 'e'.repeat(100_000), 'rosebud'],
  ])('fails with %s, after a delay', async (_, login, password) => {
    const { attempt, state } = setUp();
    expect(await attempt(login, password)).toBe('authentication-failed');
    expect(state.delays).toEqual([500]);
  });

  it('is delayed longer with each failure', async () => {
    const { attempt, state } = setUp();
    for (let i = 0; i < 5; i++) await attempt('erika@stadt.example', 'wrong');
    expect(state.delays).toEqual([500, 1000, 2000, 4000, 4000]);
  });

  it('is limited per user, from any address, known or not, until the window is over', async () => {
    const { attempt, state } = setUp({ perUser: 2 });
    for (const login of ['erika@stadt.example', 'karl@stadt.example']) {
      expect(await attempt(login, 'wrong', '192.0.2.1')).toBe('authentication-failed');
      expect(await attempt(login, 'wrong', '192.0.2.2')).toBe('authentication-failed');
      expect(await attempt(login, 'rosebud', '192.0.2.3')).toBe('authentication-limited');
    }
    expect(await attempt('jan@stadt.example', 'xanadu')).toBe('jan@stadt.example');
    state.now += 900_000;
    expect(await attempt('erika@stadt.example', 'rosebud')).toBe('erika@stadt.example');
  });

  it('is limited per address, an IPv6 network counting as one', async () => {
    const { attempt } = setUp({ perAddress: 2 });
    await attempt('a@stadt.example', 'wrong', '2001:db8::1');
    await attempt('b@stadt.example', 'wrong', '2001:db8::2');
    expect(await attempt('jan@stadt.example', 'xanadu', '2001:db8:0:0:ffff::3')).toBe(
      'authentication-limited',
    );
    expect(await attempt('jan@stadt.example', 'xanadu', '2001:db8:0:1::3')).toBe('jan@stadt.example');
  });

  it('counts parallel guesses before they are checked', async () => {
    const { attempt } = setUp({ perUser: 3 });
    const results = await Promise.all(
      Array.from({ length: 10 }, (_, i) => attempt('erika@stadt.example', `${i}`)),
    );
    expect(results.filter((result) => result === 'authentication-failed')).toHaveLength(3);
    expect(results.filter((result) => result === 'authentication-limited')).toHaveLength(7);
  });

  it('that was good a moment ago is still good while strangers guess', async () => {
    const { attempt, state } = setUp({ perUser: 1, perAddress: 1 });
    await attempt('erika@stadt.example', 'rosebud');
    await attempt('erika@stadt.example', 'wrong');
    expect(await attempt('erika@stadt.example', 'rosebud')).toBe('erika@stadt.example');
    state.now += 60_000;
    expect(await attempt('erika@stadt.example', 'rosebud')).toBe('authentication-limited');
  });

  it('ends with the hash that it was made with', async () => {
    const { attempt, state } = setUp();
    await attempt('erika@stadt.example', 'rosebud');
    state.directory = directoryWith(jan);
    expect(await attempt('erika@stadt.example', 'rosebud')).toBe('authentication-failed');
    expect(await attempt('erika@stadt.example', 'xanadu')).toBe('erika@stadt.example');
  });
});

describe('counts of attempts', () => {
  it('are kept in bounded memory, the oldest forgotten', () => {
    const attempts = createAttempts({ limit: 1, windowMs: 1000, now: () => 0, maxKeys: 3 });
    for (const key of ['a', 'b', 'c', 'd']) attempts.reserve(key);
    expect(['a', 'b', 'c', 'd'].map((key) => attempts.count(key))).toEqual([0, 1, 1, 1]);
  });

  it('are given back', () => {
    const attempts = createAttempts({ limit: 1, windowMs: 1000, now: () => 0 });
    expect([attempts.reserve('a'), attempts.reserve('a')]).toEqual([true, false]);
    attempts.release('a');
    expect(attempts.reserve('a')).toBe(true);
  });
});

it.each([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:DB8::1', '2001:db8:0:0::/64'],
  ['2001:db8:0001:0002:3:4:5:6', '2001:db8:1:2::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
])('the address %s counts as %s', (address, key) => {
  expect(addressKey(address)).toBe(key);
});

describe('a hash', () => {
  it('is argon2id, different each time, and verified', async () => {
    expect(erika).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(await hashPassword('rosebud')).not.toBe(erika);
    expect(await verifyPassword(erika, 'rosebud')).toBe(true);
    expect(await verifyPassword('$argon2id$broken', 'rosebud')).toBe(false);
  });

  it('is not made of nothing or of too much', async () => {
    await expect(hashPassword('')).rejects.toThrow('empty');
    await expect(hashPassword('x'.repeat(MAX_PASSWORD_BYTES + 1))).rejects.toThrow('longer');
  });
});
