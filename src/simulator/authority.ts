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
import {
  type CertificateRequest,
  type Issuer,
  issueCertificate,
  type Purpose,
  toPem,
} from './certificate.ts';
import { issueCrl, type Revoked } from './crl.ts';
import { answerOcsp } from './ocsp.ts';
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
  /** For confirmations. With a flaw: a certificate that must not be believed (lies.ts). */
  signer(kind: SignatureKind, hash: HashName, flaw?: Flaw): Promise<Signer>;
  /** For time-stamp tokens: extended key usage timeStamping, critical (RFC 3161 2.3). */
  timestampSigner(
    kind: SignatureKind,
    hash: HashName,
    flaw?: Flaw | 'wrong-purpose' | 'uncritical-purpose',
  ): Promise<Signer>;
  /** Puts a certificate into the revocation list, revoked at that time. */
  revoke(certificate: X509Certificate, at: Date): Promise<void>;
  /** The revocation list as of now, DER; good for a week. Also kept in `crlFile`. */
  crl(): Buffer;
  readonly crlFile: string;
  /** Answers an OCSP request, DER, as of now. */
  ocsp(request: Buffer): Buffer;
}

/** `other`: a sound certificate for a second key. */
export type Flaw = 'other' | 'expired' | 'revoked' | 'self-signed' | 'foreign';

const day = 86_400_000;
const generate = promisify(generateKeyPair);

export interface AuthorityOptions {
  readonly directory: string;
  /** O= of every name. */
  readonly organization: string;
  /** CN= of the root. */
  readonly rootName?: string;
  /** Dates what has to be made. */
  readonly now: () => Date;
  /** Goes into certificates of signers as the place of the revocation list. */
  readonly crlUrl?: string;
  /** The same of the OCSP responder. */
  readonly ocspUrl?: string;
  /** Digest of what the authority signs itself; default: SHA-256. */
  readonly hash?: HashName | undefined;
  /** When signature certificates are valid; default: from yesterday, for ten years. */
  readonly validity?: Validity | undefined;
}

export interface Validity {
  readonly from: Date;
  readonly to: Date;
}

/** Days. The root outlives what it issues, so that decades of tokens and messages chain to it. */
const rootDays = 30 * 365;
const leafDays = 3650;

type Request = Pick<CertificateRequest, 'commonName' | 'purpose' | 'hosts' | 'crlUrl' | 'ocspUrl'> & {
  /** Days from now. Below zero: expired from the start. */
  readonly validDays?: number;
  /** To the second, whatever the clock says. */
  readonly validity?: Validity;
};

