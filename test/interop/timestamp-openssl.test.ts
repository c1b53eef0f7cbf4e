/** Tokens of the simulator's time-stamp authority, asked for and judged by openssl. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  startTimestampAuthority,
  type TimestampAuthority,
  type TimestampFault,
} from '../../src/simulator/timestamp-authority.ts';

const run = promisify(execFile);
let folder: string;
const file = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timestamp-interop-'));
  await writeFile(file('data'), 'ein Bescheid\r\n');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function stamp(tsa: TimestampAuthority, digest: string, ...more: string[]): Promise<void> {
  const args = ['ts', '-query', '-data', file('data'), `-${digest}`, '-cert', ...more];
  await run('openssl', [...args, '-out', file('query')]);
  const response = await fetch(tsa.url, {
    method: 'POST',
    headers: { 'content-type': 'application/timestamp-query' },
    body: await readFile(file('query')),
  });
  await writeFile(file('response'), Buffer.from(await response.arrayBuffer()));
}

/** Says why not, or nothing. */
async function verified(tsa: TimestampAuthority, against: string[], at = tsa.clock.now()): Promise<string> {
  const time = String(Math.floor(at.getTime() / 1000));
  const args = ['ts', '-verify', ...against, '-in', file('response')];
  return run('openssl', [...args, '-CAfile', tsa.caFile, '-x509_strict', '-attime', time]).then(
    ({ stdout }) => (stdout.includes('Verification: OK') ? '' : stdout),
    (error: { stderr: string }) => error.stderr,
  );
}

const byQuery = () => ['-queryfile', file('query')];
const byData = () => ['-data', file('data')];

test.each([
  ['p256', 'sha256'],
  ['p256', 'sha512'],
  ['rsa', 'sha384'],
  ['brainpoolP256r1', 'sha512'],
] as const)('%s with %s', async (signature, hash) => {
  const directory = file(`${signature}-${hash}`);
  await using tsa = await startTimestampAuthority({ directory, signature, hash });
  for (const digest of ['sha256', 'sha384', 'sha512']) {
    await stamp(tsa, digest, '-tspolicy', tsa.policy);
    expect(await verified(tsa, byQuery())).toBe('');
    expect(await verified(tsa, byData())).toBe('');
  }
});

test.each<[TimestampFault, RegExp]>([
  ['wrong-imprint', /message imprint mismatch/],
  ['wrong-nonce', /nonce mismatch/],
  ['no-nonce', /nonce not returned/],
  ['wrong-policy', /policy mismatch/],
  ['wrong-signature', /signature failure|bad signature/],
  ['no-certificate', /certificate/],
  ['wrong-signing-certificate', /ess signing certificate|ess cert id not found/i],
  ['no-signing-certificate', /ess signing certificate|signing certificate/i],
  ['expired-certificate', /certificate has expired/],
  ['wrong-eku', /unsuitable certificate purpose|unsupported certificate purpose/],
  ['uncritical-eku', /unsuitable certificate purpose|unsupported certificate purpose/],
  ['self-signed-certificate', /self.signed certificate/],
  ['foreign-authority', /certificate signature failure|unable to get local issuer|authority and subject key/],
  ['rejected', /response.*rejection|rejection|token not present|no time stamp token/i],
])('%s is noticed', async (fault, reason) => {
  await using tsa = await startTimestampAuthority({ directory: file('faulty') });
  await stamp(tsa, 'sha256', '-tspolicy', tsa.policy);
  expect(await verified(tsa, byQuery())).toBe('');
  tsa.faults.add(fault);
  await stamp(tsa, 'sha256', '-tspolicy', tsa.policy);
  expect(await verified(tsa, byQuery())).toMatch(reason);
});

test('tokens of another decade chain to the same root', async () => {
  await using tsa = await startTimestampAuthority({ directory: file('decades') });
  await stamp(tsa, 'sha256');
  const first = tsa.clock.now();
  await writeFile(file('first'), await readFile(file('response')));
  tsa.clock.set(new Date('2051-03-01T00:00:00Z'));
  await stamp(tsa, 'sha512');
  expect(await verified(tsa, byData())).toBe('');
  await writeFile(file('response'), await readFile(file('first')));
  expect(await verified(tsa, byData(), first)).toBe('');
  expect(await verified(tsa, byData())).toMatch(/certificate has expired/);
});

test('the revocation list is good, and speaks for and against the signer', async () => {
  await using tsa = await startTimestampAuthority({ directory: file('revoked') });
  await stamp(tsa, 'sha256');
  const signer = file('revoked/ca/timestamp-p256.pem');
  const listed = async () => {
    await writeFile(file('tsa.crl'), tsa.crl());
    await run('openssl', ['crl', '-inform', 'DER', '-in', file('tsa.crl'), '-out', file('tsa.crl.pem')]);
    const args = ['verify', '-CAfile', tsa.caFile, '-CRLfile', file('tsa.crl.pem'), '-crl_check'];
    return run('openssl', [...args, '-x509_strict', '-purpose', 'timestampsign', signer]).then(
      () => 'good',
      (error: { stderr: string }) => error.stderr,
    );
  };
  expect(await listed()).toBe('good');
  await tsa.revokeSigner();
  expect(await listed()).toMatch(/certificate revoked/);
});
