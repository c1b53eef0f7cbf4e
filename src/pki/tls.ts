/** How this gateway speaks TLS as a server: BSI TR-02102-2 (2024-01), tables 1 to 4. */
import type { SecureContextOptions, TlsOptions } from 'node:tls';

/**
 * TLS 1.3 suites, then TLS 1.2 with forward secrecy and AES-GCM or CCM; ECDSA before RSA. No CBC: the
 * TR allows it only with encrypt-then-MAC, which OpenSSL does not insist on. No static RSA, no DHE: no
 * mail client of the last ten years needs it.
 */
const cipherSuites = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_128_CCM_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-CCM',
  'ECDHE-ECDSA-AES128-CCM',
] as const;

/** Key agreement groups of the TR that OpenSSL and mail clients share; the first is everybody's. */
const curves = [
  'P-256',
  'P-384',
  'P-521',
  'brainpoolP256r1',
  'brainpoolP384r1',
  'brainpoolP512r1',
  'brainpoolP256r1tls13',
  'brainpoolP384r1tls13',
  'brainpoolP512r1tls13',
] as const;

/** Signature algorithms of the TR: no SHA-1, no SHA-224; PKCS#1 v1.5 only for TLS 1.2 with RSA certificates. */
const signatureAlgorithms = [
  'ecdsa_secp256r1_sha256',
  'ecdsa_secp384r1_sha384',
  'ecdsa_secp521r1_sha512',
  'rsa_pss_pss_sha256',
  'rsa_pss_pss_sha384',
  'rsa_pss_pss_sha512',
  'rsa_pss_rsae_sha256',
  'rsa_pss_rsae_sha384',
  'rsa_pss_rsae_sha512',
  'rsa_pkcs1_sha256',
  'rsa_pkcs1_sha384',
  'rsa_pkcs1_sha512',
].join(':');

/** What the listeners share. */
export interface ServerIdentity {
  /** PEM, leaf first. */
  readonly certificate: string | Buffer;
  /** PEM. */
  readonly key: string | Buffer;
}

/** Protocol settings alone, for either side. */
export const tlsProfile = {
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers: cipherSuites.join(':'),
  ecdhCurve: curves.join(':'),
  sigalgs: signatureAlgorithms,
} as const satisfies SecureContextOptions;

/** Options for a TLS server that presents this identity. */
export function tlsServerOptions(identity: ServerIdentity) {
  return {
    ...tlsProfile,
    cert: identity.certificate,
    key: identity.key,
    honorCipherOrder: true,
  } as const satisfies TlsOptions;
}
