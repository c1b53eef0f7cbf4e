/** Which hosts may relay without a login: by address or by the fingerprint of their certificate. */
import { createHash } from 'node:crypto';
import { BlockList, isIP } from 'node:net';
import type { RelayConfig } from '../config/schema.ts';

export interface RelayAdmission {
  /**
   * The relay that this peer is, or undefined. A certificate is looked at first: it says more than an
   * address. Its chain and dates are not: the fingerprint names one key, and TLS has proven it.
   */
  admit(address: string, certificate: Buffer | undefined): RelayConfig | undefined;
  /** Another list counts from now on. */
  replace(relays: readonly RelayConfig[]): void;
}

/** Prepares the lists once. */
export function createRelayAdmission(relays: readonly RelayConfig[]): RelayAdmission {
  let { byCertificate, byAddress } = listsOf(relays);
  return {
    admit(address, certificate) {
      const named = certificate && byCertificate.get(createHash('sha256').update(certificate).digest('hex'));
      if (named) return named;
      const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
      const family = isIP(plain);
      if (family === 0) return undefined;
      return byAddress.find(({ list }) => list.check(plain, family === 4 ? 'ipv4' : 'ipv6'))?.relay;
    },
    replace(next) {
      ({ byCertificate, byAddress } = listsOf(next));
    },
  };
}

function listsOf(relays: readonly RelayConfig[]) {
  return {
    byCertificate: new Map(
      relays.flatMap((relay) => relay.certificates.map((fingerprint) => [fingerprint, relay] as const)),
    ),
    byAddress: relays.map((relay) => ({ relay, list: blockList(relay.addresses) })),
  };
}

function blockList(addresses: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of addresses) {
    const [address = '', bits] = entry.split('/');
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}
