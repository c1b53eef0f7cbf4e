/** Lost keys, a recovery key that openssl can use too, rotation under way, and a PKCS#11 module (SoftHSM2). */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEnvelope } from '../../src/pki/envelope.ts';
import { createRecoveryIdentity } from '../../src/pki/recovery-identity.ts';
import { exportSecrets } from '../../src/store/keys.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';

const passphrase = 'korrekt pferd batterie';
const gateway = ['src/main.ts', 'keys'];
let folder: string;
let data: string;
let config: string;

function keys(args: readonly string[], input?: string) {
  const ran = spawnSync(process.execPath, [...gateway, ...args, '--data', data, '--config', config], {
    encoding: 'utf8',
    env: { ...process.env, SOFTHSM2_CONF: join(folder, 'softhsm2.conf') },
    ...(input !== undefined && { input }),
  });
  return { code: ran.status, out: ran.stdout, err: ran.stderr };
}

const openStore = () =>
  openSqliteStore({
    directory: data,
    originPrefix: 'gateway.example',
    recoveryCertificates: [join(folder, 'safe/recovery.pem')],
  });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keys-'));
  data = join(folder, 'data');
  config = join(folder, 'gateway.yaml');
  writeFileSync(config, `data: ${data}\n`);
  await createRecoveryIdentity(join(folder, 'safe'), passphrase);
  await using store = await openStore();
  await store.openTenant('stadt');
  for (let n = 0; n < 20; n++)
    await store.recordIncident('stadt', { incident: `i${n}`, state: 'opened', text: 'x' });
});
afterAll(() => rm(folder, { recursive: true }));

describe('a recovery copy', () => {
  it('opens with openssl and the offline key alone', () => {
    const out = execFileSync(
      'openssl',
      [
        ...['cms', '-decrypt', '-inform', 'DER', '-in', join(data, 'recovery/stadt.cms')],
        ...['-inkey', join(folder, 'safe/recovery-key.pem'), '-passin', 'stdin'],
      ],
      { input: `${passphrase}\n` },
    );
    const { secrets, address, log } = exportSecrets(join(data, 'keys'), 'stadt');
    expect(JSON.parse(out.toString())).toEqual({
      v: 1,
      tenant: 'stadt',
      secrets: [secrets[0]!.toString('base64')],
      address,
      log,
      laterLogs: {},
    });
  });

  it('may as well be made by openssl', async () => {
    const text = join(folder, 'text');
    writeFileSync(text, 'Inhalt');
    const der = execFileSync('openssl', [
      ...['cms', '-encrypt', '-binary', '-aes-256-cbc', '-outform', 'DER', '-in', text],
      ...['-recip', join(folder, 'safe/recovery.pem'), '-keyopt', 'rsa_padding_mode:oaep'],
      ...['-keyopt', 'rsa_oaep_md:sha256'],
    ]);
    const { createPrivateKey } = await import('node:crypto');
    const key = createPrivateKey({ key: readFileSync(join(folder, 'safe/recovery-key.pem')), passphrase });
    expect((await openEnvelope(der, key)).toString()).toBe('Inhalt');
    der[der.length - 40]! ^= 1;
    der[300]! ^= 1;
    await expect(openEnvelope(der, key)).rejects.toThrow();
  });

  it('is rehearsed, and makes lost keys again, which it never overwrites', () => {
    const rehearsed = keys(['rehearse', '--key', join(folder, 'safe/recovery-key.pem')], `${passphrase}\n`);
    expect(rehearsed).toMatchObject({ code: 0 });
    expect(rehearsed.out).toMatch(/stadt: the recovery key opens it: \d+ of 21 entries/);
    expect(keys(['list']).out).toMatch(/stadt {2}key [0-9a-f]{16} {2}recovery copy of .*, rehearsed 20/);

    const wrong = keys(['recover', '--key', join(folder, 'safe/recovery-key.pem')], 'falsch\n');
    expect(wrong).toMatchObject({ code: 2 });
    const before = readFileSync(join(data, 'keys/stadt.key'));
    expect(
      keys(['recover', 'stadt', '--key', join(folder, 'safe/recovery-key.pem')], `${passphrase}\n`).err,
    ).toMatch(/exists; a key is never overwritten/);

    for (const name of readdirSync(join(data, 'keys'))) rmSync(join(data, 'keys', name));
    expect(keys(['list'])).toMatchObject({ code: 1, out: expect.stringContaining('missing') });
    expect(
      keys(['recover', '--key', join(folder, 'safe/recovery-key.pem')], `${passphrase}\n`),
    ).toMatchObject({ code: 0 });
    expect(readFileSync(join(data, 'keys/stadt.key'))).toEqual(before);
    expect(keys(['list'])).toMatchObject({ code: 0 });
  });

  it('follows a rotation', async () => {
    const before = createHash('sha256')
      .update(readFileSync(join(data, 'recovery/stadt.cms')))
      .digest('hex');
    const rehearse = () =>
      keys(['rehearse', '--key', join(folder, 'safe/recovery-key.pem')], `${passphrase}\n`);
    {
      await using store = await openStore();
      await store.rotateKeys('stadt', { actor: { type: 'operator', name: 'op' }, reason: 'test' });
    }
    const after = createHash('sha256')
      .update(readFileSync(join(data, 'recovery/stadt.cms')))
      .digest('hex');
    expect(after).not.toBe(before);
    expect(rehearse()).toMatchObject({ code: 0 });
  });
});

