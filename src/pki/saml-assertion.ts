/** What a verified SAML assertion says: the subset that TR-01201 ID IO 2.6 permits, and no more. */
import type { Element } from '@xmldom/xmldom';
import { childElements } from '../demail/xml.ts';
import { shown } from './xml-algorithms.ts';
import { type DateTime, parseDateTime } from './xml-time.ts';

const SAML = 'urn:oasis:names:tc:SAML:2.0:assertion';
const MAX_ATTRIBUTES = 100;
const MAX_VALUE = 1_024;

/** One particular of an identity card. */
export interface AssertedAttribute {
  /** Path of names: `Card/NaturalPerson/surname`. */
  readonly name: string;
  readonly value: string;
  /** When the provider checked it, as it stands. */
  readonly validationTime: string | null;
}

export interface Assertion {
  readonly id: string;
  readonly issueInstant: DateTime;
  /** De-Mail address of the provider. */
  readonly issuer: string;
  /** De-Mail address of the person or institution identified. */
  readonly subject: string;
  /** De-Mail addresses that it is meant for. */
  readonly audience: readonly string[];
  readonly notBefore: DateTime | null;
  readonly notOnOrAfter: DateTime | null;
  /** When the subject last authenticated. */
  readonly authnInstant: DateTime;
  /** How: a URI of SAML authentication contexts. */
  readonly authnContext: string;
  readonly attributes: readonly AssertedAttribute[];
}

export type AssertionResult =
  | { readonly ok: true; readonly assertion: Assertion }
  | { readonly ok: false; readonly reason: string };

class FormError extends Error {}

/** Reads an assertion whose signature has been taken out by the enveloped transform. */
export function readAssertion(root: Element): AssertionResult {
  try {
    return { ok: true, assertion: read(root) };
  } catch (error) {
    if (error instanceof FormError) return { ok: false, reason: error.message };
    throw error;
  }
}

function read(root: Element): Assertion {
  if (root.namespaceURI !== SAML || root.localName !== 'Assertion') {
    throw new FormError(`${shown(root.tagName)} is no SAML 2.0 assertion`);
  }
  const version = root.getAttribute('Version');
  if (version !== '2.0') throw new FormError(`SAML version ${shown(version ?? '')}`);
  const id = root.getAttribute('ID') ?? '';
  if (id === '') throw new FormError('the assertion has no ID');
  const parts = children(root, ['Issuer', 'Subject', 'Conditions', 'AuthnStatement', 'AttributeStatement']);
  const [issuer, subject, conditions, authn, statement] = parts as [
    Element,
    Element,
    Element,
    Element,
    Element,
  ];

  const [nameId] = children(subject, ['NameID']);
  const [restriction] = children(conditions, ['AudienceRestriction']);
  const [context] = children(authn, ['AuthnContext']);
  const [classRef] = children(context!, ['AuthnContextClassRef']);
  const audience = childElements(restriction!, SAML, 'Audience').map(textOf);
  if (audience.length === 0) throw new FormError('AudienceRestriction names no audience');
  return {
    id,
    issueInstant: timeOf(root, 'IssueInstant') ?? missing('IssueInstant'),
    issuer: textOf(issuer),
    subject: textOf(nameId!),
    audience,
    notBefore: timeOf(conditions, 'NotBefore'),
    notOnOrAfter: timeOf(conditions, 'NotOnOrAfter'),
    // The norm's text calls it AuthInstant, its example and SAML AuthnInstant.
    authnInstant: timeOf(authn, 'AuthnInstant') ?? timeOf(authn, 'AuthInstant') ?? missing('AuthnInstant'),
    authnContext: textOf(classRef!),
    attributes: attributesOf(statement),
  };
}

/** The child elements of SAML's name space, which must be exactly these, each once, in any order. */
function children(element: Element, names: readonly string[]): Element[] {
  const all = childElements(element);
  const stranger = all.find(
    ({ namespaceURI, localName }) => namespaceURI !== SAML || !names.includes(localName!),
  );
  if (stranger !== undefined) {
    throw new FormError(`${shown(element.tagName)} has ${shown(stranger.tagName)}, which is not used`);
  }
  return names.map((name) => {
    const [found, ...more] = all.filter(({ localName }) => localName === name);
    if (found === undefined) throw new FormError(`${shown(element.tagName)} has no ${name}`);
    if (more.length > 0) throw new FormError(`${shown(element.tagName)} has ${more.length + 1} ${name}`);
    return found;
  });
}

function attributesOf(statement: Element): AssertedAttribute[] {
  const found: AssertedAttribute[] = [];
  for (const attribute of childElements(statement)) {
    const name = attribute.getAttribute('Name') ?? '';
    if (attribute.namespaceURI !== SAML || attribute.localName !== 'Attribute' || name === '') {
      throw new FormError(`AttributeStatement has ${shown(attribute.tagName)}`);
    }
    for (const value of childElements(attribute, SAML, 'AttributeValue')) collect(value, name, found);
  }
  if (found.length === 0) throw new FormError('the assertion has no attributes');
  return found;
}

/** Leaves of an identity card, each under the path of its names. The document is at most 32 deep. */
function collect(element: Element, path: string, found: AssertedAttribute[]): void {
  const inner = childElements(element);
  if (inner.length === 0) {
    if (found.length === MAX_ATTRIBUTES)
      throw new FormError(`the assertion has more than ${MAX_ATTRIBUTES} attributes`);
    const validationTime = element.getAttribute('validationTime');
    found.push({ name: path, value: textOf(element), validationTime: validationTime?.slice(0, 40) ?? null });
    return;
  }
  for (const child of inner) {
    // Identcard only wraps the kind of card.
    collect(child, child.localName === 'Identcard' ? path : `${path}/${child.localName}`, found);
  }
}

function textOf(element: Element): string {
  if (childElements(element).length > 0) throw new FormError(`${shown(element.tagName)} has more than text`);
  const text = (element.textContent ?? '').trim();
  if (text.length > MAX_VALUE) throw new FormError(`${shown(element.tagName)} is longer than ${MAX_VALUE}`);
  return text;
}

function timeOf(element: Element, attribute: string): DateTime | null {
  const value = element.getAttribute(attribute);
  if (value === null) return null;
  return parseDateTime(value) ?? missing(attribute);
}

function missing(attribute: string): never {
  throw new FormError(`${attribute} is missing or no xs:dateTime`);
}
