import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseHeader } from '../mime/header.ts';
import { issueCertificate, toPem } from '../simulator/certificate.ts';
import { verifyAssertion } from './saml.ts';
import { ENVELOPED, INCLUSIVE, signXml } from './testing/sign-xml.ts';

const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'brainpoolP256r1' });
const certificate = issueCertificate({
  commonName: 'Identifications',
  organization: 'Provider',
  publicKey: key,
  issuer: { name: 'Root', key },
  purpose: 'signature',
  notBefore: new Date('2026-01-01T00:00:00Z'),
  notAfter: new Date('2030-01-01T00:00:00Z'),
});
const signer = { key, certificatePem: toPem(certificate, 'CERTIFICATE') };
const max = 'max.mustermann@buerger.de-mail.example';
const amt = 'poststelle@stadt-waren.de-mail.example';

const mail = 'urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress';
const good = [
  '<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:de-mail="http://www.de-mail.de/xml/2010/01/ident" Version="2.0" ID="_4711" IssueInstant="2026-11-16T09:00:00Z">',
  `<saml:Issuer Format="${mail}">Ident-Bestaetigung@provider.de-mail.example</saml:Issuer>`,
  `<saml:Subject><saml:NameID Format="${mail}">${max}</saml:NameID></saml:Subject>`,
  '<saml:Conditions NotBefore="2026-11-16T09:00:00Z" NotOnOrAfter="2026-11-17T09:00:00Z">',
  `<saml:AudienceRestriction><saml:Audience>${amt}</saml:Audience></saml:AudienceRestriction></saml:Conditions>`,
  '<saml:AuthnStatement AuthnInstant="2026-11-16T08:59:00Z"><saml:AuthnContext><saml:AuthnContextClassRef>',
  ' urn:oasis:names:tc:SAML:2.0:ac:classes:MobileTwoFactorContract ',
  '</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>',
  '<saml:AttributeStatement><saml:Attribute Name="Card"><saml:AttributeValue xsi:type="de-mail:Identcard">',
  '<de-mail:Identcard><de-mail:NaturalPerson>',
  '<de-mail:surname validationTime="2026-01-01T00:00:00Z">Mustermann</de-mail:surname>',
  '<de-mail:givenname validationTime="2026-01-01T00:00:00Z">Max</de-mail:givenname>',
  `<de-mail:de-mail-address validationTime="2026-01-01T00:00:00Z">${max}</de-mail:de-mail-address>`,
  '</de-mail:NaturalPerson></de-mail:Identcard></saml:AttributeValue></saml:Attribute></saml:AttributeStatement>',
  '</saml:Assertion>',
].join('');

function covered(changes: Readonly<Record<string, string>> = {}) {
  const headers = {
    From: 'Ident-Bestaetigung@provider.de-mail.example',
    Date: 'Mon, 16 Nov 2026 10:00:05 +0100',
    'X-de-mail-sender': 'Ident-Bestaetigung@provider.de-mail.example',
    'X-de-mail-chosen-recipient': `to=${amt};cc=${max}`,
    'X-de-mail-message-type': 'identification',
    ...changes,
  };
  return parseHeader(
    Buffer.from(
      Object.entries(headers)
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join(''),
    ),
  );
}

/** As ID IO 2.6 wants it: reference to the id, inclusive canonical form. */
function sign(xml: string): string {
  return signXml(xml, signer, {
    reference: 'id',
    transforms: [ENVELOPED, INCLUSIVE],
    canonicalisation: INCLUSIVE,
  });
}

function report(xml: string, fields = covered(), at = '2026-11-16T09:05:00Z') {
  return verifyAssertion({ xml: Buffer.from(sign(xml)), covered: fields, at: new Date(at) });
}

const failing = (result: ReturnType<typeof report>) =>
  result.checks.filter(({ result }) => result !== 'passed').map(({ name, result }) => `${name} ${result}`);

test('a sound assertion says who was identified, by whom, for whom', () => {
  const result = report(good);
  expect(failing(result)).toEqual([]);
  expect(result.assertion).toMatchObject({
    id: '_4711',
    subject: max,
    audience: [amt],
    authnContext: 'urn:oasis:names:tc:SAML:2.0:ac:classes:MobileTwoFactorContract',
  });
  expect(result.assertion!.attributes).toEqual([
    { name: 'Card/NaturalPerson/surname', value: 'Mustermann', validationTime: '2026-01-01T00:00:00Z' },
    { name: 'Card/NaturalPerson/givenname', value: 'Max', validationTime: '2026-01-01T00:00:00Z' },
    { name: 'Card/NaturalPerson/de-mail-address', value: max, validationTime: '2026-01-01T00:00:00Z' },
  ]);
});

