import { hash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  startTimestampAuthority,
  type TimestampAuthority,
  type TimestampFault,
} from '../simulator/timestamp-authority.ts';
import { createAuthority } from './authority.ts';
import { readTrustFiles, revocationMemory } from './revocation-sources.ts';
import { verifyTimestamp } from './timestamp.ts';
import { requestTimestamp, type TimestampOrder, type TimestampServer } from './timestamp-client.ts';
import { embedCrls } from './timestamp-der.ts';
import type { TrustStore } from './types.ts';

const start = new Date('2026-11-24T09:00:00Z');
const digest = hash('sha256', 'root', 'buffer');
const directory = mkdtempSync(join(tmpdir(), 'timestamps-'));
let tsa: TimestampAuthority;
let second: TimestampAuthority;
let trust: TrustStore;

beforeAll(async () => {
  const options = { now: () => start };
  tsa = await startTimestampAuthority({ directory: join(directory, 'first') }, options);
  second = await startTimestampAuthority(
    { directory: join(directory, 'second'), policy: '1.2.3.4.5' },
    options,
  );
  trust = await readTrustFiles([tsa.caFile, second.caFile]);
});

afterEach(() => tsa.faults.clear());

afterAll(async () => {
  await Promise.all([tsa.close(), second.close()]);
  rmSync(directory, { recursive: true });
});

const local = (url: string, more: Partial<TimestampServer> = {}) => ({ url, allowPrivate: true, ...more });

function order(servers: readonly TimestampServer[], more: Partial<TimestampOrder> = {}) {
  const revocation = revocationMemory([]);
  return requestTimestamp({ servers, hash: 'sha256', digest, trust, revocation, now: () => start, ...more });
}

describe('an authority that does its work', () => {
  test('gives a token that is valid once a later list is inside', async () => {
    const outcome = await order([local(tsa.url)]);
    if (!outcome.ok) throw new Error(outcome.failures[0]!.reason);
    expect(outcome).toMatchObject({
      server: { url: tsa.url },
      failures: [],
      report: { verdict: 'indeterminate' },
    });
    const later = new Date(start.getTime() + 86_400_000);
    tsa.clock.set(later);
    const token = embedCrls(outcome.token, [tsa.crl()]);
    tsa.clock.set(start);
    const revocation = revocationMemory([]);
    expect((await verifyTimestamp({ token, trust, revocation, time: later })).verdict).toBe('valid');
  });

  test('is given the policy that is wanted', async () => {
    const outcome = await order([local(second.url, { policy: '1.2.3.4.5' })], {
      hash: 'sha512',
      digest: hash('sha512', 'root', 'buffer'),
    });
    expect(outcome).toMatchObject({
      ok: true,
      report: { token: { policy: '1.2.3.4.5', imprint: { hash: 'sha512' } } },
    });
    const refused = await order([local(second.url, { policy: '1.2.3.4.6' })]);
    expect(refused).toMatchObject({ ok: false, failures: [{ reason: expect.stringContaining('policy') }] });
  });
});

describe('whatever an authority does wrong, the next one is asked', () => {
  test.each<[TimestampFault, RegExp]>([
    ['unavailable', /HTTP status 503/],
    ['cut', /hang up|reset/],
    ['flood', /longer than/],
    ['web-page', /no time-stamp response/],
    ['garbage', /no time-stamp response/],
    ['rejected', /rejected.*told to reject/],
    ['waiting', /waiting/],
    ['no-token', /no token came/],
    ['wrong-imprint', /over another/],
    ['wrong-algorithm', /imprint|over another/],
    ['wrong-nonce', /nonce/],
    ['no-nonce', /nonce/],
    ['wrong-time', /clock/],
    ['wrong-signature', /signature was not made/],
    ['no-certificate', /certificate did not come along/],
    ['wrong-signing-certificate', /names another certificate/],
    ['no-signing-certificate', /ESSCertIDv2/],
    ['expired-certificate', /expired/],
    ['wrong-eku', /not for time-stamps alone/],
    ['uncritical-eku', /not as critical/],
    ['self-signed-certificate', /no path/],
    ['foreign-authority', /no path/],
  ])('%s', async (fault, reason) => {
    tsa.faults.add(fault);
    const outcome = await order([local(tsa.url), local(second.url)]);
    expect(outcome).toMatchObject({ ok: true, server: { url: second.url } });
    expect(outcome.failures).toEqual([{ url: tsa.url, reason: expect.stringMatching(reason) }]);
  });

  test('silence ends after the time that was given', async () => {
    tsa.faults.add('silent');
    const outcome = await order([local(tsa.url)], { timeoutMs: 50 });
    expect(outcome).toMatchObject({
      ok: false,
      failures: [{ reason: expect.stringMatching(/abort|timeout/i) }],
    });
  });

  test('a revoked certificate counts as soon as a list says so', async () => {
    tsa.faults.add('revoked-certificate');
    const crl = () => revocationMemory([{ kind: 'crl', der: tsa.crl() }]);
    await order([local(tsa.url)]);
    const outcome = await order([local(tsa.url)], { revocation: crl() });
    expect(outcome).toMatchObject({ ok: false, failures: [{ reason: expect.stringMatching(/revoked/) }] });
  });

  test('none that answers is an outcome, not an exception', async () => {
    expect(await order([])).toEqual({ ok: false, failures: [] });
  });

  test('an order that was called off is', async () => {
    await expect(order([local(tsa.url)], { signal: AbortSignal.abort() })).rejects.toThrow();
  });
});

describe('where requests may go', () => {
  test.each<[string, TimestampServer, RegExp]>([
    ['a private address', { url: 'http://127.0.0.1:1/' }, /no public address/],
    ['a file', local('file:///etc/passwd'), /not an http or https URL/],
    ['a login in the URL', local('http://user:secret@127.0.0.1:1/'), /has a login/],
    [
      'a login in clear',
      { url: 'http://192.0.2.1/', allowPrivate: true, authorization: 'Basic eA==' },
      /https only/,
    ],
  ])('%s is refused', async (_name, server, reason) => {
    const outcome = await order([server]);
    expect(outcome).toMatchObject({ ok: false, failures: [{ reason: expect.stringMatching(reason) }] });
  });

  test('over TLS the certificate must fit, the login goes along, and no redirect is followed', async () => {
    const authority = await createAuthority({ name: 'TLS' });
    const issued = await authority.issue({ commonName: 'tsa', dnsNames: ['localhost'], purpose: 'server' });
    const logins: (string | undefined)[] = [];
    const server = createHttpsServer({ cert: issued.certificate, key: issued.key }, (request, response) => {
      logins.push(request.headers.authorization);
      response.writeHead(302, { location: tsa.url }).end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const reasonOf = async (host: string, tls?: TimestampServer['tls']) => {
      const asked = { authorization: 'Basic eA==', ...(tls === undefined ? {} : { tls }) };
      return (await order([local(`https://${host}:${port}/`, asked)])).failures[0]!.reason;
    };
    expect(await reasonOf('localhost')).toMatch(/certificate/);
    expect(await reasonOf('127.0.0.1', { ca: authority.certificate })).toMatch(/altnames/);
    expect(logins).toEqual([]);
    expect(await reasonOf('localhost', { ca: authority.certificate })).toBe('HTTP status 302');
    expect(logins).toEqual(['Basic eA==']);
    server.close();
  });
});
