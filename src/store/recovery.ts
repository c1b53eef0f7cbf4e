/**
 * Recovery copies: each tenant's keys, encrypted to offline keys (certificates in `keys.recovery`). One lost key
 * folder must not destroy thirty years. A copy is a CMS envelope below `<data>/recovery`, which backups take along.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { envelop, openEnvelope } from '../pki/envelope.ts';
import { exportSecrets, loadTenantKeys, type TenantSecrets } from './keys.ts';

const document = z.strictObject({
  v: z.literal(1),
  tenant: z.string(),
  /** Base64, 32 bytes each; the tenant key, and during a rotation after it the one before. */
  secrets: z.array(z.base64()).min(1).max(2),
  address: z.base64().nullable(),
  /** PKCS#8 PEM. */
  log: z.string(),
  /** Later keys of its log, by key id. */
  laterLogs: z.record(z.string().regex(/^[0-9a-f]{8}$/), z.string()).optional(),
});

const note = z.looseObject({
  /** Which tenant keys it holds, for which recovery certificates (SHA-256, hex). */
  key: z.string(),
  recipients: z.array(z.string()),
  made: z.string(),
  /** RFC 3339: when `keys rehearse` last opened it and read the store with it. */
  rehearsed: z.string().optional(),
});
export type RecoveryNote = z.output<typeof note>;

/** What is known of a tenant's copy without its key; null where there is none. */
export function recoveryNote(folder: string, tenant: string): RecoveryNote | null {
  const file = join(folder, `${tenant}.json`);
  if (!existsSync(file) || !existsSync(join(folder, `${tenant}.cms`))) return null;
  const read = note.safeParse(JSON.parse(readFileSync(file, 'utf8')));
  return read.success ? read.data : null;
}

/**
 * Makes the copy where there is none, or it holds another key or is for other certificates.
 * @param certificates PEM files
 * @returns whether one was made
 */
export async function keepRecoveryCopy(
  folder: string,
  keysDirectory: string,
  tenant: string,
  certificates: readonly string[],
  now: number,
): Promise<boolean> {
  const recipients = certificates.map((file) => new X509Certificate(readFileSync(file)));
  const fingerprints = recipients.map((c) => c.fingerprint256.replaceAll(':', '').toLowerCase()).sort();
  const keys = loadTenantKeys(keysDirectory, tenant, false);
  const { secrets, address, log, laterLogs = {} } = exportSecrets(keysDirectory, tenant);
  const key = [`${keys.wrapId}${keys.wraps.length > 1 ? '+' : ''}`, ...Object.keys(laterLogs).sort()].join(
    ' ',
  );
  const known = recoveryNote(folder, tenant);
  if (known !== null && known.key === key && String(known.recipients) === String(fingerprints)) return false;
  const content = JSON.stringify({
    v: 1,
    tenant,
    secrets: secrets.map((secret) => secret.toString('base64')),
    address: address?.toString('base64') ?? null,
    log,
    laterLogs,
  } satisfies z.input<typeof document>);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  replace(join(folder, `${tenant}.cms`), await envelop(Buffer.from(content), recipients));
  writeNote(folder, tenant, { key, recipients: fingerprints, made: new Date(now).toISOString() });
  return true;
}

/** Notes that the copy was opened and worked. */
export function noteRehearsal(folder: string, tenant: string, now: number): void {
  const known = recoveryNote(folder, tenant);
  if (known !== null) writeNote(folder, tenant, { ...known, rehearsed: new Date(now).toISOString() });
}

/** @param key PEM, @throws Error naming the file where it does not open, or holds no keys of this tenant */
export async function openRecoveryCopy(
  folder: string,
  tenant: string,
  key: KeyObject,
): Promise<TenantSecrets> {
  const file = join(folder, `${tenant}.cms`);
  try {
    const read = document.parse(JSON.parse((await openEnvelope(readFileSync(file), key)).toString('utf8')));
    if (read.tenant !== tenant) throw new Error(`it holds the keys of ${read.tenant}`);
    const secrets = {
      tenant,
      secrets: read.secrets.map((secret) => Buffer.from(secret, 'base64')),
      address: read.address === null ? null : Buffer.from(read.address, 'base64'),
      log: read.log,
      laterLogs: read.laterLogs ?? {},
    };
    for (const pem of [secrets.log, ...Object.values(secrets.laterLogs)]) createPrivateKey(pem);
    if (
      [...secrets.secrets, ...(secrets.address === null ? [] : [secrets.address])].some(
        (k) => k.length !== 32,
      )
    )
      throw new Error('its keys have a wrong length');
    return secrets;
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`);
  }
}

function writeNote(folder: string, tenant: string, content: RecoveryNote): void {
  replace(join(folder, `${tenant}.json`), Buffer.from(`${JSON.stringify(content)}\n`));
}

function replace(file: string, bytes: Uint8Array): void {
  writeFileSync(`${file}.new`, bytes, { mode: 0o600, flush: true });
  renameSync(`${file}.new`, file);
}
