import { X509Certificate } from 'node:crypto';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openAuthority } from './authority.ts';

let directory: string;
const now = () => new Date('2026-11-24T08:00:00Z');
const later = (years: number) => () => new Date(now().getTime() + years * 365 * 86_400_000);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'authority-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('issues certificates for their purpose, below one root', async () => {
  const authority = await openAuthority({ directory, organization: 'Prüfer', now });
  const root = new X509Certificate(authority.caPem);
  expect(root.ca).toBe(true);
  const server = new X509Certificate(
    (await authority.server(['provider.example', '127.0.0.1', '::1'])).certificatePem,
  );
  expect(server.checkHost('provider.example')).toBe('provider.example');
  expect(server.checkIP('127.0.0.1')).toBe('127.0.0.1');
  expect(server.checkIP('::1')).toBe('::1');
  expect(server.checkHost('other.example')).toBeUndefined();
  const client = new X509Certificate((await authority.client('stadt-waren')).certificatePem);
  expect(client.subject).toBe('C=DE\nO=Prüfer\nCN=stadt-waren');
  expect(client.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
  const { certificatePem, key } = await authority.signer('brainpoolP256r1', 'sha256');
  const signer = new X509Certificate(certificatePem);
  expect(signer.checkPrivateKey(key)).toBe(true);
  for (const certificate of [server, client, signer]) {
    expect(certificate.ca).toBe(false);
    expect(certificate.checkIssued(root)).toBe(true);
    expect(certificate.verify(root.publicKey)).toBe(true);
  }
});

test('many may ask at once, and again after a restart', async () => {
  const authority = await openAuthority({ directory, organization: 'X', now });
  const asked = await Promise.all([1, 2, 3].map(() => authority.client('stadt-waren')));
  const again = await openAuthority({ directory, organization: 'X', now: later(1) });
  const all = [...asked, await again.client('stadt-waren')];
  expect(new Set(all.map(({ certificatePem }) => certificatePem)).size).toBe(1);
  expect(again.caPem).toBe(authority.caPem);
});

test('replaces what has expired, lost its key, or misses a host', async () => {
  const first = await openAuthority({ directory, organization: 'X', now });
  const client = await first.client('a');
  const server = await first.server(['a.example']);
  await copyFile((await first.client('b')).keyFile, client.keyFile);
  const second = await openAuthority({ directory, organization: 'X', now });
  const renewed = await second.client('a');
  expect(new X509Certificate(renewed.certificatePem).serialNumber).not.toBe(
    new X509Certificate(client.certificatePem).serialNumber,
  );
  expect((await second.server(['a.example', 'b.example'])).certificatePem).not.toBe(server.certificatePem);
  expect((await openAuthority({ directory, organization: 'X', now: later(31) })).caPem).not.toBe(first.caPem);
});
