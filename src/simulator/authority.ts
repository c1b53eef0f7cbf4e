/**
 * The provider's own certificate authority: one root, and below it the TLS server, the signature certificate
 * of confirmations, and one client certificate per account. Everything lies in `<directory>/ca` and is found
 * again after a restart.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  X509Certificate,
} from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type CertificateRequest, type Issuer, issueCertificate, toPem } from './certificate.ts';
import { issueCrl, type Revoked } from './crl.ts';
import type { HashName, SignatureKind, Signer } from './signer.ts';

export interface Identity {
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly certificateFile: string;
  readonly keyFile: string;
}

export interface Authority {
  readonly caPem: string;
  readonly caFile: string;
  server(hosts: readonly string[]): Promise<Identity>;
  /** Client certificate whose common name is the account's id. */
  client(account: string): Promise<Identity>;
  /** With a flaw: a certificate that must not be believed (lies.ts). */
  signer(kind: SignatureKind, hash: HashName, flaw?: Flaw): Promise<Signer>;
  /** The revocation list as of now, DER; good for a week. Also kept in `crlFile`. */
  crl(): Buffer;
  readonly crlFile: string;
}

/** `other`: a sound certificate for a second key. */
export type Flaw = 'other' | 'expired' | 'revoked' | 'self-signed' | 'foreign';

const rootName = 'De-Mail Simulator Root';
const day = 86_400_000;
const generate = promisify(generateKeyPair);

/** Opens or makes the authority. `now` dates what has to be made. */
export async function openAuthority(
  directory: string,
  organization: string,
  now: () => Date,
  crlUrl?: string,
): Promise<Authority> {
  const folder = join(directory, 'ca');
  await mkdir(join(folder, 'clients'), { recursive: true, mode: 0o700 });

  type Request = Pick<CertificateRequest, 'commonName' | 'purpose' | 'hosts' | 'crlUrl'> & {
    /** Days from now; default 3650. */
    readonly validDays?: number;
  };
  const known = new Map<string, Promise<Identity>>();

  /** Once per file, however many ask at the same time. */
  function identity(file: string, request: Request, makeKey: () => Promise<KeyObject>, issuer?: Issuer) {
    const made = known.get(file) ?? openIdentity(file, request, makeKey, issuer);
    known.set(file, made);
    return made;
  }

  async function openIdentity(
    file: string,
    request: Request,
    makeKey: () => Promise<KeyObject>,
    issuer?: Issuer,
  ): Promise<Identity> {
    const certificateFile = join(folder, `${file}.pem`);
    const keyFile = join(folder, `${file}.key`);
    const kept = await readIdentity(certificateFile, keyFile);
    if (kept && usable(kept, request, issuer, now())) return kept;
    const key = await makeKey();
    const { validDays = 3650, ...named } = request;
    const der = issueCertificate({
      ...named,
      organization,
      publicKey: key,
      issuer: issuer ?? { name: request.commonName, key },
      notBefore: new Date(now().getTime() - (validDays < 0 ? 400 : 1) * day),
      notAfter: new Date(now().getTime() + validDays * day),
    });
    const keyPem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
    const certificatePem = toPem(der, 'CERTIFICATE');
    await writeWhole(keyFile, keyPem);
    await writeWhole(certificateFile, certificatePem);
    return { certificatePem, keyPem, certificateFile, keyFile };
  }

  const root = await identity('root', { commonName: rootName, purpose: 'authority' }, newP256Key);
  const issuer: Issuer = { name: rootName, key: createPrivateKey(root.keyPem) };
  const revokedFile = join(folder, 'revoked.json');
  const crlFile = join(folder, 'root.crl');
  const revoked: Revoked[] = (await readRevoked(revokedFile)) ?? [];

  function crl(): Buffer {
    const thisUpdate = now();
    const nextUpdate = new Date(thisUpdate.getTime() + 7 * day);
    return issueCrl({ issuer, organization, revoked, thisUpdate, nextUpdate });
  }

  async function revoke(serial: string): Promise<void> {
    if (revoked.some((entry) => entry.serial === serial)) return;
    revoked.push({ serial, at: new Date(now().getTime() - day / 24) });
    await writeWhole(revokedFile, JSON.stringify(revoked));
    await writeWhole(crlFile, crl());
  }

  async function foreignIssuer(): Promise<Issuer> {
    const foreign = { commonName: rootName, purpose: 'authority' } as const;
    const made = await identity('foreign-root', foreign, newP256Key);
    return { name: rootName, key: createPrivateKey(made.keyPem) };
  }

  await writeWhole(crlFile, crl());
  return {
    caPem: root.certificatePem,
    caFile: root.certificateFile,
    server: (hosts) =>
      identity('server', { commonName: hosts[0]!, purpose: 'server', hosts }, newP256Key, issuer),
    client: (account) =>
      identity(`clients/${account}`, { commonName: account, purpose: 'client' }, newP256Key, issuer),
    crl,
    crlFile,
    async signer(kind, hash, flaw) {
      const commonName = `De-Mail Signatur ${kind}`;
      const made = await identity(
        `signature-${kind}${flaw ? `-${flaw}` : ''}`,
        {
          commonName,
          purpose: 'signature',
          ...(crlUrl ? { crlUrl } : {}),
          ...(flaw === 'expired' ? { validDays: -1 } : {}),
        },
        () => newKey(kind),
        flaw === 'self-signed' ? undefined : flaw === 'foreign' ? await foreignIssuer() : issuer,
      );
      if (flaw === 'revoked') await revoke(new X509Certificate(made.certificatePem).serialNumber);
      return {
        kind,
        hash,
        key: createPrivateKey(made.keyPem),
        certificatePem: made.certificatePem,
        certificateDer: new X509Certificate(made.certificatePem).raw,
      };
    },
  };
}

