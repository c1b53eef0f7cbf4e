/** `verify` as a user meets it: kinds told by content, options, exit codes, JSON. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { confirmationParts } from '../pki/testing/confirmation-parts.ts';
import { CommandError, type ExitCode } from './exit.ts';
import { register } from './verify.ts';

const vectors = fileURLToPath(new URL('../../test/vectors/', import.meta.url));
const vector = (name: string) => join(vectors, 'cases', `${name}.eml`);
const trust = ['--trust', join(vectors, 'trust')];
const crl = ['--crl', join(vectors, 'crl')];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verify-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function verify(...args: readonly string[]) {
  const out: string[] = [];
  const json: Record<string, unknown>[] = [];
  const warnings: string[] = [];
  let code: ExitCode | undefined;
  const program = new Command().exitOverride();
  register(program, {
    env: {},
    cwd: folder,
    print: (line) => void out.push(line),
    printJson: (value) => void json.push(value as Record<string, unknown>),
    warn: (line) => void warnings.push(line),
    action:
      (work) =>
      async (...given) => {
        try {
          code = await work(...given);
        } catch (error) {
          if (!(error instanceof CommandError)) throw error;
          warnings.push(error.message);
          code = error.exitCode;
        }
      },
  });
  await program.parseAsync(['node', 'x', 'verify', ...args]);
  return { code, out, json, warnings };
}

const file = async (name: string, bytes: string | Buffer) => {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
};

it('0 valid, 1 invalid, 3 indeterminate, 2 unusable; of several files the gravest', async () => {
  const [good, bad] = [vector('signed-p256-sha256'), vector('bad-body')];
  const none = await file('none.bin', Buffer.from([0, 1, 2]));
  expect((await verify(good, ...trust, ...crl)).code).toBe(0);
  expect((await verify(bad, ...trust, ...crl)).code).toBe(1);
  expect((await verify(good, ...trust)).code).toBe(3);
  expect((await verify(none, ...trust)).code).toBe(2);
  expect((await verify(await file('empty', ''), ...trust)).code).toBe(2);
  expect((await verify(join(folder, 'absent.eml'), ...trust)).code).toBe(2);
  expect((await verify(good, none, ...trust, ...crl)).code).toBe(2);
  expect((await verify(good, none, bad, ...trust, ...crl)).code).toBe(1);
  expect((await verify(good, ...trust, '--time', 'gestern')).code).toBe(2);
  expect((await verify(good, '--trust', folder)).code).toBe(2);
});

it('the kind is told by the content, whatever the name', async () => {
  const { xml } = confirmationParts(await readFile(vector('confirm-dispatch-rsa-exc')));
  const named = await file('message.eml', xml);
  const { code, out } = await verify(named, ...trust, ...crl);
  expect(code).toBe(0);
  expect(out.join('\n')).toContain('xml-signature');
  const message = await file('confirmation.xml', await readFile(vector('signed-rsa-sha256')));
  expect((await verify(message, ...trust, ...crl)).code).toBe(0);
  const archive = await file('a.eml', Buffer.from('PK\x03\x04rest'));
  expect((await verify(archive, ...trust)).code).toBe(2);
});

it('--time before the signing leaves it undecided', async () => {
  const { code, out } = await verify(vector('signed-p256-sha256'), ...trust, ...crl, '--time', '2000-01-01');
  expect(code).toBe(3);
  expect(out.join('\n')).toContain('after the moment it is judged at');
});

it('--json is one object per file', async () => {
  const { json } = await verify(vector('signed-p256-sha256'), vector('bad-body'), ...trust, ...crl, '--json');
  expect(json).toHaveLength(2);
  expect(json[0]).toMatchObject({
    verdict: 'valid',
    integrity: 'signed',
    signer: { certificate_sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    sender_signatures: [],
  });
  expect(json[1]).toMatchObject({
    verdict: 'invalid',
    checks: expect.arrayContaining([
      expect.objectContaining({ code: 'body-hash-differs', result: 'failed' }),
    ]),
  });
});

it("shows sender's signatures, which do not change the exit code", async () => {
  const cms = await readFile(new URL('../../test/fixtures/cms/rsa.p7s', import.meta.url));
  const content = await readFile(new URL('../../test/fixtures/cms/content.txt', import.meta.url));
  const mail = await file(
    'signed.eml',
    `From: a@example.org\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n${content}\r\n--b\r\nContent-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\n${cms.toString('base64').replace(/.{76}/g, '$&\r\n')}\r\n--b--\r\n`,
  );
  const { code, json } = await verify(mail, ...trust, '--json');
  expect(code).toBe(3);
  expect(json[0]).toMatchObject({
    integrity: 'absent',
    sender_signatures: [{ kind: 'smime-signed', part: '2', verdict: 'indeterminate' }],
  });
  const { out } = await verify(mail, ...trust);
  expect(out.join('\n')).toMatch(/sender's signature smime-signed in part 2 by .*: indeterminate/);
});
