/** What the simulator signs, judged by xmlsec1, xmllint, openssl and python3-dkim. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type HashName, hashNames, type SignatureKind, signatureKinds } from '../../src/simulator/signer.ts';
import { partsOf } from '../../src/simulator/testing/check-message.ts';
import { allOf, handover, header, submit, testSimulator } from '../../src/simulator/testing/customer.ts';

const run = promisify(execFile);
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'simulator-interop-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

// The hash enters everywhere alike, except for RSASSA-PSS, whose salt is as long as it.
const cases = signatureKinds.flatMap((signature) =>
  hashNames
    .filter((hash) => hash === 'sha256' || signature === 'p256' || signature === 'rsassa-pss')
    .map((hash) => ({ signature, hash })),
);

test.each(cases)('$signature with $hash', async ({ signature, hash }) => {
  await using open = await testSimulator({ signature, hash });
  const { simulator } = open;
  const asking = { 'X-de-mail-confirmation-of-retrieve': 'yes', 'X-de-mail-authoritative': 'yes' };
  await submit(simulator, { message: handover(asking) });
  await simulator.settled();
  const signer = join(simulator.directory, 'ca', `signature-${signature}.pem`);
  await run('openssl', ['verify', '-x509_strict', '-CAfile', simulator.caFile, signer]);
  const keyFile = join(folder, `${signature}.pub`);
  await writeFile(keyFile, (await run('openssl', ['x509', '-in', signer, '-noout', '-pubkey'])).stdout);

  const [sent] = await allOf(simulator, 'stadt-waren', 'Sent');
  await verifyHeader(sent!, keyFile, signature, hash);
  const confirmations = (await allOf(simulator, 'stadt-waren')).filter((message) =>
    header(message, 'X-de-mail-message-type')?.startsWith('confirmation'),
  );
  expect(confirmations).toHaveLength(3);
  for (const confirmation of confirmations) {
    await verifyHeader(confirmation, keyFile, signature, hash);
    const xml = partsOf(confirmation)[0]!.content.toString();
    await verifyXml(xml, keyFile, simulator.caFile, signature, hash);
    const forged = xml.replace('<Time>2', '<Time>1');
    await expect(verifyXml(forged, keyFile, simulator.caFile, signature, hash)).rejects.toThrow();
  }
});

test('a notification follows the schema', async () => {
  await using open = await testSimulator();
  const unknown = 'unknown@buerger.de-mail.example';
  const headers = {
    'X-de-mail-chosen-recipient': `to=${unknown}`,
    'X-de-mail-confirmation-of-dispatch': 'no',
  };
  await submit(open.simulator, { to: [unknown], message: handover(headers) });
  await open.simulator.settled();
  const [notification] = await allOf(open.simulator, 'stadt-waren');
  const file = join(folder, 'notification.xml');
  await writeFile(file, partsOf(notification!)[0]!.content);
  await run('xmllint', ['--noout', '--nonet', '--schema', here('schema/de-mail.xsd'), file]);
});

test.each(['p256', 'rsa', 'brainpoolP256r1'] as const)(
  'an identification signed with %s',
  async (signature) => {
    await using open = await testSimulator({ signature });
    open.simulator.identify('max.mustermann', 'poststelle@stadt-waren.de-mail.example');
    await open.simulator.settled();
    const [message] = await allOf(open.simulator, 'stadt-waren');
    const xml = partsOf(message!)[1]!.content.toString();
    const id = ['--id-attr:ID', 'urn:oasis:names:tc:SAML:2.0:assertion:Assertion'];
    const verify = async (text: string) => {
      const file = join(folder, 'assertion.xml');
      await writeFile(file, text);
      return run('xmlsec1', ['--verify', ...id, '--trusted-pem', open.simulator.caFile, file]);
    };
    await verify(xml);
    await expect(verify(xml.replace('Mustermann<', 'Musterfrau<'))).rejects.toThrow();
  },
);

/** Canonicalised by python3-dkim, verified by openssl. */
async function verifyHeader(message: Buffer, keyFile: string, kind: SignatureKind, hash: HashName) {
  const eml = join(folder, 'message.eml');
  await writeFile(eml, message);
  const signed = join(folder, 'signed.bin');
  const signature = join(folder, 'signature.bin');
  await run('/usr/bin/python3', [here('dkim-canonical.py'), eml, hash, signed, signature]);
  await verifyValue(keyFile, kind, hash, signed, signature);
}

async function verifyXml(xml: string, keyFile: string, caFile: string, kind: SignatureKind, hash: HashName) {
  const file = join(folder, 'confirmation.xml');
  await writeFile(file, xml);
  await run('xmllint', ['--noout', '--nonet', '--schema', here('schema/de-mail.xsd'), file]);
  if (kind !== 'rsassa-pss') {
    await run('xmlsec1', ['--verify', '--trusted-pem', caFile, file]);
    return;
  }
  // xmlsec1 of Debian 12 knows no RSASSA-PSS: the same two steps by hand, canonical forms by xmllint.
  const signature = /<ds:Signature [\s\S]*<\/ds:Signature>/.exec(xml)![0];
  const unsigned = await canonical(xml.replace(signature, ''));
  const digestFile = join(folder, 'unsigned.bin');
  await writeFile(digestFile, unsigned);
  const { stdout } = await run('openssl', ['dgst', `-${hash}`, '-binary', digestFile], {
    encoding: 'buffer',
  });
  expect(stdout.toString('base64')).toBe(/<ds:DigestValue>([^<]*)/.exec(signature)![1]);
  const info = /<ds:SignedInfo>[\s\S]*<\/ds:SignedInfo>/.exec(signature)![0];
  const namespace = ' xmlns:ds="http://www.w3.org/2000/09/xmldsig#"';
  const signedInfo = join(folder, 'signed-info.bin');
  await writeFile(signedInfo, await canonical(info.replace('<ds:SignedInfo', `$&${namespace}`)));
  const value = join(folder, 'signature-value.bin');
  await writeFile(value, Buffer.from(/<ds:SignatureValue>([^<]*)/.exec(signature)![1]!, 'base64'));
  await verifyValue(keyFile, kind, hash, signedInfo, value);
}

async function canonical(xml: string): Promise<Buffer> {
  const file = join(folder, 'canonical.xml');
  await writeFile(file, xml);
  return (await run('xmllint', ['--exc-c14n', file], { encoding: 'buffer' })).stdout;
}

async function verifyValue(
  keyFile: string,
  kind: SignatureKind,
  hash: HashName,
  data: string,
  value: string,
) {
  const pss = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:digest'];
  const options = kind === 'rsassa-pss' ? pss : [];
  await run('openssl', ['dgst', `-${hash}`, '-verify', keyFile, ...options, '-signature', value, data]);
}
