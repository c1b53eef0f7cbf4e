/** The one form of ds:Signature that is accepted: enveloped, over the whole document, key from X.509. */
import type { Element } from '@xmldom/xmldom';
import type { IntegrityHash } from '../demail/integrity.ts';
import { childElements } from '../demail/xml.ts';
import {
  CANONICALISATIONS,
  DIGESTS,
  DSIG,
  ENVELOPED,
  readSignatureMethod,
  shown,
  type XmlSignatureMethod,
} from './xml-algorithms.ts';
import { elementsOf, hasComment } from './xml-document.ts';

/** A chain of the PKI here has three or four certificates. */
const MAX_CERTIFICATES = 8;
const MAX_CRLS = 8;
const idAttributes = ['ID', 'Id', 'id'];

export interface SignatureParts {
  readonly element: Element;
  readonly method: XmlSignatureMethod;
  readonly digest: IntegrityHash;
  /** DER, in the order given; at least one. */
  readonly certificates: readonly Buffer[];
  /** DER of CRLs in X509Data: not verified. */
  readonly crls: readonly Buffer[];
}

export type PartsResult =
  | ({ readonly ok: true } & SignatureParts)
  | { readonly ok: false; readonly absent: boolean; readonly reason: string };

/**
 * Finds the signature of a document and holds it against the form of XMLDSig 1.1 that the norm asks for
 * (TR-01201 IO 3.5.1 table 23, ID IO 2.6). Whatever a verifier could be led astray by is refused here, before
 * any library looks at it: a second Signature or SignedInfo under any name space, several references, external
 * ones, other transforms, objects, comments.
 */
export function readSignature(root: Element): PartsResult {
  const all = [...elementsOf(root)];
  const signatures = all.filter(({ localName }) => localName === 'Signature');
  const [element, ...others] = signatures;
  if (element === undefined) return { ok: false, absent: true, reason: 'the XML has no signature' };
  if (others.length > 0) return refuse(`the XML has ${signatures.length} elements Signature`);
  if (element.namespaceURI !== DSIG) return refuse('Signature stands in a foreign name space');
  if (element.parentNode !== root) return refuse('Signature is no child of the document element');
  if (all.filter(({ localName }) => localName === 'SignedInfo').length !== 1) {
    return refuse('the XML has not exactly one SignedInfo');
  }
  if (hasComment(element)) return refuse('the signature has comments');
  const parts = inOrder(element, ['SignedInfo', 'SignatureValue', 'KeyInfo']);
  if (parts === null) return refuse('Signature is not SignedInfo, SignatureValue, KeyInfo in this order');
  const [signedInfo, value, keyInfo] = parts;
  if (!isBase64(value!)) return refuse('SignatureValue is not base64');

  const info = inOrder(signedInfo!, ['CanonicalizationMethod', 'SignatureMethod', 'Reference']);
  if (info === null) return refuse('SignedInfo has not one method of each kind and one Reference');
  const [canonicalisation, signatureMethod, reference] = info;
  const form = canonicalisation!.getAttribute('Algorithm') ?? '';
  if (!CANONICALISATIONS.includes(form)) return refuse(`canonical form ${shown(form)} is not permitted`);
  const method = readSignatureMethod(signatureMethod!);
  if (!method.ok) return refuse(method.reason);

  const digest = readReference(reference!, root, all);
  if (typeof digest === 'object') return digest;
  const keys = readKeyInfo(keyInfo!);
  return 'ok' in keys ? keys : { ok: true, element, method: method.method, digest, ...keys };
}

