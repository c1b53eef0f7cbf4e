/** Revocation lists that come along inside an XML signature. */
import { expect, it } from 'vitest';
import { toPem } from '../simulator/certificate.ts';
import { revocationMemory } from './revocation-sources.ts';
import { signXml } from './testing/sign-xml.ts';
import { issue, makeCrl } from './testing/test-pki.ts';
import { verifyXmlFile } from './verify-demail.ts';
import { verifyEnveloped } from './xmldsig.ts';

const root = issue('Root', { authority: true });
const signer = issue('Provider', { issuer: root });
const xml = '<a:Order xmlns:a="urn:a" IssueInstant="2026-06-01T12:00:00Z"><a:To>Amt</a:To></a:Order>';
const base64 = (der: Buffer) => der.toString('base64');
const fresh = { issued: '2026-06-03T00:00:00Z', next: '2026-06-10T00:00:00Z' };

function signed(...crls: readonly string[]): Buffer {
  const lists = crls.map((crl) => `<ds:X509CRL>${crl}</ds:X509CRL>`).join('');
  const keyInfo = `<ds:X509Data><ds:X509Certificate>${base64(signer.der)}</ds:X509Certificate>${lists}</ds:X509Data>`;
  return Buffer.from(
    signXml(xml, { key: signer.key, certificatePem: toPem(signer.der, 'CERTIFICATE') }, { keyInfo }),
  );
}

const judge = (document: Buffer) =>
  verifyXmlFile(document, {
    trust: { anchorsAt: () => [root.der], intermediates: [] },
    revocation: revocationMemory([]),
    time: new Date('2026-06-02T00:00:00Z'),
  });

it('counts where its issuer signed it, and is kept with the verdict', async () => {
  expect((await judge(signed())).verdict).toBe('indeterminate');
  const report = await judge(signed(base64(makeCrl(root, fresh))));
  expect(report.verdict).toBe('valid');
  expect(report.material.map(({ kind }) => kind)).toContain('crl');
});

it('that names the signer as revoked makes the verdict invalid', async () => {
  const revoked = [{ certificate: signer.der, at: '2026-05-01T00:00:00Z' }];
  expect((await judge(signed(base64(makeCrl(root, { ...fresh, revoked }))))).verdict).toBe('invalid');
});

it('by somebody else, or that is none, says nothing', async () => {
  const other = issue('Root', { authority: true });
  expect((await judge(signed(base64(makeCrl(other, fresh))))).verdict).toBe('indeterminate');
  expect((await judge(signed(base64(Buffer.from('junk'))))).verdict).toBe('indeterminate');
});

it('is base64, and there are no more than a few', () => {
  expect(verifyEnveloped(signed('%%%'))).toMatchObject({ problem: 'refused' });
  const many = Array.from({ length: 9 }, () => base64(makeCrl(root, fresh)));
  expect(verifyEnveloped(signed(...many))).toMatchObject({ problem: 'refused' });
});
