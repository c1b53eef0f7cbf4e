/** Enveloped XML signatures (XMLDSig 1.1): what is returned is what was signed, and nothing else. */
import { createHash, type KeyObject, X509Certificate } from 'node:crypto';
import type { Element } from '@xmldom/xmldom';
import { type HashAlgorithm, type SignatureAlgorithm, SignedXml } from 'xml-crypto';
import { childElements, parseXml } from '../demail/xml.ts';
import { verifySignature } from './signature.ts';
import { CANONICALISATIONS, DIGESTS, ENVELOPED, type XmlSignatureMethod } from './xml-algorithms.ts';
import { elementsOf, parseSigned } from './xml-document.ts';
import { readSignature, type SignatureParts } from './xml-signature.ts';

/** What a signature vouches for. Whoever reads the document reads it from here, never from the input. */
export interface VerifiedXml {
  readonly ok: true;
  /** The octets that the digest was made of: canonical, without the signature. */
  readonly octets: Buffer;
  /** Document element of what `octets` say. */
  readonly root: Element;
  /** DER of the certificate whose key made the signature. Whether anyone trusts it is not said here. */
  readonly signer: Buffer;
  /** DER of the other certificates in KeyInfo: help for building a chain, and no more. */
  readonly others: readonly Buffer[];
  /** DER of the CRLs in KeyInfo: not verified here. */
  readonly crls: readonly Buffer[];
  readonly method: XmlSignatureMethod;
  /** Whether the signature is the last child element, as the norm's schema wants it; nothing signed says so. */
  readonly atEnd: boolean;
}

export type XmlSignatureResult =
  | VerifiedXml
  | {
      readonly ok: false;
      /**
       * `unreadable`: no XML that is read here. `unsigned`: no signature. `refused`: a form or algorithm that is not
       * accepted. `broken`: digest or signature value do not fit.
       */
      readonly problem: 'unreadable' | 'unsigned' | 'refused' | 'broken';
      readonly reason: string;
    };

/** Verifies the one enveloped signature of a document. Total: hostile input is an answer, not an exception. */
export function verifyEnveloped(xml: Buffer): XmlSignatureResult {
  try {
    return verify(xml);
  } catch (error) {
    // xml-crypto answers signatures that do not fit with exceptions, malformed ones too.
    const { message } = error as Error;
    return message.startsWith('invalid signature: the signature value')
      ? fail('broken', "the signature was not made by the certificate's key, or not over this SignedInfo")
      : fail('broken', `the signature cannot be verified: ${message.slice(0, 200)}`);
  }
}

function verify(xml: Buffer): XmlSignatureResult {
  const document = parseSigned(xml);
  if (!document.ok) return fail('unreadable', document.reason);
  const parts = readSignature(document.root);
  if (!parts.ok) return fail(parts.absent ? 'unsigned' : 'refused', parts.reason);
  const certificates = readCertificates(parts.certificates);
  if (certificates === null) return fail('refused', 'KeyInfo has a certificate that cannot be read');
  const signer = signerAmong(certificates);

  const octets = verifiedOctets(document.text, parts, signer);
  if (octets === null) return fail('broken', 'the document is not what was signed: its digest differs');
  const verified = parseXml(octets);
  if (!verified.ok) return fail('refused', `what was signed cannot be read: ${verified.reason}`);
  const { root } = verified;
  if (root.localName !== document.root.localName || root.namespaceURI !== document.root.namespaceURI) {
    return fail('refused', 'what was signed is not the document element');
  }
  for (const { localName } of elementsOf(root)) {
    if (localName === 'Signature') return fail('refused', 'what was signed contains another Signature');
  }
  return {
    ok: true,
    octets,
    root,
    signer: signer.raw,
    others: certificates.filter((certificate) => certificate !== signer).map(({ raw }) => raw),
    crls: parts.crls,
    method: parts.method,
    atEnd: childElements(document.root).at(-1) === parts.element,
  };
}

/** The octets that the signature covers, null where the digest differs; throws where the value does not fit. */
function verifiedOctets(text: string, parts: SignatureParts, signer: X509Certificate): Buffer | null {
  const signed = new SignedXml({ publicCert: signer.toString() });
  const known = signed.CanonicalizationAlgorithms;
  // Only what the form permits can be found by name, whatever the library knows besides.
  signed.CanonicalizationAlgorithms = Object.fromEntries(
    [ENVELOPED, ...CANONICALISATIONS].map((name) => [name, known[name]!]),
  );
  signed.HashAlgorithms = Object.fromEntries(
    [...DIGESTS].map(([name, hash]) => [name, digestClass(name, hash)]),
  );
  signed.SignatureAlgorithms = { [parts.method.uri]: methodClass(parts.method, signer.publicKey) };
  signed.loadSignature(parts.element);
  if (!signed.checkSignature(text)) return null;
  const [octets, ...more] = signed.getSignedReferences();
  if (octets === undefined || more.length > 0) throw new Error('not exactly one reference');
  return Buffer.from(octets, 'utf8');
}

function digestClass(name: string, hash: string): new () => HashAlgorithm {
  return class {
    getAlgorithmName = () => name;
    getHash = (xml: string) => createHash(hash).update(xml, 'utf8').digest('base64');
  };
}

/** Verifies with the certificate's key, whatever key the library offers. */
function methodClass(method: XmlSignatureMethod, key: KeyObject): new () => SignatureAlgorithm {
  return class {
    getAlgorithmName = () => method.uri;
    getSignature(): string {
      throw new Error('signatures are verified here, not made');
    }
    verifySignature(signedInfo: string, _key: unknown, value: string): boolean {
      const data = Buffer.from(signedInfo, 'utf8');
      return verifySignature(method.scheme, method.hash, key, data, Buffer.from(value, 'base64')).ok;
    }
  };
}

function readCertificates(list: readonly Buffer[]): X509Certificate[] | null {
  try {
    return list.map((der) => new X509Certificate(der));
  } catch {
    return null;
  }
}

/** X509Data has no order: the signer is the one that issued none of the others, else the first. */
function signerAmong(certificates: readonly X509Certificate[]): X509Certificate {
  const ends = certificates.filter(
    (candidate) => !certificates.some((other) => other !== candidate && other.issuer === candidate.subject),
  );
  return ends.length === 1 ? ends[0]! : certificates[0]!;
}

function fail(problem: 'unreadable' | 'unsigned' | 'refused' | 'broken', reason: string): XmlSignatureResult {
  return { ok: false, problem, reason };
}
