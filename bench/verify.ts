/**
 * Messages verified per second of processor time, per kind of key, beside `openssl speed` for the bare signature.
 * Certificate and CRL are the same for all, as they are in a provider's mail: each verdict takes one signature.
 */
import { execFileSync } from 'node:child_process';
import { revocationMemory } from '../src/pki/revocation-sources.ts';
import type { Circumstances } from '../src/pki/signer.ts';
import { issue, makeCrl, newKey, sealMessage } from '../src/pki/testing/test-pki.ts';
import { verifyDeMail } from '../src/pki/verify-demail.ts';
import type { Figure } from './report.ts';

const SECONDS = 3;
const BODY_BYTES = 20_000;

const kinds = [
  { key: 'rsa', scheme: 'rsa', label: 'RSA-2048', openssl: 'rsa2048' },
  { key: 'rsa', scheme: 'rsassa-pss', label: 'RSA-2048 PSS', openssl: 'rsa2048' },
  { key: 'p256', scheme: 'ec-dsa', label: 'P-256', openssl: 'ecdsap256' },
  { key: 'brainpoolP256r1', scheme: 'ec-dsa', label: 'brainpoolP256r1', openssl: 'ecdsabrp256r1' },
] as const;

const fields = [
  'From: erika.mustermann@stadt-waren.de-mail.example',
  'Date: Mon, 1 Jun 2026 12:00:00 +0000',
  'Message-ID: <1@provider.de-mail.example>',
  'Subject: Bescheid',
  'X-de-mail-message-type: normal',
];
const body = `${'x'.repeat(76)}\r\n`.repeat(Math.ceil(BODY_BYTES / 78));
const method =
  `signed De-Mails of ${BODY_BYTES} bytes through \`verifyDeMail\` (hashes, signature, chain, revocation list) for ` +
  `${SECONDS} s of processor time on one core; openssl: verifications per second of \`openssl speed\` with the same ` +
  'kind of key, the bare signature over a digest';

/** Verdicts per second and core. */
export async function verification(): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const { key, scheme, label, openssl } of kinds) {
    const ours = await verdictsPerSecond(key, scheme);
    const theirs = opensslVerifies(openssl);
    figures.push(
      { what: `verified, ${label}`, value: ours, unit: 'messages/s', method },
      { what: `openssl speed, ${label}`, value: theirs, unit: 'verifications/s', method },
    );
  }
  return figures;
}

async function verdictsPerSecond(
  key: (typeof kinds)[number]['key'],
  scheme: (typeof kinds)[number]['scheme'],
): Promise<number> {
  // Issuers of this test PKI have EC keys: RSA signers get a P-256 authority.
  const root = issue('Root', { authority: true, key: newKey(key === 'rsa' ? 'p256' : key) });
  const signer = issue('Signer', { issuer: root, key: newKey(key) });
  const list = makeCrl(root, { issued: '2026-06-02T00:00:00Z', next: '2026-06-09T00:00:00Z' });
  const circumstances: Circumstances = {
    trust: { anchorsAt: () => [root.der], intermediates: [] },
    revocation: revocationMemory([{ kind: 'crl', der: list }]),
    time: new Date('2026-06-03T00:00:00Z'),
  };
  const message = sealMessage(fields, body, signer, { scheme });
  const started = process.cpuUsage();
  let count = 0;
  while (spent(started) < SECONDS) {
    const { verdict } = await verifyDeMail([message], circumstances);
    if (verdict !== 'valid') throw new Error(`${key} ${scheme}: ${verdict}`);
    count += 1;
  }
  return count / spent(started);
}

/** Seconds of processor time: other load on the machine does not count. */
function spent(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1e6;
}

/** `openssl speed` divides by processor time as well. */
function opensslVerifies(algorithm: string): number {
  const text = execFileSync('openssl', ['speed', '-seconds', '1', algorithm], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return Number(text.trim().split('\n').at(-1)!.trim().split(/\s+/).at(-1));
}
