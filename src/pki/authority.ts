/**
 * A small certificate authority of the gateway's own: for the certificate that clients in the house see
 * where no public one is at hand, and for relay hosts. EC P-256, because every mail client knows it.
 */
import 'reflect-metadata';
import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralNames,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

cryptoProvider.set(webcrypto);

/** A certificate and its key, both PEM. */
export interface Issued {
  readonly certificate: string;
  /** PKCS #8. */
  readonly key: string;
}

interface IssueRequest {
  readonly commonName: string;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly emailAddresses?: readonly string[];
  readonly purpose: 'server' | 'client';
  /** 1 to 397: Apple refuses server certificates that live longer. Default 397. */
  readonly days?: number;
}

/** What `createAuthority` returns. */
export interface Authority extends Issued {
  /**
   * A leaf certificate with a new key. Clients look at the subject alternative names alone.
   * @throws RangeError where `days` is out of range or a server has no name
   */
  issue(request: IssueRequest): Promise<Issued>;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;
/** A clock that is a little slow must not reject what was issued a minute ago. */
const BACKDATE_MS = 3_600_000;
const AUTHORITY_DAYS = 3_653 * 2;
const MAX_LEAF_DAYS = 397;

/** A new authority, twenty years valid, that may issue leaves only (path length 0). */
export async function createAuthority({ name }: { readonly name: string }): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const { notBefore, notAfter } = validity(AUTHORITY_DAYS);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [name] }],
    notBefore,
    notAfter,
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return openAuthority({ certificate: pem(certificate), key: await exportKey(keys.privateKey) });
}

/**
 * An authority from its stored files.
 * @throws Error where certificate or key cannot be read or do not belong together
 */
async function openAuthority(stored: Issued): Promise<Authority> {
  const certificate = new X509Certificate(stored.certificate);
  const pkcs8 = createPrivateKey(stored.key).export({ type: 'pkcs8', format: 'der' });
  const signingKey = await webcrypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, false, ['sign']);
  return {
    ...stored,
    async issue(request) {
      const { commonName, dnsNames = [], ipAddresses = [], emailAddresses = [] } = request;
      const { purpose, days = MAX_LEAF_DAYS } = request;
      if (!Number.isInteger(days) || days < 1 || days > MAX_LEAF_DAYS) {
        throw new RangeError(`a certificate lives 1 to ${MAX_LEAF_DAYS} days, not ${days}`);
      }
      const names: JsonGeneralNames = [
        ...dnsNames.map((value) => ({ type: 'dns' as const, value })),
        ...ipAddresses.map((value) => ({ type: 'ip' as const, value })),
        ...emailAddresses.map((value) => ({ type: 'email' as const, value })),
      ];
      if (purpose === 'server' && dnsNames.length + ipAddresses.length === 0) {
        throw new RangeError('a server certificate needs a DNS name or an IP address');
      }
      const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
      const { notBefore, notAfter } = validity(days);
      const leaf = await X509CertificateGenerator.create({
        serialNumber: serialNumber(),
        subject: [{ CN: [commonName] }],
        issuer: certificate.subjectName.toJSON(),
        notBefore,
        notAfter,
        signingAlgorithm: ALGORITHM,
        publicKey: keys.publicKey,
        signingKey,
        extensions: [
          new BasicConstraintsExtension(false, undefined, true),
          new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
          new ExtendedKeyUsageExtension([
            ExtendedKeyUsage[purpose === 'server' ? 'serverAuth' : 'clientAuth'],
          ]),
          await SubjectKeyIdentifierExtension.create(keys.publicKey),
          await AuthorityKeyIdentifierExtension.create(certificate.publicKey),
          ...(names.length > 0 ? [new SubjectAlternativeNameExtension(names)] : []),
        ],
      });
      return { certificate: pem(leaf), key: await exportKey(keys.privateKey) };
    },
  };
}

/**
 * The authority kept in a folder as `ca.pem` and `ca.key` (mode 0600), made at the first call and the
 * same ever after: clients trust it by hand.
 * @throws Error where one of the two files is missing or they do not belong together
 */
export async function ensureAuthority(folder: string, name = 'De-Mail gateway CA'): Promise<Authority> {
  const paths = { certificate: join(folder, 'ca.pem'), key: join(folder, 'ca.key') };
  const [certificate, key] = await Promise.all([readIfThere(paths.certificate), readIfThere(paths.key)]);
  if (certificate !== undefined && key !== undefined) return openAuthority({ certificate, key });
  if (certificate !== undefined) {
    // A new one would be trusted by nobody, and the old one would look as if it still worked.
    throw new Error(
      `${paths.key} is missing; restore it, or remove ${paths.certificate} to start a new authority`,
    );
  }
  const authority = await createAuthority({ name });
  await mkdir(folder, { recursive: true });
  await writePrivate(paths.key, authority.key);
  await writeFile(`${paths.certificate}.new`, authority.certificate);
  await rename(`${paths.certificate}.new`, paths.certificate);
  return authority;
}

async function writePrivate(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await chmod(`${path}.new`, 0o600);
  await rename(`${path}.new`, path);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function validity(days: number): { notBefore: Date; notAfter: Date } {
  const start = Math.floor((Date.now() - BACKDATE_MS) / 1000) * 1000;
  return { notBefore: new Date(start), notAfter: new Date(start + days * DAY_MS) };
}

/** 127 random bits: unique without a counter, positive without padding (RFC 5280 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}

function pem(certificate: X509Certificate): string {
  return `${certificate.toString('pem').trim()}\n`;
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: pkcs8, type: 'pkcs8', format: 'der' }).export({
    type: 'pkcs8',
    format: 'pem',
  }) as string;
}