/** Opens or makes the authority. */
export async function openAuthority(options: AuthorityOptions): Promise<Authority> {
  const { directory, organization, rootName = 'De-Mail Simulator Root', now } = options;
  const folder = join(directory, 'ca');
  await mkdir(join(folder, 'clients'), { recursive: true, mode: 0o700 });

  const known = new Map<string, Promise<Identity>>();

  /** Once per file, however many ask at the same time; anew when its time is over. */
  const hashed = options.hash === undefined ? {} : { hash: options.hash };

  function identity(file: string, request: Request, makeKey: () => Promise<KeyObject>, issuer?: Issuer) {
    const open = () => openIdentity(file, request, makeKey, issuer);
    const made = known.get(file)?.then((kept) => (inTime(kept, request, now()) ? kept : open())) ?? open();
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
    const { validDays = leafDays, validity, ...named } = request;
    const der = issueCertificate({
      ...named,
      organization,
      publicKey: key,
      issuer: issuer ?? { name: request.commonName, key, ...hashed },
      notBefore: validity?.from ?? new Date(now().getTime() - (validDays < 0 ? 400 : 1) * day),
      notAfter: validity?.to ?? new Date(now().getTime() + validDays * day),
    });
    const keyPem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
    const certificatePem = toPem(der, 'CERTIFICATE');
    await writeWhole(keyFile, keyPem);
    await writeWhole(certificateFile, certificatePem);
    return { certificatePem, keyPem, certificateFile, keyFile };
  }

  const authority: Request = { commonName: rootName, purpose: 'authority', validDays: rootDays };
  const root = await identity('root', authority, newP256Key);
  const issuer: Issuer = { name: rootName, key: createPrivateKey(root.keyPem), ...hashed };
  const revokedFile = join(folder, 'revoked.json');
  const crlFile = join(folder, 'root.crl');
  const revoked: Revoked[] = (await readRevoked(revokedFile)) ?? [];

  function crl(): Buffer {
    const thisUpdate = now();
    const nextUpdate = new Date(thisUpdate.getTime() + 7 * day);
    return issueCrl({ issuer, organization, revoked, thisUpdate, nextUpdate });
  }

  async function revoke({ serialNumber: serial }: X509Certificate, at: Date): Promise<void> {
    if (revoked.some((entry) => entry.serial === serial)) return;
    revoked.push({ serial, at });
    await writeWhole(revokedFile, JSON.stringify(revoked));
    await writeWhole(crlFile, crl());
  }

  async function foreignIssuer(): Promise<Issuer> {
    const made = await identity('foreign-root', authority, newP256Key);
    return { name: rootName, key: createPrivateKey(made.keyPem) };
  }

  async function signerFor(
    name: 'signature' | 'timestamp',
    purpose: Purpose,
    kind: SignatureKind,
    hash: HashName,
    flaw?: string,
  ): Promise<Signer> {
    const request: Request = {
      commonName: `De-Mail ${name === 'signature' ? 'Signatur' : 'Zeitstempel'} ${kind}`,
      purpose,
      ...(options.crlUrl ? { crlUrl: options.crlUrl } : {}),
      ...(options.ocspUrl ? { ocspUrl: options.ocspUrl } : {}),
      ...(flaw === 'expired' ? { validDays: -1 } : {}),
      ...(name === 'signature' && !flaw && options.validity ? { validity: options.validity } : {}),
    };
    const file = `${name}-${kind}${flaw ? `-${flaw}` : ''}`;
    const by = flaw === 'self-signed' ? undefined : flaw === 'foreign' ? await foreignIssuer() : issuer;
    const { keyPem, certificatePem } = await identity(file, request, () => newKey(kind), by);
    const certificate = new X509Certificate(certificatePem);
    if (flaw === 'revoked') await revoke(certificate, new Date(now().getTime() - day / 24));
    const key = createPrivateKey(keyPem);
    return { kind, hash, key, certificatePem, certificateDer: certificate.raw };
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
    ocsp: (request) => {
      const nextUpdate = new Date(now().getTime() + 7 * day);
      return answerOcsp(request, { issuer, organization, revoked, now: now(), nextUpdate });
    },
    revoke,
    signer: (kind, hash, flaw) => signerFor('signature', 'signature', kind, hash, flaw),
    timestampSigner(kind, hash, flaw) {
      const crooked = { 'wrong-purpose': 'client', 'uncritical-purpose': 'timestamp-uncritical' } as const;
      const purpose: Purpose = crooked[flaw as keyof typeof crooked] ?? 'timestamp';
      return signerFor('timestamp', purpose, kind, hash, flaw);
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
function usable(kept: Identity, request: Request, issuer: Issuer | undefined, now: Date): boolean {
  const { hosts = [], crlUrl, ocspUrl } = request;
  const certificate = new X509Certificate(kept.certificatePem);
  const key = createPrivateKey(kept.keyPem);
  const names = certificate.subjectAltName ?? '';
  return (
    inTime(kept, request, now) &&
    [crlUrl, ocspUrl].every((url) => url === undefined || certificate.raw.includes(url)) &&
    certificate.checkPrivateKey(key) &&
    certificate.verify(createPublicKey(issuer?.key ?? key)) &&
    hosts.every((host) => isIPv6(host) || names.includes(host))
  );
}

/** At least another day; what was made for a given time, or expired, is kept as it is. */
function inTime(kept: Identity, { validDays = leafDays, validity }: Request, now: Date): boolean {
  const { validFromDate, validToDate } = new X509Certificate(kept.certificatePem);
  const seconds = (time: Date) => Math.floor(time.getTime() / 1000);
  if (validity) {
    return seconds(validFromDate) === seconds(validity.from) && seconds(validToDate) === seconds(validity.to);
  }
  return validDays < 0 || validToDate.getTime() > now.getTime() + day;
}

/** Whole or not at all: a killed process must not leave half a key. */
async function writeWhole(file: string, text: string | Uint8Array): Promise<void> {
  await writeFile(`${file}.new`, text, { mode: 0o600 });
  await rename(`${file}.new`, file);
}
