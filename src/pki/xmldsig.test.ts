import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { issueCertificate, toPem } from '../simulator/certificate.ts';
import {
  ENVELOPED,
  EXCLUSIVE,
  INCLUSIVE,
  signXml,
  type TestSigner,
  type XmlSigning,
} from './testing/sign-xml.ts';
import { verifyEnveloped } from './xmldsig.ts';

const root = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

function signerOf(key: KeyObject, commonName = 'Signer', issuer = { name: 'Root', key: root }): TestSigner {
  const der = issueCertificate({
    commonName,
    organization: 'Provider',
    publicKey: key,
    issuer,
    purpose: 'signature',
    notBefore: new Date('2026-01-01T00:00:00Z'),
    notAfter: new Date('2030-01-01T00:00:00Z'),
  });
  return { key, certificatePem: toPem(der, 'CERTIFICATE') };
}

const ec = (namedCurve: string) => signerOf(generateKeyPairSync('ec', { namedCurve }).privateKey);
const p256 = ec('P-256');
const rsa = signerOf(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey);
const document =
  '<a:Order xmlns:a="urn:a" xmlns:unused="urn:u"><a:To>Amt &amp; Söhne</a:To><a:Sum x="1" b="&quot;2">10</a:Sum></a:Order>';
const more2001 = 'http://www.w3.org/2001/04/xmldsig-more#';
const more2007 = 'http://www.w3.org/2007/05/xmldsig-more#';
const base64Of = (pem: string) => pem.replace(/-----[^-]+-----|\s/g, '');

function verify(xml: string) {
  return verifyEnveloped(Buffer.from(xml));
}

describe('what is accepted', () => {
  const hashes = [
    ['sha256', 'http://www.w3.org/2001/04/xmlenc#sha256', 32],
    ['sha384', `${more2001}sha384`, 48],
    ['sha512', 'http://www.w3.org/2001/04/xmlenc#sha512', 64],
  ] as const;
  const curves = ['P-256', 'P-384', 'P-521', 'brainpoolP256r1', 'brainpoolP384r1', 'brainpoolP512r1'];
  const table: [string, TestSigner, XmlSigning][] = [
    ...hashes.flatMap(([hash, digest, saltLength]): [string, TestSigner, XmlSigning][] => [
      [`RSA ${hash}`, rsa, { hash, digest, method: `${more2001}rsa-${hash}` }],
      [`RSASSA-PSS ${hash}`, rsa, { hash, digest, saltLength, method: `${more2007}${hash}-rsa-MGF1` }],
      [
        `RSASSA-PSS ${hash} with parameters`,
        rsa,
        {
          hash,
          digest,
          saltLength: 24,
          method: `${more2007}rsa-pss`,
          methodContent: pssParameters({ digest, mask: digest, salt: '24' }),
        },
      ],
    ]),
    ['RSASSA-PSS with default parameters', rsa, { saltLength: 32, method: `${more2007}rsa-pss` }],
    ...curves.flatMap((curve): [string, TestSigner, XmlSigning][] => {
      const signer = ec(curve);
      return hashes.map(([hash, digest]) => [
        `${curve} ${hash}`,
        signer,
        { hash, digest, method: `${more2001}ecdsa-${hash}` },
      ]);
    }),
    ['inclusive canonical form', p256, { canonicalisation: INCLUSIVE, transforms: [ENVELOPED, INCLUSIVE] }],
    ['mixed canonical forms', p256, { canonicalisation: EXCLUSIVE, transforms: [ENVELOPED, INCLUSIVE] }],
    ['no canonical form named', p256, { canonicalisation: INCLUSIVE, transforms: [ENVELOPED] }],
    ['XMLDSig as default name space', p256, { prefix: '' }],
    [
      'a key value beside the certificate',
      p256,
      { keyInfo: keyInfoOf([p256], '<ds:KeyName>k</ds:KeyName><ds:KeyValue/>') },
    ],
  ];

  test.each(table)('%s', (_name, signer, signing) => {
    const result = verify(signXml(document, signer, signing));
    if (!result.ok) throw new Error(result.reason);
    expect(result.signer.toString('base64')).toBe(base64Of(signer.certificatePem));
    expect(result.root.localName).toBe('Order');
    expect(result.octets.toString()).toContain('<a:To>Amt &amp; Söhne</a:To>');
    expect(result.octets.toString()).not.toContain('Signature');
  });

  test('a reference to the id of the document element', () => {
    const xml = document.replace('<a:Order', '<a:Order ID="_1"');
    const result = verify(signXml(xml, p256, { reference: 'id' }));
    expect(result).toMatchObject({ ok: true });
  });

  test('a chain in KeyInfo, in any order', () => {
    const middle = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const authority = signerOf(middle, 'Middle');
    const signer = signerOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, 'Leaf', {
      name: 'Middle',
      key: middle,
    });
    for (const order of [
      [signer, authority],
      [authority, signer],
    ]) {
      const result = verify(signXml(document, signer, { keyInfo: keyInfoOf(order) }));
      if (!result.ok) throw new Error(result.reason);
      expect(result.signer.toString('base64')).toBe(base64Of(signer.certificatePem));
      expect(result.others).toHaveLength(1);
    }
  });

  test('carriage returns that stand as references', () => {
    const xml = '<a xmlns="urn:a">one&#13;\n two</a>';
    const result = verify(signXml(xml, p256));
    if (!result.ok) throw new Error(result.reason);
    expect(result.root.textContent).toBe('one\r\n two');
  });
});

