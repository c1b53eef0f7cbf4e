import { createHash, randomBytes, verify, X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as asn1js from 'asn1js';
import fc from 'fast-check';
import * as pkijs from 'pkijs';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  startTimestampAuthority,
  type TimestampAuthority,
  type TimestampFault,
} from './timestamp-authority.ts';
import { parseRequest } from './timestamp-token.ts';

const now = new Date('2026-11-24T08:00:00.250Z');
const sha256 = '2.16.840.1.101.3.4.2.1';
let directory: string;
let tsa: TimestampAuthority;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tsa-'));
  tsa = await startTimestampAuthority({ directory }, { now: () => now });
});
afterAll(async () => {
  await tsa.close();
  await rm(directory, { recursive: true, force: true });
});
beforeEach(() => {
  tsa.faults.clear();
  tsa.clock.set();
});

interface Wanted {
  readonly algorithm?: string;
  readonly imprint?: Buffer;
  readonly nonce?: Buffer;
  readonly certReq?: boolean;
  readonly policy?: string;
}

const document = Buffer.from('ein Bescheid');
const hashed = createHash('sha256').update(document).digest();
const bytesOf = (block: { valueBlock: { valueHexView: Uint8Array } }) =>
  Buffer.from(block.valueBlock.valueHexView);

function query({ algorithm = sha256, imprint = hashed, nonce, certReq = true, policy }: Wanted = {}): Buffer {
  const request = new pkijs.TimeStampReq({
    version: 1,
    messageImprint: new pkijs.MessageImprint({
      hashAlgorithm: new pkijs.AlgorithmIdentifier({ algorithmId: algorithm }),
      hashedMessage: new asn1js.OctetString({ valueHex: Uint8Array.from(imprint).buffer }),
    }),
    certReq,
    ...(policy ? { reqPolicy: policy } : {}),
    ...(nonce ? { nonce: new asn1js.Integer({ valueHex: Uint8Array.from(nonce).buffer }) } : {}),
  });
  return Buffer.from(request.toSchema().toBER());
}

function post(body: Buffer, type = 'application/timestamp-query'): Promise<Response> {
  return fetch(tsa.url, { method: 'POST', headers: { 'content-type': type }, body: Uint8Array.from(body) });
}

interface Stamp {
  readonly info: pkijs.TSTInfo;
  readonly signed: pkijs.SignedData;
  readonly signer: pkijs.SignerInfo;
  readonly attributes: ReadonlyMap<string, asn1js.BaseBlock>;
}

async function responseTo(body: Buffer): Promise<pkijs.TimeStampResp> {
  const response = await post(body);
  expect(response.headers.get('content-type')).toBe('application/timestamp-reply');
  return pkijs.TimeStampResp.fromBER(await response.arrayBuffer());
}

async function stamp(wanted: Wanted = {}): Promise<Stamp> {
  const response = await responseTo(query(wanted));
  expect(response.status.status).toBe(0);
  const signed = new pkijs.SignedData({ schema: response.timeStampToken!.content });
  const content = signed.encapContentInfo.eContent!.getValue();
  const info = pkijs.TSTInfo.fromBER(content);
  const [signer] = signed.signerInfos as [pkijs.SignerInfo];
  const attributes = new Map(signer.signedAttrs!.attributes.map(({ type, values }) => [type, values[0]]));
  return { info, signed, signer, attributes };
}

/** Signature over the attributes, digest of the content, and a certificate of the root, valid at that time. */
function proven(token: Stamp, at = now): boolean {
  const { signer, signed, attributes } = token;
  const certificate = certificateOf(token);
  const root = new X509Certificate(tsa.caPem);
  const content = new Uint8Array(signed.encapContentInfo.eContent!.getValue());
  const digest = attributes.get('1.2.840.113549.1.9.4') as asn1js.OctetString;
  const attributeSet = Buffer.from(signer.signedAttrs!.encodedValue);
  return (
    bytesOf(digest).equals(createHash('sha256').update(content).digest()) &&
    verify('sha256', attributeSet, certificate.publicKey, bytesOf(signer.signature)) &&
    certificate.verify(root.publicKey) &&
    certificate.validFromDate <= at &&
    at <= certificate.validToDate
  );
}

function certificateOf({ signed }: Stamp): X509Certificate {
  const [certificate] = signed.certificates as pkijs.Certificate[];
  return new X509Certificate(Buffer.from(certificate!.toSchema().toBER()));
}