async function newKey(kind: SignatureKind): Promise<KeyObject> {
  if (kind === 'rsa' || kind === 'rsassa-pss') {
    return (await generate('rsa', { modulusLength: 2048 })).privateKey;
  }
  const namedCurve = kind === 'p256' ? 'prime256v1' : 'brainpoolP256r1';
  return (await generate('ec', { namedCurve })).privateKey;
}

function newP256Key(): Promise<KeyObject> {
  return newKey('p256');
}

async function readIdentity(certificateFile: string, keyFile: string): Promise<Identity | undefined> {
  try {
    const [certificatePem, keyPem] = await Promise.all([
      readFile(certificateFile, 'utf8'),
      readFile(keyFile, 'utf8'),
    ]);
    return { certificatePem, keyPem, certificateFile, keyFile };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function readRevoked(file: string): Promise<Revoked[] | undefined> {
  try {
    const entries = JSON.parse(await readFile(file, 'utf8')) as { serial: string; at: string }[];
    return entries.map(({ serial, at }) => ({ serial, at: new Date(at) }));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Still valid, of this issuer, for these hosts, and of one piece: a kill may have fallen between two files. */
function usable(
  kept: Identity,
  {
    hosts = [],
    crlUrl,
    validDays = 3650,
  }: { hosts?: readonly string[]; crlUrl?: string; validDays?: number },
  issuer: Issuer | undefined,
  now: Date,
): boolean {
  const certificate = new X509Certificate(kept.certificatePem);
  const key = createPrivateKey(kept.keyPem);
  const names = certificate.subjectAltName ?? '';
  return (
    (validDays < 0 || new Date(certificate.validTo).getTime() > now.getTime() + day) &&
    (crlUrl === undefined || certificate.raw.includes(crlUrl)) &&
    certificate.checkPrivateKey(key) &&
    certificate.verify(createPublicKey(issuer?.key ?? key)) &&
    hosts.every((host) => isIPv6(host) || names.includes(host))
  );
}

/** Whole or not at all: a killed process must not leave half a key. */
async function writeWhole(file: string, text: string | Uint8Array): Promise<void> {
  await writeFile(`${file}.new`, text, { mode: 0o600 });
  await rename(`${file}.new`, file);
}
