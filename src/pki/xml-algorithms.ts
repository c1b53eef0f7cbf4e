/** The algorithms that a signature inside XML may use, by their identifiers: RFC 9231, XMLDSig 1.1. */
import type { Element } from '@xmldom/xmldom';
import type { IntegrityHash, SignatureScheme } from '../demail/integrity.ts';
import { childElements } from '../demail/xml.ts';

export const DSIG = 'http://www.w3.org/2000/09/xmldsig#';
const MORE_2001 = 'http://www.w3.org/2001/04/xmldsig-more#';
const MORE_2007 = 'http://www.w3.org/2007/05/xmldsig-more#';
const PSS_WITH_PARAMETERS = `${MORE_2007}rsa-pss`;
const MGF1 = `${MORE_2007}MGF1`;

export const ENVELOPED = `${DSIG}enveloped-signature`;
/** Comments are never part of what is signed: forms with comments are refused. */
export const CANONICALISATIONS: readonly string[] = [
  'http://www.w3.org/TR/2001/REC-xml-c14n-20010315',
  'http://www.w3.org/2001/10/xml-exc-c14n#',
];

export const DIGESTS: ReadonlyMap<string, IntegrityHash> = new Map([
  ['http://www.w3.org/2001/04/xmlenc#sha256', 'sha256'],
  [`${MORE_2001}sha384`, 'sha384'],
  ['http://www.w3.org/2001/04/xmlenc#sha512', 'sha512'],
]);

export interface XmlSignatureMethod {
  readonly uri: string;
  readonly scheme: SignatureScheme;
  readonly hash: IntegrityHash;
}

export type MethodResult =
  | { readonly ok: true; readonly method: XmlSignatureMethod }
  | { readonly ok: false; readonly reason: string };

const saltLengths: Record<IntegrityHash, number> = { sha256: 32, sha384: 48, sha512: 64 };
const methods: ReadonlyMap<string, XmlSignatureMethod> = new Map(
  [...DIGESTS.values()].flatMap((hash) => {
    const entry = (uri: string, scheme: SignatureScheme) => [uri, { uri, scheme, hash }] as const;
    return [
      entry(`${MORE_2001}rsa-${hash}`, 'rsa'),
      entry(`${MORE_2001}ecdsa-${hash}`, 'ec-dsa'),
      entry(`${MORE_2007}${hash}-rsa-MGF1`, 'rsassa-pss'),
    ];
  }),
);

/** Reads ds:SignatureMethod. Whatever is not listed is refused: HMAC, SHA-1, MD5, DSA, truncation. */
export function readSignatureMethod(element: Element): MethodResult {
  const uri = element.getAttribute('Algorithm') ?? '';
  if (uri === PSS_WITH_PARAMETERS) return readPssParameters(element);
  const method = methods.get(uri);
  if (method === undefined) return refuse(`signature algorithm ${shown(uri)} is not permitted`);
  // Parameters (HMACOutputLength, say) belong to no permitted algorithm but PSS.
  if (childElements(element).length > 0) return refuse(`signature algorithm ${shown(uri)} has parameters`);
  return { ok: true, method };
}

/**
 * RFC 9231 2.3.9: digest, mask generation, salt length, trailer; each optional with the defaults of the
 * table there. The mask must use the digest of the signature, as RFC 4055 3.1 recommends and X.509 keys do.
 */
function readPssParameters(element: Element): MethodResult {
  const [params, ...more] = childElements(element);
  let hash: IntegrityHash = 'sha256';
  let saltLength: number | null = null;
  let maskHash: IntegrityHash | null = null;
  if (params !== undefined) {
    if (more.length > 0 || params.namespaceURI !== MORE_2007 || params.localName !== 'RSAPSSParams') {
      return refuse('RSASSA-PSS has parameters of an unknown form');
    }
    const seen = new Set<string>();
    for (const child of childElements(params)) {
      const name = child.localName ?? '';
      if (seen.has(name)) return refuse(`RSASSA-PSS has two ${name}`);
      seen.add(name);
      const text = (child.textContent ?? '').trim();
      if (child.namespaceURI === DSIG && name === 'DigestMethod') {
        const found = DIGESTS.get(child.getAttribute('Algorithm') ?? '');
        if (found === undefined) return refuse('RSASSA-PSS has a digest that is not permitted');
        hash = found;
      } else if (child.namespaceURI === MORE_2007 && name === 'MaskGenerationFunction') {
        const found = readMask(child);
        if (found === null) return refuse('RSASSA-PSS has a mask generation that is not permitted');
        maskHash = found;
      } else if (child.namespaceURI === MORE_2007 && name === 'SaltLength' && /^\d{1,3}$/.test(text)) {
        saltLength = Number(text);
      } else if (child.namespaceURI !== MORE_2007 || name !== 'TrailerField' || text !== '1') {
        return refuse(`RSASSA-PSS has an unknown parameter ${shown(name)}`);
      }
    }
  }
  if ((maskHash ?? 'sha256') !== hash) return refuse('RSASSA-PSS mixes two digests');
  const salt = saltLength ?? saltLengths[hash];
  // A signature without salt is the deterministic form; everyone's profile asks for one as long as the digest.
  if (salt < 20) return refuse(`RSASSA-PSS has a salt of ${salt} bytes`);
  return { ok: true, method: { uri: PSS_WITH_PARAMETERS, scheme: 'rsassa-pss', hash } };
}

function readMask(element: Element): IntegrityHash | null {
  if (element.getAttribute('Algorithm') !== MGF1) return null;
  const [digest, ...more] = childElements(element);
  if (digest === undefined) return 'sha256';
  if (more.length > 0 || digest.namespaceURI !== DSIG || digest.localName !== 'DigestMethod') return null;
  return DIGESTS.get(digest.getAttribute('Algorithm') ?? '') ?? null;
}

/** An identifier from outside, short enough for a message. */
export function shown(text: string): string {
  return text === '' ? '(none)' : JSON.stringify(text.slice(0, 100));
}

function refuse(reason: string): MethodResult {
  return { ok: false, reason };
}