test.each([
  ['sha256', sha256],
  ['sha384', '2.16.840.1.101.3.4.2.2'],
  ['sha512', '2.16.840.1.101.3.4.2.3'],
])('stamps a %s digest', async (name, algorithm) => {
  const imprint = createHash(name).update(document).digest();
  const nonce = Buffer.from('00ff0102030405060708', 'hex');
  const token = await stamp({ algorithm, imprint, nonce, policy: '2.25.1' });
  expect(token.info.messageImprint.hashAlgorithm.algorithmId).toBe(algorithm);
  expect(bytesOf(token.info.messageImprint.hashedMessage)).toEqual(imprint);
  expect(bytesOf(token.info.nonce!)).toEqual(nonce);
  expect(token.info.policy).toBe('2.25.1');
  expect(token.info.genTime).toEqual(now);
  expect([token.signed.version, token.signer.version]).toEqual([3, 1]);
  expect(token.signer.sid).toBeInstanceOf(pkijs.IssuerAndSerialNumber);
  expect(token.signer.unsignedAttrs).toBeUndefined();
  expect([...token.attributes.keys()].sort()).toEqual([
    '1.2.840.113549.1.9.16.2.47',
    '1.2.840.113549.1.9.3',
    '1.2.840.113549.1.9.4',
  ]);
  const named = token.attributes.get('1.2.840.113549.1.9.16.2.47')!;
  expect(Buffer.from(named.toBER()).includes(certificateDigest(token))).toBe(true);
  expect(proven(token)).toBe(true);
});

function certificateDigest(token: Stamp): Buffer {
  return createHash('sha256').update(certificateOf(token).raw).digest();
}

test('leaves out certificate and nonce where they are not asked for; each serial number is its own', async () => {
  const [first, second] = [await stamp({ certReq: false }), await stamp({ certReq: false })];
  expect(first.signed.certificates).toBeUndefined();
  expect(first.info.nonce).toBeUndefined();
  expect(bytesOf(first.info.serialNumber)).not.toEqual(bytesOf(second.info.serialNumber));
});

test.each<[string, Wanted | Buffer, number]>([
  ['SHA-1', { algorithm: '1.3.14.3.2.26', imprint: Buffer.alloc(20) }, 0],
  ['an imprint of the wrong length', { imprint: Buffer.alloc(20) }, 5],
  ['another policy', { policy: '1.2.3' }, 15],
  ['no DER', Buffer.from('x'), 5],
  ['bytes behind the request', Buffer.concat([query(), Buffer.of(0)]), 5],
])('rejects %s', async (_, wanted, failInfo) => {
  const { status, timeStampToken } = await responseTo(Buffer.isBuffer(wanted) ? wanted : query(wanted));
  expect(status.status).toBe(2);
  expect(timeStampToken).toBeUndefined();
  const bits = bytesOf(status.failInfo!);
  expect(bits[failInfo >> 3]).toBe(0x80 >> (failInfo & 7));
});

test('answers what is no query in the terms of HTTP', async () => {
  expect((await fetch(tsa.url)).status).toBe(405);
  expect((await post(query(), 'text/plain')).status).toBe(415);
  expect((await post(Buffer.alloc(70_000))).status).toBe(413);
});

test('any bytes whatever are a request or none', () => {
  const valid = query({ nonce: randomBytes(8), policy: '2.25.1' });
  const mutated = fc
    .array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
    .map((changes) => {
      const bytes = Buffer.from(valid);
      for (const [at, value] of changes) bytes[at] = value;
      return bytes;
    });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 100 }).map(Buffer.from), mutated), (bytes) => {
      parseRequest(bytes as Buffer);
    }),
  );
});

