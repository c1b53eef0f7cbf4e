/**
 * CMS EnvelopedData (RFC 5652 6) to RSA recipients: RSAES-OAEP with SHA-256, AES-256-CBC. What is put away for a
 * decade must open without us: `openssl cms -decrypt -inform DER -inkey key.pem` does.
 */
import { type KeyObject, webcrypto, type X509Certificate } from 'node:crypto';
import { fromBER } from 'asn1js';
import * as pkijs from 'pkijs';

const engine = new pkijs.CryptoEngine({ name: 'node', crypto: webcrypto as never });
/** A file larger than this is none of ours. */
const largest = 1 << 20;

/** @throws Error for a certificate that is not RSA with at least 3072 bits */
export async function envelop(content: Uint8Array, recipients: readonly X509Certificate[]): Promise<Buffer> {
  if (recipients.length === 0) throw new Error('an envelope needs a recipient');
  const enveloped = new pkijs.EnvelopedData();
  for (const recipient of recipients) {
    const { asymmetricKeyType, asymmetricKeyDetails } = recipient.publicKey;
    if (asymmetricKeyType !== 'rsa' || (asymmetricKeyDetails?.modulusLength ?? 0) < 3072)
      throw new Error(`certificate of ${recipient.subject}: an RSA key of at least 3072 bits is needed`);
    enveloped.addRecipientByCertificate(
      pkijs.Certificate.fromBER(recipient.raw),
      { oaepHashAlgorithm: 'SHA-256' },
      1,
      engine,
    );
  }
  const plain = Uint8Array.from(content);
  await enveloped.encrypt({ name: 'AES-CBC', length: 256 } as never, plain.buffer, engine);
  const info = new pkijs.ContentInfo({
    contentType: pkijs.ContentInfo.ENVELOPED_DATA,
    content: enveloped.toSchema(),
  });
  return Buffer.from(info.toSchema().toBER());
}

/**
 * Opens an envelope with the key of any of its recipients.
 * @throws Error where it is none, was changed, or is for others
 */
export async function openEnvelope(der: Uint8Array, key: KeyObject): Promise<Buffer> {
  if (der.length > largest) throw new Error('too large for an envelope of keys');
  let enveloped: pkijs.EnvelopedData;
  try {
    const parsed = fromBER(Uint8Array.from(der).buffer);
    if (parsed.offset === -1) throw new Error(parsed.result.error);
    const info = new pkijs.ContentInfo({ schema: parsed.result });
    if (info.contentType !== pkijs.ContentInfo.ENVELOPED_DATA) throw new Error('other content');
    enveloped = new pkijs.EnvelopedData({ schema: info.content });
  } catch (error) {
    throw new Error(`not a CMS envelope: ${(error as Error).message}`);
  }
  const recipientPrivateKey = Uint8Array.from(key.export({ type: 'pkcs8', format: 'der' })).buffer;
  for (let index = 0; index < enveloped.recipientInfos.length; index++) {
    try {
      return Buffer.from(await enveloped.decrypt(index, { recipientPrivateKey }, engine));
    } catch {
      // For another recipient, or changed: which of both cannot be told.
    }
  }
  throw new Error('this key opens it for none of its recipients: it is for another key, or was changed');
}