describe('a PKCS#11 module', () => {
  it('holds the key that the tenants’ keys lie under', async () => {
    data = join(folder, 'data-under-module');
    writeFileSync(config, `data: ${data}\n`);
    {
      await using store = await openStore();
      await store.openTenant('stadt');
      for (let n = 0; n < 3; n++)
        await store.recordIncident('stadt', { incident: `i${n}`, state: 'opened', text: 'x' });
    }
    const library = '/usr/lib/softhsm/libsofthsm2.so';
    mkdirSync(join(folder, 'tokens'));
    writeFileSync(join(folder, 'softhsm2.conf'), `directories.tokendir = ${join(folder, 'tokens')}\n`);
    writeFileSync(join(folder, 'pin'), '4321\n', { mode: 0o600 });
    const env = { ...process.env, SOFTHSM2_CONF: join(folder, 'softhsm2.conf') };
    execFileSync(
      'softhsm2-util',
      ['--init-token', '--free', '--label', 'gw', '--so-pin', '1234', '--pin', '4321'],
      { env },
    );
    execFileSync(
      'pkcs11-tool',
      [
        ...['--module', library, '--token-label', 'gw', '--login', '--pin', '4321', '--keypairgen'],
        ...['--key-type', 'rsa:3072', '--id', '01', '--label', 'wrap'],
      ],
      { env },
    );
    const secret = readFileSync(join(data, 'keys/stadt.key'));
    const protect = ['--module', library, '--token', 'gw', '--id', '01', '--pin-file', join(folder, 'pin')];
    expect(keys(['protect', ...protect])).toMatchObject({ code: 0 });
    const names = readdirSync(join(data, 'keys'));
    expect(names.filter((name) => name.endsWith('.key'))).toEqual([]);
    for (const name of names) expect(readFileSync(join(data, 'keys', name)).includes(secret)).toBe(false);

    process.env.SOFTHSM2_CONF = join(folder, 'softhsm2.conf');
    try {
      await using store = await openStore();
      expect((await store.entry('stadt', 3))?.kind).toBe('incident');
      await store.openTenant('dorf');
      await store.rotateKeys('stadt', { actor: { type: 'operator', name: 'op' }, reason: 'test' });
      expect((await store.entry('stadt', 3))?.kind).toBe('incident');
      expect(existsSync(join(data, 'keys/dorf.key.p11'))).toBe(true);
    } finally {
      delete process.env.SOFTHSM2_CONF;
    }
    expect(keys(['list'])).toMatchObject({ code: 0 });
    // Without the module nothing opens, and the error says which file and why.
    writeFileSync(join(folder, 'pin'), '9999\n');
    expect(keys(['list'])).toMatchObject({
      code: 1,
      out: expect.stringMatching(/stadt\..*key\.p11: pkcs11-tool: /),
    });
  });
});
