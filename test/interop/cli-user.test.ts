import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashPassword, verifyPassword } from '../../src/directory/password.ts';
import { createAuthority } from '../../src/pki/authority.ts';

const main = new URL('../../src/main.ts', import.meta.url).pathname;
let folder: string;
let config: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'demail-user-'));
  config = join(folder, 'gateway.yaml');
  const authority = await createAuthority({ name: 'test' });
  await writeFile(join(folder, 'a.pem'), authority.certificate);
  await writeFile(join(folder, 'a.key'), authority.key);
  await writeFile(
    config,
    `tls: { certificate: a.pem, key: a.key }
tenants:
  - id: stadt
    name: Stadt
    internalDomains: [stadt.example]
    demailDomains: [stadt.de-mail.de]
    provider: { account: stadt, smtp: { host: a.example, port: 1 }, imap: { host: a.example, port: 1 } }
    users:
      - { login: erika@stadt.example, name: Erika, passwordHash: "${await hashPassword('rosebud')}" }
    sharedMailboxes:
      - { name: Poststelle, address: poststelle@stadt.example, members: [erika@stadt.example] }
    fallbackMailbox: Poststelle
    operators: [erika@stadt.example]
`,
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(
  args: readonly string[],
  input: string,
): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [main, 'user', ...args], { cwd: folder });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  child.stdin.end(input);
  const code = await new Promise<number>((resolve) => child.on('close', (c) => resolve(c ?? -1)));
  return { code, out, err };
}

describe('user', () => {
  it('hash prints a hash of the line on stdin', async () => {
    const { code, out } = await run(['hash'], 'correct horse\n');
    expect(code).toBe(0);
    expect(await verifyPassword(out.trim(), 'correct horse')).toBe(true);
  });

  it('hash refuses an empty password', async () => {
    expect(await run(['hash'], '')).toEqual({
      code: 2,
      out: '',
      err: 'demail-gateway: the password is empty\n',
    });
  });

  it('list names every user', async () => {
    expect(await run(['list', '--config', config], '')).toMatchObject({
      code: 0,
      out: 'stadt  erika@stadt.example  Erika\n',
    });
  });

  it('check tells a right password from a wrong one, and the rights', async () => {
    const right = await run(['check', 'erika@stadt.example', '--json', '--config', config], 'rosebud\n');
    expect(right.code).toBe(0);
    expect(JSON.parse(right.out)).toEqual({
      tenant: 'stadt',
      login: 'erika@stadt.example',
      name: 'Erika',
      sendsAs: [
        'erika@stadt.example = erika@stadt.de-mail.de',
        'poststelle@stadt.example = poststelle@stadt.de-mail.de',
      ],
      shared: ['Poststelle'],
      options: ['dispatch', 'receipt', 'retrieval', 'authoritative', 'private'],
      operator: true,
      password: 'right',
    });
    const wrong = await run(['check', 'erika@stadt.example', '--config', config], 'Rosebud\n');
    expect(wrong.code).toBe(1);
    expect(wrong.out).toContain('password        WRONG');
  });

  it('check knows nobody of that name', async () => {
    const { code, err } = await run(['check', 'karl@stadt.example', '--config', config], 'x\n');
    expect([code, err]).toEqual([2, 'demail-gateway: no user has the login karl@stadt.example\n']);
  });

  it('says where a configuration may lie', async () => {
    const { code, err } = await run(['list'], '');
    expect(code).toBe(78);
    expect(err).toContain('no configuration: name one by --config or DEMAIL_CONFIG');
  });

  it('tells every error of the configuration', async () => {
    await writeFile(join(folder, 'bad.yaml'), 'tenants: []\nbogus: 1\n');
    const { code, err } = await run(['list', '--config', join(folder, 'bad.yaml')], '');
    expect(code).toBe(78);
    expect(err).toContain('bad.yaml:1: tls: is missing');
    expect(err).toContain('bad.yaml:2: bogus: unknown key');
  });
});
