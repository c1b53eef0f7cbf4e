/** Signs XML for tests, in every form that is accepted and in many that are not. */
import { constants, createHash, type KeyObject, sign } from 'node:crypto';
import { SignedXml } from 'xml-crypto';

export const ENVELOPED = 'http://www.w3.org/2000/09/xmldsig#enveloped-signature';
export const EXCLUSIVE = 'http://www.w3.org/2001/10/xml-exc-c14n#';
export const INCLUSIVE = 'http://www.w3.org/TR/2001/REC-xml-c14n-20010315';
export const RSA_SHA256 = 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256';
export const ECDSA_SHA256 = 'http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256';

export interface TestSigner {
  readonly key: KeyObject;
  readonly certificatePem: string;
}

export interface XmlSigning {
  /** XPath of what is signed. Default: the document element. */
  readonly xpath?: string;
  /** Default: the empty URI. With `id`, xml-crypto refers to the element's id. */
  readonly reference?: 'empty' | 'id';
  readonly transforms?: readonly string[];
  readonly canonicalisation?: string;
  readonly digest?: string;
  readonly method?: string;
  readonly hash?: string;
  readonly saltLength?: number;
  /** XML inside SignatureMethod, after `prefix:`. */
  readonly methodContent?: string;
  /** XML inside KeyInfo instead of the certificate. */
  readonly keyInfo?: string;
  /** `prefix` of XMLDSig; empty for the default name space. */
  readonly prefix?: string;
  /** Signs by other means than the key. */
  readonly signWith?: (signedInfo: Buffer) => Buffer;
  /** Where the signature goes; default: last in the document element. */
  readonly at?: string;
}

const digestNames: Record<string, string> = {
  'http://www.w3.org/2000/09/xmldsig#sha1': 'sha1',
  'http://www.w3.org/2001/04/xmlenc#sha256': 'sha256',
  'http://www.w3.org/2001/04/xmldsig-more#sha384': 'sha384',
  'http://www.w3.org/2001/04/xmlenc#sha512': 'sha512',
  'http://www.w3.org/2001/04/xmldsig-more#md5': 'md5',
};

/** The document with an XML signature in it. RSA keys sign PKCS #1 v1.5 unless `saltLength` is given. */
export function signXml(xml: string, signer: TestSigner, signing: XmlSigning = {}): string {
  const rsa = signer.key.asymmetricKeyType !== 'ec';
  const {
    transforms = [ENVELOPED, EXCLUSIVE],
    canonicalisation = EXCLUSIVE,
    digest = 'http://www.w3.org/2001/04/xmlenc#sha256',
    method = rsa ? RSA_SHA256 : ECDSA_SHA256,
    hash = 'sha256',
    methodContent,
    keyInfo,
    prefix = 'ds',
    signWith = (data: Buffer) => signBytes(signer.key, hash, data, signing.saltLength),
    reference = 'empty',
    xpath = '/*',
  } = signing;
  const signed = new SignedXml({
    privateKey: signer.key,
    publicCert: signer.certificatePem,
    signatureAlgorithm: method,
    canonicalizationAlgorithm: canonicalisation,
    ...(keyInfo === undefined ? {} : { getKeyInfoContent: () => keyInfo }),
  });
  signed.HashAlgorithms = Object.fromEntries(
    Object.entries(digestNames).map(([name, algorithm]) => [
      name,
      class {
        getAlgorithmName = () => name;
        getHash = (text: string) => createHash(algorithm).update(text, 'utf8').digest('base64');
      },
    ]),
  );
  signed.SignatureAlgorithms = {
    [method]: class {
      getAlgorithmName = () => method;
      getSignature(signedInfo: unknown): string {
        return signWith(Buffer.from(String(signedInfo))).toString('base64');
      }
      verifySignature(): boolean {
        throw new Error('signs only');
      }
    },
  };
  if (methodContent !== undefined) {
    // xml-crypto knows no parameters of a signature method.
    const own = signed as unknown as { createSignedInfo(doc: unknown, prefix: string): string };
    const create = own.createSignedInfo.bind(signed);
    own.createSignedInfo = (doc, ns) =>
      create(doc, ns).replace(/(<[^<]*SignatureMethod [^>]*?) ?\/>/, (_all, open: string) => {
        return `${open}>${methodContent}</${ns ? `${ns}:` : ''}SignatureMethod>`;
      });
  }
  signed.addReference({
    xpath,
    transforms: [...transforms],
    digestAlgorithm: digest,
    ...(reference === 'empty' ? { isEmptyUri: true } : {}),
  });
  signed.computeSignature(xml, {
    prefix,
    ...(signing.at === undefined ? {} : { location: { reference: signing.at, action: 'append' as const } }),
  });
  return signed.getSignedXml();
}

function signBytes(key: KeyObject, hash: string, data: Buffer, saltLength?: number): Buffer {
  if (key.asymmetricKeyType === 'ec') return sign(hash, data, { key, dsaEncoding: 'ieee-p1363' });
  return saltLength === undefined
    ? sign(hash, data, key)
    : sign(hash, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
}