describe('attacks', () => {
  const signed = signXml(document, p256);
  const signature = /<ds:Signature[\s\S]*<\/ds:Signature>/.exec(signed)![0];
  const withId = signXml(document.replace('<a:Order', '<a:Order ID="_1"'), p256, { reference: 'id' });
  const forged = '<a:Order xmlns:a="urn:a"><a:To>Mallory</a:To></a:Order>';
  const into = (xml: string, inner: string) => xml.replace(/<\/a:Order>$/, `${inner}</a:Order>`);
  const wrongKey = ec('P-256');

  const table: [attack: string, xml: () => string | Buffer, reason: RegExp][] = [
    ['no signature at all', () => document, /no signature/],
    ['a changed text', () => signed.replace('10<', '11<'), /digest differs/],
    ['a changed attribute', () => signed.replace('x="1"', 'x="2"'), /digest differs/],
    ['an added element', () => into(signed, '<a:To>Mallory</a:To>'), /digest differs/],
    [
      'wrapping: the signed element moved into a forged document',
      () => into(forged, `<a:Wrapper>${withId}</a:Wrapper>`),
      /no child of the document element/,
    ],
    [
      'wrapping: the forged document carries the signature, the signed one lies inside it',
      () => {
        const inner = withId.replace(/<ds:Signature[\s\S]*<\/ds:Signature>/, '');
        const outer = /<ds:Signature[\s\S]*<\/ds:Signature>/.exec(withId)![0];
        return into(forged, `${inner}${outer}`);
      },
      /does not cover the document element/,
    ],
    [
      'wrapping: the signed element inside the signature',
      () => {
        const inner = withId.replace(/<ds:Signature[\s\S]*<\/ds:Signature>/, '');
        const outer = /<ds:Signature[\s\S]*<\/ds:Signature>/.exec(withId)![0];
        return into(
          forged,
          outer.replace('</ds:Signature>', `<ds:Object>${inner}</ds:Object></ds:Signature>`),
        );
      },
      /in this order/,
    ],
    [
      'wrapping: both elements have the id',
      () => {
        const inner = withId.replace(/<ds:Signature[\s\S]*<\/ds:Signature>/, '');
        const outer = /<ds:Signature[\s\S]*<\/ds:Signature>/.exec(withId)![0];
        return into(forged.replace('<a:Order', '<a:Order ID="_1"'), `${inner}${outer}`);
      },
      /2 elements have the id/,
    ],
    [
      'wrapping: the same id under another spelling',
      () => withId.replace('<a:To>', '<a:To Id="_1">'),
      /2 elements have the id/,
    ],
    [
      'a signature over one child only',
      () =>
        signXml(document.replace('<a:To>', '<a:To ID="_t">'), p256, {
          xpath: "//*[local-name(.)='To']",
          reference: 'id',
        }),
      /does not cover the document element/,
    ],
    ['two signatures', () => into(signed, signature), /2 elements Signature/],
    [
      'a second signature of a foreign name space',
      () => signXml(into(document, '<a:Signature/>'), p256),
      /2 elements Signature/,
    ],
    [
      'a signature deeper in the document',
      () => signXml(document, p256, { at: "//*[local-name(.)='To']" }),
      /no child of the document element/,
    ],
    [
      'two SignedInfo',
      () => signed.replace(/(<ds:SignedInfo>[\s\S]*<\/ds:SignedInfo>)/, '$1$1'),
      /not exactly one SignedInfo/,
    ],
    [
      'a SignedInfo hidden elsewhere',
      () => signXml(into(document, '<a:SignedInfo/>'), p256),
      /not exactly one SignedInfo/,
    ],
    [
      'two references',
      () => signed.replace(/(<ds:Reference [\s\S]*<\/ds:Reference>)/, '$1$1'),
      /one Reference/,
    ],
    [
      'an external reference',
      () => signed.replace('URI=""', 'URI="https://evil.example/a.xml"'),
      /leads out/,
    ],
    ['a file reference', () => signed.replace('URI=""', 'URI="file:///etc/passwd"'), /leads out/],
    ['an XPointer', () => signed.replace('URI=""', 'URI="#xpointer(/)"'), /leads out/],
    ['a quote in the URI', () => signed.replace('URI=""', `URI="#a' or '1'='1"`), /leads out/],
    ['no URI', () => signed.replace(' URI=""', ''), /no URI/],
    [
      'an XSLT transform',
      () =>
        signed.replace(
          `Algorithm="${EXCLUSIVE}"/></ds:Transforms>`,
          'Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/></ds:Transforms>',
        ),
      /transform .*xslt.* is not permitted/,
    ],
    [
      'an XPath transform',
      () => signed.replace(ENVELOPED, 'http://www.w3.org/TR/1999/REC-xpath-19991116'),
      /not the enveloped one/,
    ],
    [
      'a base64 transform more',
      () =>
        signed.replace(
          '</ds:Transforms>',
          '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#base64"/></ds:Transforms>',
        ),
      /3 transforms/,
    ],
    [
      'a canonical form with comments',
      () => signXml(document, p256, { canonicalisation: `${EXCLUSIVE}WithComments` }),
      /canonical form .* is not permitted/,
    ],
    [
      'a transform with comments',
      () => signXml(document, p256, { transforms: [ENVELOPED, `${EXCLUSIVE}WithComments`] }),
      /transform .* is not permitted/,
    ],
    [
      'a comment within the signature',
      () => signed.replace('<ds:DigestValue>', '<ds:DigestValue><!-- -->'),
      /comments/,
    ],
    [
      'HMAC with the public key as secret',
      () =>
        signXml(document, p256, {
          method: 'http://www.w3.org/2000/09/xmldsig#hmac-sha1',
          signWith: (data) => createHmac('sha1', p256.certificatePem).update(data).digest(),
        }),
      /algorithm .*hmac-sha1.* is not permitted/,
    ],
    [
      'HMAC-SHA256 with the public key as secret',
      () =>
        signXml(document, p256, {
          method: `${more2001}hmac-sha256`,
          signWith: (data) => createHmac('sha256', p256.certificatePem).update(data).digest(),
        }),
      /algorithm .*hmac-sha256.* is not permitted/,
    ],
    [
      'RSA with SHA-1',
      () => signXml(document, rsa, { hash: 'sha1', method: 'http://www.w3.org/2000/09/xmldsig#rsa-sha1' }),
      /rsa-sha1.* is not permitted/,
    ],
    [
      'RSA with MD5',
      () => signXml(document, rsa, { hash: 'md5', method: `${more2001}rsa-md5` }),
      /rsa-md5.* is not permitted/,
    ],
    [
      'ECDSA with SHA-1',
      () => signXml(document, p256, { hash: 'sha1', method: `${more2001}ecdsa-sha1` }),
      /ecdsa-sha1.* is not permitted/,
    ],
    [
      'a SHA-1 digest',
      () => signXml(document, p256, { digest: 'http://www.w3.org/2000/09/xmldsig#sha1' }),
      /digest .*sha1.* is not permitted/,
    ],
    [
      'a truncated value, as HMACOutputLength would have it',
      () =>
        signXml(document, p256, {
          methodContent:
            '<ds:HMACOutputLength xmlns:ds="http://www.w3.org/2000/09/xmldsig#">0</ds:HMACOutputLength>',
        }),
      /has parameters/,
    ],
    [
      'PSS without salt',
      () =>
        signXml(document, rsa, {
          saltLength: 0,
          method: `${more2007}rsa-pss`,
          methodContent: pssParameters({ salt: '0' }),
        }),
      /salt of 0 bytes/,
    ],
    [
      'PSS with SHA-1 inside the parameters',
      () =>
        signXml(document, rsa, {
          saltLength: 32,
          method: `${more2007}rsa-pss`,
          methodContent: pssParameters({ digest: 'http://www.w3.org/2000/09/xmldsig#sha1' }),
        }),
      /digest that is not permitted/,
    ],
    [
      'an RSA method named over an EC signature',
      () => signXml(document, p256, { method: `${more2001}rsa-sha256` }),
      /signature/,
    ],
    [
      'the algorithm renamed after signing',
      () => signed.replace('ecdsa-sha256', 'ecdsa-sha384'),
      /not made by the certificate's key/,
    ],
    [
      'a certificate put in place of the signer',
      () => signed.replace(base64Of(p256.certificatePem), base64Of(wrongKey.certificatePem)),
      /not made by the certificate's key/,
    ],
    [
      "the attacker's bare key beside the provider's certificate",
      () => signXml(document, wrongKey, { keyInfo: keyInfoOf([p256], keyValueOf(wrongKey)) }),
      /not made by the certificate's key/,
    ],
    [
      'a bare key and no certificate',
      () => signXml(document, wrongKey, { keyInfo: keyValueOf(wrongKey) }),
      /no X.509 certificate/,
    ],
    [
      'a key to be fetched from elsewhere',
      () => signXml(document, p256, { keyInfo: '<ds:RetrievalMethod URI="http://evil.example/key"/>' }),
      /KeyInfo has "RetrievalMethod"/,
    ],
    [
      'a certificate that is none',
      () =>
        signXml(document, p256, {
          keyInfo: '<ds:X509Data><ds:X509Certificate>AAAA</ds:X509Certificate></ds:X509Data>',
        }),
      /certificate that cannot be read/,
    ],
    [
      'twenty certificates',
      () => signXml(document, p256, { keyInfo: keyInfoOf(Array.from({ length: 20 }, () => p256)) }),
      /more than 8 certificates/,
    ],
    [
      'an RSA key of 1024 bits',
      () => signXml(document, signerOf(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey)),
      /not made by/,
    ],
    ['no KeyInfo', () => signed.replace(/<ds:KeyInfo>.*<\/ds:KeyInfo>/, ''), /in this order/],
    ['a SignatureValue of zeros', () => zeroValue(signed), /signature/],
    ['an empty SignatureValue', () => signed.replace(/(<ds:SignatureValue>)[^<]*/, '$1'), /not base64/],
    ['a DOCTYPE', () => `<!DOCTYPE a>${signed}`, /DOCTYPE/],
    [
      'an entity that hides text',
      () => `<!DOCTYPE a [<!ENTITY e "10">]>${signed.replace('>10<', '>&e;<')}`,
      /DOCTYPE/,
    ],
    [
      'entities that grow',
      () => `<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>${signed}`,
      /DOCTYPE/,
    ],
    [
      'an external entity',
      () => `<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>${signed}`,
      /DOCTYPE/,
    ],
    ['an undeclared entity', () => signed.replace('>10<', '>&e;10<'), /cannot be read/],
    ['a processing instruction', () => signed.replace('>10<', '><?x 1?>10<'), /processing instruction/],
    ['UTF-16 with a byte order mark', () => Buffer.from(`\ufeff${signed}`, 'utf16le'), /UTF-8/],
    ['UTF-16 without one', () => Buffer.from(signed.replace('ö', 'oe'), 'utf16le'), /UTF-8/],
    ['ISO-8859-1', () => Buffer.from(signed, 'latin1'), /UTF-8/],
    ['another declared encoding', () => `<?xml version="1.0" encoding="UTF-7"?>${signed}`, /encoding UTF-7/],
    [
      'another declared encoding in single quotes',
      () => `<?xml version='1.0' encoding='ISO-8859-1'?>${signed}`,
      /encoding ISO-8859-1/,
    ],
    ['XML 1.1', () => `<?xml version="1.1"?>${signed}`, /version 1.1/],
    ['a null byte', () => signed.replace('>10<', '>1\u00000<'), /zero bytes/],
    ['a control character', () => signed.replace('>10<', '>1\u000b0<'), /forbidden characters/],
    ['a document too deep', () => into(signed, `${'<x>'.repeat(40)}${'</x>'.repeat(40)}`), /deeper/],
    [
      'a document with too many elements',
      () => into(signed, '<x></x>'.repeat(10_000)),
      /more than 10000 tags/,
    ],
    [
      'an element with too many attributes',
      () => into(signed, `<x ${Array.from({ length: 60 }, (_, i) => `a${i}="1"`).join(' ')}/>`),
      /60 attributes/,
    ],
    ['a document too large', () => into(signed, ' '.repeat(1024 * 1024)), /more than 1048576/],
    ['text after the document', () => `${signed}text`, /cannot be read/],
    ['two documents', () => `${signed}${signed}`, /cannot be read/],
    ['nothing', () => '', /cannot be read/],
    ['binary', () => Buffer.from([0x30, 0x82, 1, 1, 0xff]), /UTF-8/],
  ];

  test.each(table)('%s', (_attack, build, reason) => {
    const xml = build();
    const result = verifyEnveloped(typeof xml === 'string' ? Buffer.from(xml) : xml);
    expect(result.ok).toBe(false);
    expect(result.ok ? '' : result.reason).toMatch(reason);
  });

  test('a comment within text does not cut it: what was signed is read whole', () => {
    const xml = signed.replace('Amt &amp; Söhne', 'Amt<!-- --> &amp; Sö<!---->hne');
    const result = verify(xml);
    if (!result.ok) throw new Error(result.reason);
    const to = result.root.getElementsByTagNameNS('urn:a', 'To').item(0)!;
    expect(to.childNodes).toHaveLength(1);
    expect(to.firstChild!.nodeValue).toBe('Amt & Söhne');
  });

  test('a section of character data is text like any other', () => {
    const result = verify(signed.replace('>10<', '><![CDATA[10]]><'));
    if (!result.ok) throw new Error(result.reason);
    expect(result.octets.toString()).not.toContain('CDATA');
  });

  test('a signature by a stranger verifies, and names the stranger: the chain must judge', () => {
    const stranger = signerOf(wrongKey.key, 'Root', { name: 'Root', key: wrongKey.key });
    const result = verify(signXml(forged, stranger));
    if (!result.ok) throw new Error(result.reason);
    expect(result.signer.toString('base64')).toBe(base64Of(stranger.certificatePem));
  });
});

