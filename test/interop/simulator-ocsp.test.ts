/** The simulator's OCSP responder, asked by openssl. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { testSimulator } from '../../src/simulator/testing/customer.ts';

const run = promisify(execFile);

test.each(['-sha1', '-sha256'])('asked with %s and a nonce: good, then revoked', async (digest) => {
  await using open = await testSimulator({ ocsp: { port: 0 } });
  const { simulator } = open;
  const certificate = join(simulator.directory, 'ca', 'signature-p256.pem');
  const ask = async () => {
    const about = ['-issuer', simulator.caFile, digest, '-cert', certificate];
    const args = ['ocsp', ...about, '-url', simulator.ocspUrl!, '-CAfile', simulator.caFile];
    const { stdout, stderr } = await run('openssl', args);
    return stdout + stderr;
  };
  const good = await ask();
  expect(good).toContain('Response verify OK');
  expect(good).not.toContain('WARNING');
  expect(good).toContain(`${certificate}: good`);
  await simulator.revokeSigner();
  expect(await ask()).toContain(`${certificate}: revoked`);
});
