/** Identification messages: a SAML 2.0 assertion with an enveloped signature, TR-01201 ID IO 2.1.1 and 2.6. */
import { randomUUID } from 'node:crypto';
import { dateTime } from './confirmation-xml.ts';
import { makeField } from './header.ts';
import type { IdentityCard } from './identity-card.ts';
import type { Sealed } from './integrity.ts';
import type { Lies } from './lies.ts';
import { compose, type Letterhead } from './system-message.ts';
import { element, escapeXml, signatureXml } from './xml-signature.ts';

export interface IdentificationOrder {
  /** De-Mail address of the person or institution identified, who gets a copy. */
  readonly subject: string;
  /** De-Mail address of the one it is for. */
  readonly audience: string;
  readonly card: IdentityCard;
  readonly time: Date;
}

const saml = 'urn:oasis:names:tc:SAML:2.0';
const emailFormat = 'urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress';

export function composeIdentification(order: IdentificationOrder, head: Letterhead, lies: Lies): Sealed {
  const sender = `Ident-Bestaetigung@${head.provider}`;
  const lines = order.card.fields.map(([name, value]) => `${name}: ${value}`);
  const text = [
    'Hiermit werden die folgende Identitätsdaten zur angegebenen De-Mail-Adresse bestätigt:',
    '',
    ...lines,
    '',
  ].join('\r\n');
  return compose({
    head,
    signed: true,
    lies,
    sender,
    to: order.audience,
    cc: [order.subject],
    subject: 'Ident-Bestätigung',
    type: 'identification',
    time: order.time,
    extra: [makeField('X-de-mail-private', 'yes')],
    parts: [
      { type: 'text/plain; charset=utf-8', content: Buffer.from(text) },
      {
        type: 'application/xml; charset=utf-8',
        file: 'ident-bestaetigung.xml',
        content: Buffer.from(assertionXml(order, sender, head)),
      },
    ],
  });
}

function assertionXml(order: IdentificationOrder, issuer: string, head: Letterhead): string {
  const id = `_${randomUUID()}`;
  const now = dateTime(order.time);
  const value = (name: string, text: string) => element(`saml:${name}`, text);
  const address = (name: string, text: string) =>
    `<saml:${name} Format="${emailFormat}">${escapeXml(text)}</saml:${name}>`;
  const fields = order.card.fields.map(
    ([name, text]) => `<de-mail:${name} validationTime="${now}">${escapeXml(text)}</de-mail:${name}>`,
  );
  const card = `<de-mail:${order.card.element}>${fields.join('')}</de-mail:${order.card.element}>`;
  const issued = address('Issuer', issuer);
  const xml = [
    '<?xml version="1.0" encoding="UTF-8"?>\n',
    `<saml:Assertion xmlns:saml="${saml}:assertion" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"`,
    ' xmlns:de-mail="http://www.de-mail.de/xml/2010/01/ident"',
    ` Version="2.0" ID="${id}" IssueInstant="${now}">`,
    issued,
    `<saml:Subject>${address('NameID', order.subject)}</saml:Subject>`,
    `<saml:Conditions><saml:AudienceRestriction>${value('Audience', order.audience)}`,
    '</saml:AudienceRestriction></saml:Conditions>',
    `<saml:AuthnStatement AuthnInstant="${now}"><saml:AuthnContext>`,
    value('AuthnContextClassRef', `${saml}:ac:classes:SmartcardPKI`),
    '</saml:AuthnContext></saml:AuthnStatement>',
    '<saml:AttributeStatement><saml:Attribute Name="Card">',
    `<saml:AttributeValue xsi:type="de-mail:Identcard"><de-mail:Identcard>${card}</de-mail:Identcard>`,
    '</saml:AttributeValue></saml:Attribute></saml:AttributeStatement></saml:Assertion>',
  ].join('');
  // SAML core 2.3.3: the signature follows the issuer.
  const signature = signatureXml(xml, head.signer, { canonical: 'inclusive', id });
  return `${xml.replace(issued, () => issued + signature)}\n`;
}
