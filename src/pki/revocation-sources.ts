/** Where CRLs and OCSP responses come from: what came along, folders, a cache. The network has a file of its own. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readCertificate } from './certificate.ts';
import { readCrl } from './crl.ts';
import { readOcsp } from './ocsp.ts';
import type { RevocationData, RevocationSource, TrustStore } from './types.ts';

/** The largest lists of public authorities have some megabytes. */
export const MAX_CRL_BYTES = 16 * 1024 * 1024;
const MAX_FILES = 1_000;

/** Answers with what it is given: data that came with a message, or was kept with an earlier verdict. */
export function revocationMemory(data: readonly RevocationData[]): RevocationSource {
  const lists = data.map((item) => ({ item, crl: item.kind === 'crl' ? readCrl(item.der) : null }));
  return {
    async find({ certificate }) {
      const asked = readCertificate(certificate);
      // Lists of other issuers are left out here, so that a folder of many does not fill the answer.
      return lists
        .filter(
          ({ item, crl }) =>
            item.kind === 'ocsp' || (asked !== null && crl?.issuer.isEqual(asked.parsed.issuer)),
        )
        .map(({ item }) => item);
    },
  };
}

/** Asks all, in order, and keeps every answer. */
export function revocationFrom(...sources: readonly RevocationSource[]): RevocationSource {
  return {
    async find(query) {
      const answers: RevocationData[] = [];
      for (const source of sources) answers.push(...(await source.find(query)));
      return answers;
    },
  };
}

/**
 * Keeps in `directory` what `upstream` answered, per certificate, and answers with both. Old answers stay:
 * they are evidence of their time. A folder that cannot be written costs the cache, not the answer.
 */
export function revocationCache(directory: string, upstream: RevocationSource): RevocationSource {
  return {
    async find(query) {
      const folder = join(directory, sha256(query.certificate));
      const kept = (await readFiles(folder).catch(() => [])).map(toRevocationData).filter((d) => d !== null);
      const fresh = await upstream.find(query);
      const known = new Set(kept.map(({ der }) => sha256(der)));
      for (const { kind, der } of fresh) {
        if (known.has(sha256(der))) continue;
        const file = join(folder, `${sha256(der)}.${kind}`);
        await mkdir(folder, { recursive: true, mode: 0o700 })
          .then(() => writeFile(`${file}.new`, der, { mode: 0o600 }))
          .then(() => rename(`${file}.new`, file))
          .catch(() => {});
      }
      return [...fresh, ...kept.filter(({ der }) => !fresh.some((data) => data.der.equals(der)))];
    },
  };
}

/**
 * What is at hand: a folder that others keep up to date, and what was learned from the network before, kept below
 * `dataDir`. `online` is asked for more.
 */
export async function revocationAtHand(
  dataDir: string,
  folder: string | undefined,
  online: RevocationSource = revocationMemory([]),
): Promise<RevocationSource> {
  const cached = revocationCache(join(dataDir, 'revocation'), online);
  if (folder === undefined) return cached;
  // A folder that cannot be read costs its answers, not the message.
  const kept = await readRevocationFolder(folder).catch(() => []);
  return revocationFrom(revocationMemory(kept), cached);
}

/** CRLs and OCSP responses of a folder, DER or PEM, whatever their names. Rejects where it cannot be read. */
export async function readRevocationFolder(directory: string): Promise<RevocationData[]> {
  const found = await readFiles(directory);
  return found.map(toRevocationData).filter((data) => data !== null);
}

/**
 * Certificates of a folder, DER or PEM, several in a file too. Self-issued ones are anchors; the others only
 * help to build paths. Rejects where the folder cannot be read.
 */
export async function readTrustFolder(directory: string): Promise<TrustStore> {
  return trustStore(await readFiles(directory));
}

/** The same from files named one by one. */
export async function readTrustFiles(paths: readonly string[]): Promise<TrustStore> {
  return trustStore(await Promise.all(paths.map((path) => readFile(path))));
}

function trustStore(files: readonly Buffer[]): TrustStore {
  const anchors: Buffer[] = [];
  const intermediates: Buffer[] = [];
  for (const bytes of files) {
    for (const der of fromPem(bytes, 'CERTIFICATE')) {
      const certificate = readCertificate(der);
      if (certificate === null) continue;
      const { subject, issuer } = certificate.parsed;
      (subject.isEqual(issuer) ? anchors : intermediates).push(der);
    }
  }
  return { anchorsAt: () => anchors, intermediates };
}

async function readFiles(directory: string): Promise<Buffer[]> {
  const names = (await readdir(directory)).sort().slice(0, MAX_FILES);
  const found: Buffer[] = [];
  for (const name of names) {
    const path = join(directory, name);
    const { size, isFile } = await stat(path).then((s) => ({ size: s.size, isFile: s.isFile() }));
    if (isFile && size <= MAX_CRL_BYTES) found.push(await readFile(path));
  }
  return found;
}

function toRevocationData(bytes: Buffer): RevocationData | null {
  const der = fromPem(bytes, 'X509 CRL')[0] ?? bytes;
  if (readCrl(der) !== null) return { kind: 'crl', der };
  return readOcsp(der) === null ? null : { kind: 'ocsp', der };
}

/** The blocks of that label; the bytes themselves where they are no PEM. */
function fromPem(bytes: Buffer, label: string): Buffer[] {
  if (bytes[0] === 0x30) return [bytes];
  const blocks = bytes.toString('latin1').split(`-----BEGIN ${label}-----`).slice(1);
  return blocks.map((block) => Buffer.from(block.split('-----END')[0]!, 'base64'));
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
