/**
 * Header signatures by OpenSSL over bytes that Debian's python3-dkim canonicalised, and paths by `openssl verify`:
 * the same answers as ours, by programs that share nothing with us.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { coveredFields, createIntegrityCheck } from '../../src/demail/integrity.ts';
import { headerEnd, parseHeader } from '../../src/mime/header.ts';
import { readRevocationFolder, readTrustFolder, revocationMemory } from '../../src/pki/revocation-sources.ts';
import { verifyDeMail } from '../../src/pki/verify-demail.ts';

const run = promisify(execFile);
const vectors = fileURLToPath(new URL('../vectors/', import.meta.url));
const script = fileURLToPath(new URL('dkim-canonical.py', import.meta.url));
const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const expected = JSON.parse(readFileSync(join(vectors, 'expect.json'), 'utf8')) as Record<string, string>;
const directory = mkdtempSync(join(tmpdir(), 'verify-openssl-'));
afterAll(() => rmSync(directory, { recursive: true }));

const names = readdirSync(join(vectors, 'cases')).map((file) => file.replace(/\.eml$/, ''));
const signedNames = names.filter((name) => !name.startsWith('hash-'));

interface Integrity {
  readonly hash: string;
  readonly scheme: string | null;
  readonly certificate: Buffer | null;
}

function read(name: string): Integrity {
  const bytes = readFileSync(join(vectors, 'cases', `${name}.eml`));
  const check = createIntegrityCheck(parseHeader(bytes.subarray(0, headerEnd(bytes))));
  if (check === null || 'unreadable' in check) throw new Error(`${name} has no integrity header`);
  const { value, certificate } = check.finish();
  return { hash: value.hash, scheme: value.scheme, certificate };
}

/**
 * Canonical bytes and value by python3-dkim; null where it says that the body was changed. DKIM takes the last of
 * two headers, the norm the first: names that occur twice are left to our own tests.
 */
async function canonical(name: string, hash: string): Promise<{ bytes: string; value: string } | null> {
  const [bytes, value] = [join(directory, `${name}.signed`), join(directory, `${name}.value`)];
  try {
    await run('/usr/bin/python3', [script, join(vectors, 'cases', `${name}.eml`), hash, bytes, value]);
  } catch (error) {
    if (/body hash differs/.test((error as { stderr: string }).stderr)) return null;
    throw error;
  }
  return { bytes, value };
}

async function opensslVerifies({ hash, scheme, certificate }: Integrity, name: string): Promise<boolean> {
  const made = await canonical(name, hash);
  if (made === null) return false;
  const der = join(directory, `${name}.der`);
  const key = join(directory, `${name}.key`);
  writeFileSync(der, certificate!);
  const { stdout } = await run('openssl', ['x509', '-inform', 'DER', '-in', der, '-pubkey', '-noout']);
  writeFileSync(key, stdout);
  const pss = scheme === 'rsassa-pss' ? ['-sigopt', 'rsa_padding_mode:pss'] : [];
  return run('openssl', [
    'dgst',
    `-${hash}`,
    ...pss,
    '-verify',
    key,
    '-signature',
    made.value,
    made.bytes,
  ]).then(
    () => true,
    () => false,
  );
}

async function ourVerdict(name: string) {
  return await verifyDeMail([readFileSync(join(vectors, 'cases', `${name}.eml`))], {
    trust: await readTrustFolder(join(vectors, 'trust')),
    revocation: revocationMemory(await readRevocationFolder(join(vectors, 'crl'))),
    time: new Date('2026-11-24T09:00:00Z'),
  });
}

function holds(checks: readonly { name: string; result: string }[]): boolean {
  const ofHeader = checks.filter(({ name }) => name === 'signature' || name === 'body-hash');
  return ofHeader.length === 2 && ofHeader.every(({ result }) => result === 'passed');
}

