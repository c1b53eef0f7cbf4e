/** Enveloped XMLDSig over text of our own, and the writing of such text. */
import { createHash } from 'node:crypto';
import { type SignatureAlgorithm, SignedXml } from 'xml-crypto';
import { type HashName, type Signer, signBytes, xmlDigestMethod, xmlSignatureMethod } from './signer.ts';

const enveloped = 'http://www.w3.org/2000/09/xmldsig#enveloped-signature';
const canonical = {
  exclusive: 'http://www.w3.org/2001/10/xml-exc-c14n#',
  inclusive: 'http://www.w3.org/TR/2001/REC-xml-c14n-20010315',
} as const;

export interface SignatureForm {
  readonly canonical: keyof typeof canonical;
  /** The element with that Id or ID; default: the whole document. */
  readonly id?: string;
}

/**
 * The ds:Signature, to be inserted into the text rather than re-serialised with it: a serialiser may turn the CR of
 * folds into LF.
 */
export function signatureXml(xml: string, signer: Signer, form: SignatureForm): string {
  const digestAlgorithm = xmlDigestMethod(signer.hash);
  const method = canonical[form.canonical];
  const signed = new SignedXml({
    privateKey: signer.key,
    publicCert: signer.certificatePem,
    signatureAlgorithm: xmlSignatureMethod(signer),
    canonicalizationAlgorithm: method,
  });
  signed.HashAlgorithms[digestAlgorithm] = digestClass(signer.hash);
  signed.SignatureAlgorithms[xmlSignatureMethod(signer)] = signatureClass(signer);
  signed.addReference({
    xpath: '/*',
    ...(form.id === undefined ? { isEmptyUri: true } : { uri: `#${form.id}` }),
    transforms: [enveloped, method],
    digestAlgorithm,
  });
  signed.computeSignature(xml, { prefix: 'ds' });
  return signed.getSignatureXml();
}

function digestClass(hash: HashName) {
  return class {
    getAlgorithmName = () => xmlDigestMethod(hash);
    getHash = (xml: string) => createHash(hash).update(xml, 'utf8').digest('base64');
  };
}

function signatureClass(signer: Signer): new () => SignatureAlgorithm {
  return class {
    getAlgorithmName = () => xmlSignatureMethod(signer);
    getSignature(signedInfo: unknown): string {
      return signBytes(signer, Buffer.from(String(signedInfo)), 'ieee-p1363').toString('base64');
    }
    verifySignature(): boolean {
      throw new Error('The simulator signs only; it verifies nothing');
    }
  };
}

export function element(name: string, text: string): string {
  return `<${name}>${escapeXml(text)}</${name}>`;
}

/** CR as a character reference, or the parser would drop it; what XML cannot hold becomes U+FFFD. */
export function escapeXml(text: string): string {
  return text
    .replace(/[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('\r', '&#13;');
}
