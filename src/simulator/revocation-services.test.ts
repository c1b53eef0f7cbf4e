import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { readCertificate } from '../pki/certificate.ts';
import { ocspRequest, ocspStatus, readOcsp } from '../pki/ocsp.ts';
import { allOf, handover, header, submit, type TestSimulator, testSimulator } from './testing/customer.ts';

let shared: TestSimulator;
beforeAll(async () => {
  shared = await testSimulator({ crl: { port: 0 }, ocsp: { port: 0 }, timestamp: {} });
});
afterAll(() => shared[Symbol.asyncDispose]());
beforeEach(() => {
  shared.simulator.faults.revocationUnavailable = false;
});

const parsed = (der: Buffer) => readCertificate(der)!;
const root = () => parsed(new X509Certificate(shared.simulator.caPem).raw);

async function signature(simulator = shared.simulator): Promise<X509Certificate> {
  await submit(simulator, { message: handover({ 'X-de-mail-authoritative': 'yes' }) });
  await simulator.settled();
  const sent = (await allOf(simulator, 'stadt-waren', 'Sent')).at(-1)!;
  const base64 = header(sent, 'X-de-mail-signature-certificate')!.replaceAll(/\s/g, '');
  return new X509Certificate(Buffer.from(base64, 'base64'));
}

function ask(request: Buffer, method = 'POST'): Promise<Response> {
  const url = shared.simulator.ocspUrl!;
  return method === 'GET'
    ? fetch(url + encodeURIComponent(request.toString('base64')))
    : fetch(url, { method, body: Uint8Array.from(request) });
}

async function statusOf(certificate: X509Certificate, method?: string) {
  const response = await ask(ocspRequest(parsed(certificate.raw), root()), method);
  expect(response.headers.get('content-type')).toBe('application/ocsp-response');
  const basic = readOcsp(Buffer.from(await response.arrayBuffer()))!;
  return ocspStatus(basic, parsed(certificate.raw), root());
}

test('the certificate names both services; the responder says good, then revoked, as the list does', async () => {
  const { simulator } = shared;
  const certificate = await signature();
  expect(certificate.infoAccess).toContain(`OCSP - URI:${simulator.ocspUrl}`);
  expect(certificate.raw.includes(simulator.crlUrl!)).toBe(true);
  expect(await statusOf(certificate)).toMatchObject({ kind: 'good' });
  expect(await statusOf(certificate, 'GET')).toMatchObject({ kind: 'good' });
  const at = new Date('2026-11-20T10:00:00Z');
  await simulator.revokeSigner(at);
  expect(await statusOf(certificate)).toMatchObject({ kind: 'revoked', revokedAt: at });
});

test('of other issuers it knows nothing, and what is no request is malformed', async () => {
  const other = new X509Certificate(shared.simulator.timestamp!.caPem);
  const response = await ask(ocspRequest(parsed(other.raw), parsed(other.raw)));
  const basic = readOcsp(Buffer.from(await response.arrayBuffer()))!;
  expect(basic.tbsResponseData.responses[0]!.certStatus.idBlock.tagNumber).toBe(2);
  const malformed = await ask(Buffer.from('x'));
  expect(Buffer.from(await malformed.arrayBuffer())).toEqual(Buffer.from('30030a0101', 'hex'));
});

test('both can be out of order', async () => {
  shared.simulator.faults.revocationUnavailable = true;
  expect((await fetch(shared.simulator.crlUrl!)).status).toBe(503);
  expect((await ask(Buffer.alloc(0))).status).toBe(503);
});

test('the validity of the signature certificate can be chosen', async () => {
  const certificate = { validFrom: '2020-01-01T00:00:00Z', validTo: '2021-01-01T00:00:00Z' };
  await using open = await testSimulator({ certificate });
  const shown = await signature(open.simulator);
  expect(shown.validFromDate).toEqual(new Date(certificate.validFrom));
  expect(shown.validToDate).toEqual(new Date(certificate.validTo));
});

test('the time-stamp authority follows the clock of the provider', async () => {
  const time = new Date('2031-01-01T00:00:00Z');
  shared.simulator.setClock(time);
  expect(Math.abs(shared.simulator.timestamp!.clock.now().getTime() - time.getTime())).toBeLessThan(60_000);
  shared.simulator.setClock();
});