const crooked: Partial<Record<TimestampFault, (token: Stamp) => unknown>> = {
  'wrong-imprint': ({ info }) => expect(bytesOf(info.messageImprint.hashedMessage)).not.toEqual(hashed),
  'wrong-algorithm': ({ info }) =>
    expect(info.messageImprint.hashAlgorithm.algorithmId).toBe('2.16.840.1.101.3.4.2.2'),
  'wrong-nonce': ({ info }) => expect(bytesOf(info.nonce!)).toEqual(Buffer.of(4)),
  'no-nonce': ({ info }) => expect(info.nonce).toBeUndefined(),
  'wrong-policy': ({ info }) => expect(info.policy).toBe('2.25.2'),
  'wrong-time': ({ info }) => expect(info.genTime).toEqual(new Date('2026-11-23T08:00:00.250Z')),
  'no-certificate': ({ signed }) => expect(signed.certificates).toBeUndefined(),
  'wrong-signing-certificate': (token) => {
    const named = token.attributes.get('1.2.840.113549.1.9.16.2.47')!;
    expect(Buffer.from(named.toBER()).includes(certificateDigest(token))).toBe(false);
  },
  'no-signing-certificate': ({ attributes }) =>
    expect(attributes.has('1.2.840.113549.1.9.16.2.47')).toBe(false),
  'wrong-eku': (token) => expect(certificateOf(token).keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']),
  'uncritical-eku': (token) => {
    expect(certificateOf(token).keyUsage).toEqual(['1.3.6.1.5.5.7.3.8']);
    const [certificate] = token.signed.certificates as pkijs.Certificate[];
    expect(certificate!.extensions!.find(({ extnID }) => extnID === '2.5.29.37')!.critical).toBe(false);
  },
  'revoked-certificate': async (token) => {
    const listed = (await revokedSerials()).includes(certificateOf(token).serialNumber);
    expect(listed).toBe(true);
  },
};

async function revokedSerials(): Promise<string[]> {
  const list = pkijs.CertificateRevocationList.fromBER(await (await fetch(tsa.crlUrl)).arrayBuffer());
  return (list.revokedCertificates ?? []).map(({ userCertificate }) =>
    bytesOf(userCertificate).toString('hex').toUpperCase(),
  );
}

test.each(Object.entries(crooked))('fault %s, well signed', async (fault, look) => {
  tsa.faults.add(fault as TimestampFault);
  const token = await stamp({ nonce: Buffer.of(5) });
  if (fault !== 'no-certificate') expect(proven(token)).toBe(true);
  await look(token);
});

test.each<TimestampFault>([
  'wrong-signature',
  'expired-certificate',
  'self-signed-certificate',
  'foreign-authority',
])('fault %s cannot be proven', async (fault) => {
  expect(proven(await stamp())).toBe(true);
  tsa.faults.add(fault);
  expect(proven(await stamp())).toBe(false);
});

test.each<[TimestampFault, number]>([
  ['rejected', 2],
  ['waiting', 3],
  ['no-token', 0],
])('fault %s: status %i and no token', async (fault, expected) => {
  tsa.faults.add(fault);
  const { status, timeStampToken } = await responseTo(query());
  expect(status.status).toBe(expected);
  expect(timeStampToken).toBeUndefined();
});

test('faults below the protocol', async () => {
  tsa.faults.add('unavailable');
  expect((await post(query())).status).toBe(503);
  tsa.faults.clear();
  tsa.faults.add('web-page');
  expect((await post(query())).headers.get('content-type')).toBe('text/html');
  tsa.faults.clear();
  tsa.faults.add('flood');
  expect((await (await post(query())).arrayBuffer()).byteLength).toBe(1 << 20);
  tsa.faults.clear();
  tsa.faults.add('garbage');
  expect(await (await post(query())).text()).toBe('no such thing');
  tsa.faults.clear();
  tsa.faults.add('cut');
  await expect(post(query())).rejects.toThrow();
  tsa.faults.clear();
  tsa.faults.add('silent');
  const waiting = fetch(tsa.url, {
    method: 'POST',
    headers: { 'content-type': 'application/timestamp-query' },
    body: Uint8Array.from(query()),
    signal: AbortSignal.timeout(20),
  });
  await expect(waiting).rejects.toThrow();
});

test('its clock moves over decades: certificates are renewed, the root stays, old tokens stay proven', async () => {
  const before = await stamp();
  const later = new Date('2041-06-01T00:00:00Z');
  tsa.clock.set(later);
  const after = await stamp();
  expect(after.info.genTime).toEqual(later);
  expect(certificateOf(after).serialNumber).not.toBe(certificateOf(before).serialNumber);
  expect(proven(after, later)).toBe(true);
  expect(proven(before, now)).toBe(true);
  const list = pkijs.CertificateRevocationList.fromBER(new Uint8Array(tsa.crl()));
  expect(list.thisUpdate.value).toEqual(later);
});

test('the signer can be revoked; a restart keeps root, signer and list', async () => {
  const folder = join(directory, 'second');
  const options = { directory: folder, signature: 'rsa', hash: 'sha512' } as const;
  const first = await startTimestampAuthority(options);
  await first.revokeSigner();
  await first.close();
  const again = await startTimestampAuthority({ ...options, port: first.port });
  try {
    expect(again.caPem).toBe(first.caPem);
    const list = pkijs.CertificateRevocationList.fromBER(new Uint8Array(again.crl()));
    expect(list.revokedCertificates).toHaveLength(1);
  } finally {
    await again.close();
  }
});
