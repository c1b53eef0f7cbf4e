/**
 * Which provider a certificate may sign for. A path to an anchor says that somebody trusted signed, not that the
 * provider did that the message names: under one authority there are several, and each could sign as another. The
 * norm names no field of the certificate for that (IO 3.1.14), so the configuration does.
 */
import { matchesDomain } from '../demail/domains.ts';
import { readMetadata } from '../demail/metadata.ts';
import { parseAddressList } from '../mime/address.ts';
import type { HeaderField } from '../mime/header.ts';
import type { Certificate } from './certificate.ts';
import { check } from './check.ts';
import type { CheckResult } from './types.ts';

/** Attributes of a distinguished name that a pin may ask for. */
export const pinAttributes = ['CN', 'O', 'OU', 'C', 'L', 'organizationIdentifier', 'serialNumber'] as const;
type Attribute = (typeof pinAttributes)[number];
export type NameAttributes = Readonly<Partial<Record<Attribute, string | undefined>>>;

/** All that a pin says must fit. */
export interface SignerPin {
  /** Domain patterns of the provider: its servers, and the domain of its system addresses. */
  readonly domains: readonly string[];
  readonly subject?: NameAttributes | undefined;
  readonly issuer?: NameAttributes | undefined;
  /** Lower-case hex SHA-256 of certificates (DER). */
  readonly certificates?: readonly string[] | undefined;
}

const attributeIds: Record<Attribute, string> = {
  CN: '2.5.4.3',
  O: '2.5.4.10',
  OU: '2.5.4.11',
  C: '2.5.4.6',
  L: '2.5.4.7',
  organizationIdentifier: '2.5.4.97',
  serialNumber: '2.5.4.5',
};

/**
 * The domains of the provider that a message says it was signed by: X-de-mail-originator-provider, and of what a
 * provider writes itself (IO 3.4, 3.5) also the domain of From. Only fields that the signature covers are asked.
 */
export function claimedProviders(covered: readonly HeaderField[], bySystem: boolean): string[] {
  const { originatorProvider, from } = readMetadata(covered);
  const named = originatorProvider?.trim().toLowerCase();
  const system =
    bySystem && from !== null ? parseAddressList(from).map(({ domain }) => domain.toLowerCase()) : [];
  return [...new Set([...(named ? [named] : []), ...system])];
}

/** Does the certificate sign for each of these providers? Null where no pins are configured. */
export function checkPins(
  pins: readonly SignerPin[],
  signer: Certificate,
  providers: readonly string[],
): CheckResult | null {
  if (pins.length === 0) return null;
  const name = 'signer';
  if (providers.length === 0)
    return check(name, 'undecided', 'no covered header names the provider that signed', 'signer-unnamed');
  for (const provider of providers) {
    const shown = JSON.stringify(provider.slice(0, 189));
    const own = pins.filter(({ domains }) => matchesDomain(provider, domains));
    if (own.length === 0)
      return check(name, 'undecided', `no signer is configured for ${shown}`, 'signer-unpinned');
    if (!own.some((pin) => fits(pin, signer))) {
      const reason = `the certificate is none of those configured for ${shown}: another provider's, perhaps`;
      return check(name, 'failed', reason, 'signer-of-another');
    }
  }
  return check(name, 'passed', `the certificate is one of those configured for ${providers.join(', ')}`);
}

function fits({ subject, issuer, certificates }: SignerPin, { parsed, sha256 }: Certificate): boolean {
  if (certificates !== undefined && !certificates.includes(sha256)) return false;
  return has(parsed.subject, subject) && has(parsed.issuer, issuer);
}

type Name = Certificate['parsed']['subject'];

/** Every attribute that is asked for stands there with that value, and with no other. */
function has({ typesAndValues }: Name, wanted: NameAttributes = {}): boolean {
  return Object.entries(wanted).every(([attribute, value]) => {
    if (value === undefined) return true;
    const found = typesAndValues.filter(({ type }) => type === attributeIds[attribute as Attribute]);
    return found.length === 1 && String(found[0]!.value.valueBlock.value) === value;
  });
}