function readReference(
  reference: Element,
  root: Element,
  all: readonly Element[],
): IntegrityHash | PartsResult {
  const uri = reference.getAttribute('URI');
  // No URI means that the application knows what was signed; ours knows nothing.
  if (uri === null || !reference.hasAttribute('URI')) return refuse('the Reference has no URI');
  if (uri !== '') {
    const id = uri.slice(1);
    if (!uri.startsWith('#') || !/^[\w.-]{1,256}$/.test(id)) {
      return refuse(`the Reference leads out of the document: ${shown(uri)}`);
    }
    const bearers = all.filter((element) => idAttributes.some((name) => idOf(element, name) === id));
    if (bearers.length > 1) return refuse(`${bearers.length} elements have the id ${shown(id)}`);
    if (bearers[0] !== root) return refuse('the Reference does not cover the document element');
  }
  const parts = inOrder(reference, ['Transforms', 'DigestMethod', 'DigestValue']);
  if (parts === null) return refuse('Reference is not Transforms, DigestMethod, DigestValue in this order');
  const [transforms, digestMethod, digestValue] = parts;
  const names = childElements(transforms!).map((transform) =>
    transform.namespaceURI === DSIG && transform.localName === 'Transform'
      ? (transform.getAttribute('Algorithm') ?? '')
      : '',
  );
  const [first, second, ...more] = names;
  if (first !== ENVELOPED)
    return refuse(`the first transform is ${shown(first ?? '')}, not the enveloped one`);
  if (more.length > 0) return refuse(`the Reference has ${names.length} transforms`);
  if (second !== undefined && !CANONICALISATIONS.includes(second)) {
    return refuse(`transform ${shown(second)} is not permitted`);
  }
  const algorithm = digestMethod!.getAttribute('Algorithm') ?? '';
  const digest = DIGESTS.get(algorithm);
  if (digest === undefined) return refuse(`digest ${shown(algorithm)} is not permitted`);
  return isBase64(digestValue!) ? digest : refuse('DigestValue is not base64');
}

/** Also `wsu:Id` and the like: whatever a library might take for an id. */
function idOf(element: Element, localName: string): string | null {
  for (let i = 0; i < element.attributes.length; i += 1) {
    const attribute = element.attributes.item(i)!;
    if (attribute.localName === localName) return attribute.value;
  }
  return null;
}

/** Certificates and CRLs of ds:X509Data. A bare key proves nothing and is passed over; references are not followed. */
function readKeyInfo(
  keyInfo: Element,
): Pick<SignatureParts, 'certificates' | 'crls'> | (PartsResult & { ok: false }) {
  const certificates: Buffer[] = [];
  const crls: Buffer[] = [];
  for (const child of childElements(keyInfo)) {
    if (child.namespaceURI === DSIG && (child.localName === 'KeyName' || child.localName === 'KeyValue'))
      continue;
    if (child.namespaceURI !== DSIG || child.localName !== 'X509Data') {
      return refuse(`KeyInfo has ${shown(child.localName ?? '')}`);
    }
    for (const item of childElements(child, DSIG, 'X509Certificate')) {
      if (!isBase64(item)) return refuse('X509Certificate is not base64');
      certificates.push(Buffer.from(item.textContent ?? '', 'base64'));
    }
    for (const item of childElements(child, DSIG, 'X509CRL')) {
      if (!isBase64(item)) return refuse('X509CRL is not base64');
      crls.push(Buffer.from(item.textContent ?? '', 'base64'));
    }
  }
  if (certificates.length === 0) return refuse('KeyInfo has no X.509 certificate');
  if (certificates.length > MAX_CERTIFICATES)
    return refuse(`KeyInfo has more than ${MAX_CERTIFICATES} certificates`);
  return crls.length > MAX_CRLS
    ? refuse(`KeyInfo has more than ${MAX_CRLS} revocation lists`)
    : { certificates, crls };
}

/** The child elements, if they are exactly these of XMLDSig in this order. */
function inOrder(parent: Element, names: readonly string[]): Element[] | null {
  const children = childElements(parent);
  const fits =
    children.length === names.length &&
    children.every(({ namespaceURI, localName }, i) => namespaceURI === DSIG && localName === names[i]);
  return fits ? children : null;
}

function isBase64(element: Element): boolean {
  if (childElements(element).length > 0) return false;
  const text = (element.textContent ?? '').replace(/[\t\n\r ]+/g, '');
  return text.length > 0 && text.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(text);
}

function refuse(reason: string): PartsResult & { ok: false } {
  return { ok: false, absent: false, reason };
}
