import * as asn1js from 'asn1js';
import { describe, expect, it } from 'vitest';
import { readCertificate } from './certificate.ts';
import { buildChain } from './chain.ts';
import { type CertificateOptions, extension, type Identity, issue, newKey } from './testing/test-pki.ts';

const root = issue('Root', { authority: true, key: newKey('brainpoolP384r1') });
const signedAt = new Date('2026-06-01T12:00:00Z');
const later = new Date('2026-06-02T12:00:00Z');

function chain(leaf: Identity, others: readonly Identity[] = [], anchors = [root], time = later) {
  return buildChain({
    leaf: readCertificate(leaf.der)!,
    others: others.map(({ der }) => der),
    trust: { anchorsAt: () => anchors.map(({ der }) => der), intermediates: [] },
    signedAt,
    time,
  });
}

function codes(...input: Parameters<typeof chain>): string[] {
  return chain(...input).checks.map(({ code, result }) => `${result} ${code}`);
}

const passed = ['passed certificate-chain-passed'];
const leafOf = (options: CertificateOptions = {}) => issue('Signer', { issuer: root, ...options });

describe('a path to an anchor', () => {
  it('is found directly, through authorities that came along, and from an anchor itself', () => {
    const sub = issue('Sub', { issuer: root, authority: true, key: newKey('brainpoolP256r1') });
    const subsub = issue('Subsub', { issuer: sub, authority: true });
    const leaf = issue('Signer', { issuer: subsub, key: newKey('rsa') });
    expect(codes(leafOf())).toEqual(passed);
    expect(codes(leaf, [subsub, sub])).toEqual(passed);
    expect(chain(leaf, [sub, subsub]).path).toHaveLength(4);
    const own = issue('Own', {});
    expect(codes(own, [], [own])).toEqual(passed);
  });

  it('takes another where the first is not good', () => {
    const key = newKey('p256');
    const expired = issue('Sub', { issuer: root, authority: true, key, notAfter: '2026-01-01T00:00:00Z' });
    const renewed = issue('Sub', { issuer: root, authority: true, key });
    const leaf = issue('Signer', { issuer: renewed });
    expect(codes(leaf, [expired, renewed])).toEqual(passed);
    expect(codes(leaf, [expired])).toEqual(['failed certificate-expired']);
  });

  it('is undecided where there is none, and a name alone makes none', () => {
    const impostor = issue('Root', { authority: true });
    expect(codes(issue('Signer', {}))).toEqual(['undecided chain-no-anchor']);
    expect(codes(issue('Signer', { issuer: impostor }))).toEqual(['undecided chain-no-anchor']);
    expect(codes(issue('Signer', { issuer: impostor }), [impostor])).toEqual(['undecided chain-no-anchor']);
    expect(codes(leafOf(), [], [])).toEqual(['undecided chain-no-anchor']);
  });

  it('ignores the dates of the anchor', () => {
    const old = issue('Old', { authority: true, notAfter: '2026-01-01T00:00:00Z' });
    expect(codes(issue('Signer', { issuer: old }), [], [old])).toEqual(passed);
  });

  it.each<[string, CertificateOptions, string]>([
    ['not yet valid', { notBefore: '2026-06-02T00:00:00Z' }, 'failed certificate-not-yet-valid'],
    ['expired', { notAfter: '2026-05-31T00:00:00Z' }, 'failed certificate-expired'],
    ['expired since', { notAfter: '2026-06-02T00:00:00Z' }, 'undecided certificate-expired-since'],
    ['for agreeing keys', { usage: 0x08 }, 'failed certificate-purpose'],
    ['for TLS servers', { purposes: ['1.3.6.1.5.5.7.3.1'] }, 'failed certificate-purpose'],
    ['for OCSP', { purposes: ['1.3.6.1.5.5.7.3.9'] }, 'failed certificate-purpose'],
    [
      'with an unknown critical extension',
      { extra: [extension('1.2.3.4', true, new asn1js.Null())] },
      'undecided certificate-unknown-critical',
    ],
  ])('does not hold for a certificate %s', (_, options, code) => {
    expect(codes(leafOf(options))).toEqual([code]);
  });

  it.each<[string, CertificateOptions]>([
    ['for non-repudiation alone', { usage: 0x40 }],
    ['without key usage', { usage: null }],
    ['for e-mail among others', { purposes: ['1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.4'] }],
    [
      'with an unknown extension that is not critical',
      { extra: [extension('1.2.3.4', false, new asn1js.Null())] },
    ],
  ])('holds for a certificate %s', (_, options) => {
    expect(codes(leafOf(options))).toEqual(passed);
  });

  it.each<[string, CertificateOptions]>([
    ['is none', { authority: false, usage: 0x06 }],
    ['may not issue', { authority: true, usage: 0xc0 }],
  ])('does not hold through an authority that %s', (_, options) => {
    const sub = issue('Sub', { issuer: root, ...options });
    expect(codes(issue('Signer', { issuer: sub }), [sub])).toEqual(['failed certificate-no-authority']);
  });

  it('counts the authorities below one that limits them', () => {
    const limited = issue('Limited', { authority: true, pathLength: 0 });
    const sub = issue('Sub', { issuer: limited, authority: true });
    expect(codes(issue('Signer', { issuer: limited }), [], [limited])).toEqual(passed);
    expect(codes(issue('Signer', { issuer: sub }), [sub], [limited])).toEqual([
      'failed certificate-no-authority',
    ]);
  });

  it('concludes nothing from name constraints', () => {
    const constraints = extension('2.5.29.30', false, new asn1js.Sequence({ value: [] }));
    const sub = issue('Sub', { issuer: root, authority: true, extra: [constraints] });
    expect(codes(issue('Signer', { issuer: sub }), [sub])).toEqual([
      'undecided certificate-unknown-critical',
    ]);
  });

  it('ends its search among authorities that issue each other', () => {
    const key = newKey('p256');
    const name = { name: 'Loop', key };
    const loop = Array.from({ length: 40 }, () =>
      issue('Loop', { issuer: { ...name, der: Buffer.alloc(0) }, authority: true, key }),
    );
    const leaf = issue('Signer', { issuer: loop[0]! });
    expect(codes(leaf, loop)).toEqual(['undecided chain-no-anchor']);
  });

  it('needs a certificate that can be read', () => {
    const { der } = leafOf();
    expect(readCertificate(Buffer.concat([der, Buffer.from([0])]))).toBeNull();
    expect(readCertificate(der.subarray(0, -1))).toBeNull();
    const twice = issue('Twice', {
      extra: [extension('2.5.29.19', false, new asn1js.Sequence({ value: [] }))],
    });
    expect(readCertificate(twice.der)).toBeNull();
  });
});
