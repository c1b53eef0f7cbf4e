/**
 * Which TLS client certificates are a user's: those named by fingerprint, and those that an authority of the tenant
 * issued to the login as e-mail address (subjectAltName rfc822Name; a name in the subject does not count).
 */
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Principal } from './directory.ts';

/** RFC 5280 4.2.1.12. */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/** Hex SHA-256 of the DER. */
export function fingerprintOf(certificate: X509Certificate): string {
  return createHash('sha256').update(certificate.raw).digest('hex');
}

/**
 * Why the certificate is not this user's, or null where it is. That the peer holds its key is for TLS to prove.
 * Authorities are read each time, so that a renewed one counts at the next login. Revocation is not looked up.
 */
export function certificateProblem(
  { tenant, user }: Principal,
  certificate: X509Certificate,
  now: Date,
): string | null {
  if (now < certificate.validFromDate || now > certificate.validToDate) return 'it is not valid now';
  if (user.certificates.includes(fingerprintOf(certificate))) return null;
  if (certificate.ca) return 'it is an authority’s own';
  // Absent: any use (RFC 5280 4.2.1.12).
  const purposes = certificate.keyUsage as readonly string[] | undefined;
  if (purposes !== undefined && !purposes.includes(CLIENT_AUTH)) return 'it is not for client authentication';
  const login = user.login.toLowerCase();
  const named = [user.login, login].some(
    (address) => certificate.checkEmail(address, { subject: 'never' }) !== undefined,
  );
  if (!named) return `it does not name ${user.login} as e-mail address`;
  const issued = tenant.privateMail.certificateAuthorities.some((file) => {
    const authority = new X509Certificate(readFileSync(file));
    return (
      authority.ca &&
      now >= authority.validFromDate &&
      now <= authority.validToDate &&
      certificate.checkIssued(authority) &&
      certificate.verify(authority.publicKey)
    );
  });
  return issued ? null : 'no authority of the tenant issued it';
}
