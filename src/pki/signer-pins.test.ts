import { describe, expect, it } from 'vitest';
import { parseHeader } from '../mime/header.ts';
import { readCertificate } from './certificate.ts';
import { revocationMemory } from './revocation-sources.ts';
import { checkPins, claimedProviders, type SignerPin } from './signer-pins.ts';
import { issue, makeCrl, sealMessage } from './testing/test-pki.ts';
import { verifyDeMail } from './verify-demail.ts';

const root = issue('Root', { authority: true });
const alpha = issue('Alpha Signatur', { issuer: root });
const beta = issue('Beta Signatur', { issuer: root });
const at = (domains: string[], more: Partial<SignerPin> = {}): SignerPin => ({ domains, ...more });
const byName = at(['*.alpha.example', 'alpha.example'], { subject: { CN: 'Alpha Signatur' } });
const certificate = readCertificate(alpha.der)!;

describe('a pin', () => {
  it.each<[string, SignerPin, string]>([
    ['by subject', byName, 'signer-passed'],
    ['by another subject', at(['alpha.example'], { subject: { CN: 'Beta Signatur' } }), 'signer-of-another'],
    ['by part of the subject', at(['alpha.example'], { subject: { CN: 'Alpha' } }), 'signer-of-another'],
    [
      'by an attribute that is not there',
      at(['alpha.example'], { subject: { O: 'Alpha' } }),
      'signer-of-another',
    ],
    ['by issuer', at(['alpha.example'], { issuer: { CN: 'Root' } }), 'signer-passed'],
    ['by another issuer', at(['alpha.example'], { issuer: { CN: 'Boot' } }), 'signer-of-another'],
    ['by certificate', at(['alpha.example'], { certificates: [certificate.sha256] }), 'signer-passed'],
    [
      'by certificate and a subject that does not fit',
      at(['alpha.example'], { certificates: [certificate.sha256], subject: { CN: 'x' } }),
      'signer-of-another',
    ],
    ['for another domain', at(['beta.example'], { subject: { CN: 'Alpha Signatur' } }), 'signer-unpinned'],
    ['for a domain that only ends alike', at(['pha.example']), 'signer-unpinned'],
  ])('%s', (_, pin, code) => {
    expect(checkPins([pin], certificate, ['alpha.example'])).toMatchObject({ code });
  });

  it('binds every provider that is named', () => {
    const pins = [byName, at(['beta.example'], { subject: { CN: 'Beta Signatur' } })];
    expect(checkPins(pins, certificate, ['alpha.example', 'beta.example'])).toMatchObject({
      result: 'failed',
    });
    expect(checkPins(pins, certificate, [])).toMatchObject({ code: 'signer-unnamed' });
    expect(checkPins([], certificate, ['alpha.example'])).toBeNull();
  });
});

it('what a provider writes itself also claims the domain of its system address', () => {
  const fields = parseHeader(
    Buffer.from(
      'From: Versandbestaetigung@Alpha.example\r\nX-de-mail-originator-provider: MX.alpha.example\r\n\r\n',
    ),
  );
  expect(claimedProviders(fields, true)).toEqual(['mx.alpha.example', 'alpha.example']);
  expect(claimedProviders(fields, false)).toEqual(['mx.alpha.example']);
  expect(claimedProviders([], true)).toEqual([]);
});

it('a provider that signs as another under the same authority is found', async () => {
  const crl = makeCrl(root, { issued: '2026-06-03T00:00:00Z', next: '2026-06-10T00:00:00Z' });
  const fields = [
    'From: a@x.de-mail.example',
    'Date: Mon, 1 Jun 2026 12:00:00 +0000',
    'X-de-mail-originator-provider: mx.alpha.example',
    'X-de-mail-message-type: normal',
  ];
  const judge = (by: typeof alpha, pins: readonly SignerPin[], extra: string[] = []) =>
    verifyDeMail([sealMessage([...fields, ...extra], 'Guten Tag\r\n', by, {})], {
      trust: { anchorsAt: () => [root.der], intermediates: [] },
      revocation: revocationMemory([{ kind: 'crl', der: crl }]),
      time: new Date('2026-06-02T00:00:00Z'),
      pins,
    });
  expect(await judge(beta, [])).toMatchObject({ verdict: 'valid' });
  expect(await judge(alpha, [byName])).toMatchObject({ verdict: 'valid' });
  const swapped = await judge(beta, [byName]);
  expect(swapped.verdict).toBe('invalid');
  expect(swapped.checks.find(({ name }) => name === 'signer')).toMatchObject({ code: 'signer-of-another' });
});
