/** XML and CMS signatures: xmlsec1, xmllint and openssl say the same of them as we do. */
import { execFile } from 'node:child_process';
import { createHash, createPrivateKey } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verifyCms } from '../../src/pki/cms.ts';
import { verifyConfirmationXml } from '../../src/pki/confirmation-xml.ts';
import { confirmationParts } from '../../src/pki/testing/confirmation-parts.ts';
import { ENVELOPED, EXCLUSIVE, INCLUSIVE, signXml } from '../../src/pki/testing/sign-xml.ts';
import { verifyEnveloped } from '../../src/pki/xmldsig.ts';

const run = promisify(execFile);
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
let folder: string;
const at = (name: string) => join(folder, name);

const keys = {
  rsa: ['rsa:2048'],
  p256: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  p384: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  brainpool: ['ec', '-pkeyopt', 'ec_paramgen_curve:brainpoolP256r1'],
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'signatures-interop-'));
  for (const [name, options] of Object.entries(keys)) {
    const files = ['-keyout', at(`${name}.key`), '-out', at(`${name}.pem`)];
    await run('openssl', [
      'req',
      '-x509',
      '-nodes',
      '-newkey',
      ...options,
      ...files,
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
    ]);
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test.each([
  ['confirm-dispatch-rsa-exc', true],
  ['confirm-retrieve-bp256-inc', true],
  ['confirm-header-pss-xml-rsa', true],
  ['confirm-bad-xml-time', false],
])('%s', async (name, sound) => {
  const parts = confirmationParts(await readFile(here(`../vectors/cases/${name}.eml`)));
  await writeFile(at('confirmation.xml'), parts.xml);
  await run('xmllint', [
    '--noout',
    '--nonet',
    '--schema',
    here('schema/de-mail.xsd'),
    at('confirmation.xml'),
  ]);
  const root = here('../vectors/trust/root.pem');
  expect(await succeeds('xmlsec1', ['--verify', '--trusted-pem', root, at('confirmation.xml')])).toBe(sound);
  expect(verifyConfirmationXml(parts).checks.every(({ result }) => result === 'passed')).toBe(sound);
});

const document =
  '<a:Order xmlns:a="urn:a" xmlns:u="urn:u"><a:To b="2" a="1">Amt &amp; Söhne</a:To>\n<a:Sum>&#13;\n10</a:Sum></a:Order>';

describe.each(['rsa', 'p256', 'brainpool'] as const)('XML signed with %s', (name) => {
  test.each([EXCLUSIVE, INCLUSIVE])('and %s', async (form) => {
    // By xmlsec1, verified by us.
    const method = name === 'rsa' ? 'rsa-sha256' : 'ecdsa-sha256';
    await writeFile(at('template.xml'), template(method, form));
    const key = `${at(`${name}.key`)},${at(`${name}.pem`)}`;
    await run('xmlsec1', ['--sign', '--privkey-pem', key, '--output', at('signed.xml'), at('template.xml')]);
    const signed = await readFile(at('signed.xml'));
    expect(verifyEnveloped(signed)).toMatchObject({ ok: true });
    expect(verifyEnveloped(Buffer.from(signed.toString().replace('Amt', 'Amd')))).toMatchObject({
      problem: 'broken',
    });

    // By our tests' signer, which all attacks are built with, verified by xmlsec1.
    const signer = {
      key: createPrivateKey(await readFile(at(`${name}.key`))),
      certificatePem: await readFile(at(`${name}.pem`), 'utf8'),
    };
    const own = signXml(document, signer, { transforms: [ENVELOPED, form], canonicalisation: form });
    await writeFile(at('own.xml'), own);
    await run('xmlsec1', ['--verify', '--trusted-pem', at(`${name}.pem`), at('own.xml')]);
    expect(verifyEnveloped(Buffer.from(own))).toMatchObject({ ok: true });
  });
});

test.each<[string, keyof typeof keys, string[]]>([
  ['RSA', 'rsa', []],
  ['RSASSA-PSS', 'rsa', ['-keyopt', 'rsa_padding_mode:pss']],
  ['P-384 with SHA-384', 'p384', ['-md', 'sha384']],
  ['brainpool', 'brainpool', []],
  ['opaque', 'p256', ['-nodetach']],
  ['opaque, streamed', 'p256', ['-nodetach', '-stream']],
])('CMS of openssl: %s', async (_name, key, options) => {
  const content = Buffer.from('Guten Tag\r\n');
  await writeFile(at('content'), content);
  const files = [
    '-signer',
    at(`${key}.pem`),
    '-inkey',
    at(`${key}.key`),
    '-in',
    at('content'),
    '-out',
    at('cms'),
  ];
  await run('openssl', ['cms', '-sign', '-binary', '-outform', 'DER', ...files, ...options]);
  const cms = await readFile(at('cms'));
  const over = (bytes: Buffer) =>
    verifyCms({ cms, contentDigest: async (hash) => createHash(hash).update(bytes).digest() });
  const report = await over(content);
  expect(report).toMatchObject({ intact: true, signers: [{ subject: `CN=${key}` }] });
  if (!report.opaque) expect((await over(Buffer.from('Guten Tag!\r\n'))).intact).toBe(false);
});

function template(method: string, form: string): string {
  return document.replace(
    '</a:Order>',
    [
      '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo>',
      `<ds:CanonicalizationMethod Algorithm="${form}"/>`,
      `<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#${method}"/><ds:Reference URI="">`,
      `<ds:Transforms><ds:Transform Algorithm="${ENVELOPED}"/><ds:Transform Algorithm="${form}"/></ds:Transforms>`,
      '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue/></ds:Reference>',
      '</ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo><ds:X509Data><ds:X509Certificate/></ds:X509Data></ds:KeyInfo>',
      '</ds:Signature></a:Order>',
    ].join(''),
  );
}

async function succeeds(program: string, args: readonly string[]): Promise<boolean> {
  try {
    await run(program, [...args]);
    return true;
  } catch {
    return false;
  }
}
