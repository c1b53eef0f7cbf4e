/** What the demo's clients see: its own authority, made once, and a server certificate for the names in use. */
import { X509Certificate } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { ensureAuthority } from '../pki/authority.ts';

const renewBeforeMs = 30 * 86_400_000;

/**
 * Makes `<data>/ca.pem` once, and `<data>/tls/server.pem` and `.key` whenever they do not fit.
 * @param names host names and addresses that clients may use
 * @returns the path of the authority's certificate
 */
export async function ensureDemoCertificate(dataDir: string, names: readonly string[]): Promise<string> {
  await mkdir(join(dataDir, 'tls'), { recursive: true, mode: 0o700 });
  const authority = await ensureAuthority(dataDir, 'De-Mail gateway demo CA');
  const ca = new X509Certificate(authority.certificate);
  const file = join(dataDir, 'tls/server.pem');
  const kept = await readFile(file, 'utf8').catch(() => null);
  if (kept === null || !fits(new X509Certificate(kept), ca, names)) {
    const issued = await authority.issue({
      commonName: names[0]!,
      dnsNames: names.filter((name) => isIP(name) === 0),
      ipAddresses: names.filter((name) => isIP(name) !== 0),
      purpose: 'server',
    });
    await replace(join(dataDir, 'tls/server.key'), issued.key);
    await replace(file, issued.certificate);
  }
  return join(dataDir, 'ca.pem');
}

function fits(certificate: X509Certificate, ca: X509Certificate, names: readonly string[]): boolean {
  return (
    certificate.verify(ca.publicKey) &&
    certificate.validToDate.getTime() - Date.now() > renewBeforeMs &&
    names.every(
      (name) => (isIP(name) ? certificate.checkIP(name) : certificate.checkHost(name)) !== undefined,
    )
  );
}

async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text, { mode: 0o600 });
  await rename(`${file}.new`, file);
}
