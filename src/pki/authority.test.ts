import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Authority, createAuthority, ensureAuthority } from './authority.ts';
import { tlsServerOptions } from './tls.ts';

let folder: string;
let authority: Authority;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'demail-pki-'));
  authority = await createAuthority({ name: 'Kreis CA' });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const server = {
  commonName: 'mail.example',
  dnsNames: ['mail.example'],
  ipAddresses: ['127.0.0.1', '::1'],
  purpose: 'server',
} as const;

describe('an authority', () => {
  it('is a CA that may issue leaves only, for at least ten years', () => {
    const certificate = new X509Certificate(authority.certificate);
    expect(certificate.ca).toBe(true);
    expect(certificate.subject).toBe('CN=Kreis CA');
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(Date.parse(certificate.validTo) - Date.now()).toBeGreaterThan(10 * 365 * 86_400_000);
  });

  it('issues what it signs, with names, purpose and a short life', async () => {
    const issued = await authority.issue(server);
    const certificate = new X509Certificate(issued.certificate);
    const root = new X509Certificate(authority.certificate);
    expect(certificate.checkIssued(root)).toBe(true);
    expect(certificate.verify(root.publicKey)).toBe(true);
    expect(certificate.ca).toBe(false);
    expect(certificate.subjectAltName).toBe(
      'DNS:mail.example, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
    );
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    const days = (Date.parse(certificate.validTo) - Date.parse(certificate.validFrom)) / 86_400_000;
    expect(days).toBe(397);
    expect(issued.key).toContain('BEGIN PRIVATE KEY');
  });

  it.each([
    ['a server without names', { commonName: 'x', purpose: 'server' as const }, 'needs a DNS name'],
    ['more days than Apple takes', { ...server, days: 398 }, '1 to 397 days'],
    ['no days', { ...server, days: 0 }, '1 to 397 days'],
  ])('refuses %s', async (_, request, message) => {
    await expect(authority.issue(request)).rejects.toThrow(message);
  });

  it('stays the same in its folder, its key for its owner alone', async () => {
    const ca = join(folder, 'ca');
    const first = await ensureAuthority(ca);
    const second = await ensureAuthority(ca);
    expect(second.certificate).toBe(first.certificate);
    expect((await stat(join(ca, 'ca.key'))).mode & 0o777).toBe(0o600);
    const client = await second.issue({ commonName: 'relay', purpose: 'client' });
    expect(new X509Certificate(client.certificate).checkIssued(new X509Certificate(first.certificate))).toBe(
      true,
    );
    await rm(join(ca, 'ca.key'));
    await expect(ensureAuthority(ca)).rejects.toThrow('is missing');
    expect(await readFile(join(ca, 'ca.pem'), 'utf8')).toBe(first.certificate);
  });
});

describe('a TLS server with these settings', () => {
  it.each<[string, object, string]>([
    ['TLS 1.3', {}, 'TLSv1.3 TLS_AES_256_GCM_SHA384'],
    ['TLS 1.2', { maxVersion: 'TLSv1.2' }, 'TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384'],
    [
      "the server's order",
      { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384' },
      'TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384',
    ],
    ['brainpool', { ecdhCurve: 'brainpoolP256r1tls13' }, 'TLSv1.3 TLS_AES_256_GCM_SHA384'],
    ['P-384', { ecdhCurve: 'P-384' }, 'TLSv1.3 TLS_AES_256_GCM_SHA384'],
    [
      'CBC',
      { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA' },
      'refused',
    ],
    ['ChaCha20', { ciphers: 'TLS_CHACHA20_POLY1305_SHA256', minVersion: 'TLSv1.3' }, 'refused'],
    ['TLS 1.1', { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }, 'refused'],
    ['X25519', { ecdhCurve: 'X25519' }, 'refused'],
  ])('answers %s', async (_, client, expected) => {
    const issued = await authority.issue(server);
    const listener = createServer(tlsServerOptions(issued), (socket) => socket.end());
    listener.on('tlsClientError', () => undefined);
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = listener.address() as { port: number };
      const answer = await new Promise<string>((resolve) => {
        const socket: TLSSocket = connect(
          { host: '127.0.0.1', port, ca: authority.certificate, ...client },
          () => {
            resolve(
              `${socket.getProtocol()} ${socket.getCipher().standardName.startsWith('TLS_A') ? socket.getCipher().standardName : socket.getCipher().name}`,
            );
            socket.destroy();
          },
        );
        socket.on('error', () => resolve('refused'));
      });
      expect(answer.replace('TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', 'ECDHE-ECDSA-AES256-GCM-SHA384')).toBe(
        expected,
      );
    } finally {
      await new Promise((resolve) => listener.close(resolve));
    }
  });
});