test('no changed octet of what is covered passes, and no input raises an exception', () => {
  const signed = Buffer.from(signXml(document, p256));
  const original = verifyEnveloped(signed);
  if (!original.ok) throw new Error(original.reason);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(signed.length - 1), fc.integer({ min: 0, max: 255 })), {
        minLength: 1,
        maxLength: 4,
      }),
      (changes) => {
        const bytes = Buffer.from(signed);
        for (const [at, value] of changes) bytes[at] = value;
        const result = verifyEnveloped(bytes);
        if (result.ok) expect(result.octets.equals(original.octets)).toBe(true);
      },
    ),
    { numRuns: 1_500 },
  );
});

test('cut and spliced documents raise no exception', () => {
  const signed = Buffer.from(signXml(document, p256));
  fc.assert(
    fc.property(
      fc.nat(signed.length),
      fc.nat(signed.length),
      fc.uint8Array({ maxLength: 8 }),
      (a, b, junk) => {
        const bytes = Buffer.concat([signed.subarray(0, a), junk, signed.subarray(b)]);
        const result = verifyEnveloped(bytes);
        if (a < b && result.ok) expect(result.octets.length).toBeLessThanOrEqual(bytes.length);
      },
    ),
    { numRuns: 500 },
  );
});

function pssParameters(values: { digest?: string; mask?: string; salt?: string }): string {
  const digestMethod = (uri: string) =>
    `<ds:DigestMethod xmlns:ds="http://www.w3.org/2000/09/xmldsig#" Algorithm="${uri}"/>`;
  return [
    `<pss:RSAPSSParams xmlns:pss="${more2007}">`,
    values.digest === undefined ? '' : digestMethod(values.digest),
    values.mask === undefined
      ? ''
      : `<pss:MaskGenerationFunction Algorithm="${more2007}MGF1">${digestMethod(values.mask)}</pss:MaskGenerationFunction>`,
    values.salt === undefined ? '' : `<pss:SaltLength>${values.salt}</pss:SaltLength>`,
    '<pss:TrailerField>1</pss:TrailerField></pss:RSAPSSParams>',
  ].join('');
}

function keyInfoOf(signers: readonly TestSigner[], before = ''): string {
  const certificates = signers.map(
    ({ certificatePem }) => `<ds:X509Certificate>${base64Of(certificatePem)}</ds:X509Certificate>`,
  );
  return `${before}<ds:X509Data>${certificates.join('')}</ds:X509Data>`;
}

function keyValueOf({ key }: TestSigner): string {
  const { x, y } = key.export({ format: 'jwk' });
  const point = Buffer.concat([Buffer.from([4]), Buffer.from(x!, 'base64url'), Buffer.from(y!, 'base64url')]);
  return `<ds:KeyValue><e:ECKeyValue xmlns:e="http://www.w3.org/2009/xmldsig11#"><e:NamedCurve URI="urn:oid:1.2.840.10045.3.1.7"/><e:PublicKey>${point.toString('base64')}</e:PublicKey></e:ECKeyValue></ds:KeyValue>`;
}

function zeroValue(xml: string): string {
  return xml.replace(/(<ds:SignatureValue>)[^<]*/, `$1${Buffer.alloc(64).toString('base64')}`);
}
