/** Which addresses are De-Mail addresses: by domain patterns, and within the lengths of TR-01201 ACM. */
import { parseAddressList } from '../mime/address.ts';

export const MAX_LOCAL_PART = 64;
export const MAX_DOMAIN = 189;
export const MAX_ADDRESS = 253;

/**
 * Does a domain match one of the patterns? `*.de-mail.de` stands for every domain below, at any depth, but
 * not for `de-mail.de` itself; a pattern without `*.` stands for that name alone.
 */
export function matchesDomain(domain: string, patterns: readonly string[]): boolean {
  const name = domain.toLowerCase();
  return patterns.some((pattern) =>
    pattern.startsWith('*.')
      ? name.length > pattern.length - 1 && name.endsWith(pattern.slice(1).toLowerCase())
      : name === pattern.toLowerCase(),
  );
}

/** What makes an address unusable as a De-Mail address whatever its domain; null where nothing does. */
export type AddressProblem = 'malformed' | 'local-part-too-long' | 'domain-too-long' | 'address-too-long';

export function addressProblem(address: string): AddressProblem | null {
  if (address.length > 2 * MAX_ADDRESS) return 'address-too-long';
  const list = parseAddressList(address);
  const only = list[0];
  if (list.length !== 1 || only === undefined || only.address !== address.trim()) return 'malformed';
  // Names of hosts as in RFC 5321 4.1.2; De-Mail knows neither address literals nor characters beyond ASCII.
  if (!/^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*$/i.test(only.domain) || !/^[!-~ ]+$/.test(only.local)) {
    return 'malformed';
  }
  if (only.local.length > MAX_LOCAL_PART) return 'local-part-too-long';
  if (only.domain.length > MAX_DOMAIN) return 'domain-too-long';
  return only.address.length > MAX_ADDRESS ? 'address-too-long' : null;
}

/** A well-formed address whose domain counts as De-Mail. */
export function isDemailAddress(address: string, patterns: readonly string[]): boolean {
  return (
    addressProblem(address) === null &&
    matchesDomain(address.slice(address.lastIndexOf('@') + 1).trim(), patterns)
  );
}