describe('the signature of the header', () => {
  const unambiguous = signedNames.filter((name) => !name.includes('duplicate'));

  it.each(unambiguous)('%s: OpenSSL over the bytes of python3-dkim says what we say', async (name) => {
    const theirs = await opensslVerifies(read(name), name);
    expect(theirs).toBe(holds((await ourVerdict(name)).checks));
    expect(theirs).toBe(name !== 'bad-body');
  });

  it('covers the same bytes', async () => {
    for (const name of unambiguous.filter((candidate) => candidate !== 'bad-body')) {
      const { bytes } = (await canonical(name, read(name).hash))!;
      const { stdout } = await run(
        process.execPath,
        [
          main,
          'verify',
          join(vectors, 'cases', `${name}.eml`),
          '--trust',
          join(vectors, 'trust'),
          '--print-signed-bytes',
        ],
        { encoding: 'buffer' },
      ).catch((error) => error as { stdout: Buffer });
      expect(Buffer.compare(stdout, readFileSync(bytes)), name).toBe(0);
    }
  });

  it('is that of the topmost header: OpenSSL over our bytes, with the upper Subject and with the lower', async () => {
    const name = 'bad-duplicate-subject-on-top';
    const bytes = readFileSync(join(vectors, 'cases', `${name}.eml`));
    const fields = parseHeader(bytes.subarray(0, headerEnd(bytes)));
    const check = createIntegrityCheck(fields);
    if (check === null || 'unreadable' in check) throw new Error('no integrity header');
    const { value } = check.finish();
    const subjects = fields.filter(({ lower }) => lower === 'subject');
    expect(subjects).toHaveLength(2);
    expect(coveredFields(fields, value).find(({ lower }) => lower === 'subject')).toBe(subjects[0]);
    expect((await ourVerdict(name)).verdict).toBe('invalid');
  });
});

describe('the path of the certificate', () => {
  it.each(signedNames)('%s: openssl verify says what we say', async (name) => {
    const der = join(directory, `${name}-path.der`);
    writeFileSync(der, read(name).certificate!);
    const theirs = await run('openssl', [
      'verify',
      '-CAfile',
      join(vectors, 'trust', 'root.pem'),
      '-CRLfile',
      join(vectors, 'crl', 'root.crl'),
      '-crl_check',
      '-attime',
      String(Date.parse('2026-11-24T09:00:00Z') / 1000),
      der,
    ]).then(
      () => true,
      () => false,
    );
    const { checks } = await ourVerdict(name);
    const ours = checks
      .filter((check) => check.name === 'certificate-chain' || check.name === 'revocation')
      .every(({ result }) => result === 'passed');
    expect(ours).toBe(theirs);
    expect(theirs).toBe(true);
  });
});

describe('the command', () => {
  const verify = (...args: string[]) =>
    run(process.execPath, [main, 'verify', ...args]).then(
      ({ stdout }) => ({ code: 0, stdout, stderr: '' }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    );
  const given = [
    '--trust',
    join(vectors, 'trust'),
    '--crl',
    join(vectors, 'crl'),
    '--time',
    '2026-11-24T09:00:00Z',
  ];
  const file = (name: string) => join(vectors, 'cases', `${name}.eml`);

  it('prints one verdict per file, and ends with the gravest', async () => {
    const all = Object.keys(expected);
    const { code, stdout } = await verify(...all.map(file), ...given, '--json');
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { file: string; verdict: string });
    expect(lines.map((line) => line.verdict)).toEqual(Object.values(expected));
    expect(code).toBe(1);
  });

  it('ends with 0, 3 and 2', async () => {
    expect(await verify(file('signed-bp256-sha512'), ...given)).toMatchObject({ code: 0 });
    expect(await verify(file('signed-bp256-sha512'), ...given.slice(0, 2))).toMatchObject({ code: 3 });
    const junk = join(directory, 'junk');
    writeFileSync(junk, 'Guten Tag\n');
    expect(await verify(junk, ...given)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('no message'),
    });
    expect(await verify(join(directory, 'none'), ...given)).toMatchObject({ code: 2 });
    expect(await verify(junk, '--trust', join(vectors, 'crl'))).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('no anchor'),
    });
  });

  it('reads the XML of a confirmation that was taken out', async () => {
    const message = readFileSync(file('confirm-dispatch-rsa-exc'), 'latin1');
    const encoded = /Content-Type: application\/xml[\s\S]*?\r\n\r\n([\s\S]*?)\r\n--/i.exec(message)![1]!;
    const xml = join(directory, 'confirmation.xml');
    const bytes = Buffer.from(encoded, /^[A-Za-z0-9+/=\s]+$/.test(encoded) ? 'base64' : 'latin1');
    writeFileSync(xml, bytes);
    expect(await verify(xml, ...given)).toMatchObject({ code: 0 });
    writeFileSync(
      xml,
      bytes.toString('latin1').replace('Versandbestaetigung@', 'Eingangsbestaetigung@'),
      'latin1',
    );
    expect(await verify(xml, ...given)).toMatchObject({ code: 1 });
  });
});