describe('differences', () => {
  test.each([
    [
      'issued by another provider',
      { 'X-de-mail-sender': 'Ident-Bestaetigung@evil.example' },
      'assertion-issuer failed',
    ],
    [
      'about somebody else',
      { 'X-de-mail-chosen-recipient': `to=${amt};cc=eve@x.example` },
      'assertion-subject failed',
    ],
    [
      'for somebody else',
      { 'X-de-mail-chosen-recipient': `to=eve@x.example;cc=${max}` },
      'assertion-audience failed',
    ],
    ['another day', { Date: 'Mon, 23 Nov 2026 10:00:05 +0100' }, 'assertion-issued failed'],
  ])('%s', (_name, headers, expected) => {
    expect(failing(report(good, covered(headers as Record<string, string>)))).toEqual([expected]);
  });

  test.each([
    ['before', '2026-11-16T08:59:59Z', ['assertion-conditions failed']],
    ['from', '2026-11-16T09:00:00Z', []],
    ['until', '2026-11-17T08:59:59Z', []],
    ['after', '2026-11-17T09:00:00Z', ['assertion-conditions failed']],
  ])('conditions: %s', (_name, at, expected) => {
    expect(failing(report(good, covered(), at))).toEqual(expected);
  });
});

describe('form', () => {
  test.each<[string, string, RegExp]>([
    ['no assertion', good.replaceAll('saml:Assertion', 'saml:Response'), /no SAML 2.0 assertion/],
    ['another version', good.replace('Version="2.0"', 'Version="1.1"'), /SAML version "1.1"/],
    ['two subjects', good.replace(/(<saml:Subject>.*?<\/saml:Subject>)/, '$1$1'), /2 Subject/],
    ['no conditions', good.replace(/<saml:Conditions .*<\/saml:Conditions>/, ''), /no Conditions/],
    [
      'an element that is not used',
      good.replace('<saml:Subject>', '<saml:Advice/><saml:Subject>'),
      /not used/,
    ],
    ['no time of issue', good.replace(/ IssueInstant="[^"]*"/, ''), /IssueInstant is missing/],
    ['no audience', good.replace(/<saml:Audience>.*?<\/saml:Audience>/, ''), /no audience/],
    [
      'an endless card',
      good.replace(
        '</de-mail:NaturalPerson>',
        `${'<de-mail:x>1</de-mail:x>'.repeat(200)}</de-mail:NaturalPerson>`,
      ),
      /more than 100/,
    ],
  ])('%s', (_name, xml, reason) => {
    const result = report(xml);
    expect(failing(result)).toEqual(['assertion-form failed']);
    expect(result.checks.at(-1)!.reason).toMatch(reason);
  });
});

describe('signature', () => {
  test('a changed name is found', () => {
    const xml = sign(good).replace('>Mustermann<', '>Musterfrau<');
    const result = verifyAssertion({ xml: Buffer.from(xml), covered: covered(), at: new Date() });
    expect(failing(result)).toEqual(['assertion-signature failed']);
    expect(result.assertion).toBeNull();
  });

  test('a forged assertion around the signed one is found', () => {
    const signed = sign(good);
    const signature = /<ds:Signature[\s\S]*<\/ds:Signature>/.exec(signed)![0];
    const forged = good
      .replace('_4711', '_evil')
      .replace('>Mustermann<', '>Mallory<')
      .replace(
        '<saml:Subject>',
        `${signature.replace('</ds:Signature>', `<ds:Object>${good}</ds:Object></ds:Signature>`)}<saml:Subject>`,
      );
    const result = verifyAssertion({ xml: Buffer.from(forged), covered: covered(), at: new Date() });
    expect(failing(result)).toEqual(['assertion-signature failed']);
  });

  test('a comment does not cut the subject', () => {
    const xml = sign(good.replaceAll(max, `${max}.evil.example`)).replace(
      '.evil.example',
      '<!---->.evil.example',
    );
    const result = verifyAssertion({
      xml: Buffer.from(xml),
      covered: covered(),
      at: new Date('2026-11-16T09:05:00Z'),
    });
    expect(result.assertion?.subject).toBe(`${max}.evil.example`);
    expect(failing(result)).toEqual(['assertion-subject failed']);
  });
});
