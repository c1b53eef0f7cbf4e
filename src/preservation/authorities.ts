/** The time-stamping authorities of the configuration: asked in order, checked, their revocation lists fetched. */
import type { ArchiveDigest } from '../evidence/entry.ts';
import { type TimestampReport, verifyTimestamp } from '../pki/timestamp.ts';
import { requestTimestamp, type TimestampFailure, type TimestampServer } from '../pki/timestamp-client.ts';
import { completeToken } from '../pki/timestamp-completion.ts';
import type { RevocationSource, TrustStore } from '../pki/types.ts';

export interface Stamp {
  /** Name of the authority in the configuration. */
  readonly authority: string;
  readonly token: Buffer;
  readonly response: Buffer;
  /** RFC 3339. */
  readonly genTime: string;
  readonly failures: readonly TimestampFailure[];
}

export interface Authorities {
  /** @throws Error naming every authority and what it did, where none gave a token */
  stamp(digest: ArchiveDigest, value: Buffer): Promise<Stamp>;
  /**
   * The token with the lists by which its path was not revoked, each issued after genTime.
   * @returns the reason in words where there is none yet
   */
  complete(token: Buffer): Promise<{ readonly token: Buffer } | { readonly missing: string }>;
  /** As of a moment: is it valid, and until when do its certificates and algorithms count? */
  verify(token: Buffer, time: Date): Promise<TimestampReport>;
}

export interface AuthorityOptions {
  readonly servers: readonly (TimestampServer & { readonly name: string })[];
  readonly trust: TrustStore;
  /** CRLs: of a folder, and from the network. */
  readonly revocation: RevocationSource;
  readonly now: () => number;
}

export function createAuthorities({ servers, trust, revocation, now }: AuthorityOptions): Authorities {
  // Embedded OCSP responses break one strict verifier or another; lists are read by all.
  const lists: RevocationSource = {
    find: async (query) => (await revocation.find(query)).filter(({ kind }) => kind === 'crl'),
  };
  return {
    async stamp(digest, value) {
      const outcome = await requestTimestamp({
        servers,
        hash: digest,
        digest: value,
        trust,
        revocation: lists,
        now: () => new Date(now()),
      });
      if (!outcome.ok)
        throw new Error(
          outcome.failures.map(({ url, reason }) => `${nameOf(url)}: ${reason}`).join('; ') ||
            'no time-stamping authority is configured',
        );
      return {
        authority: nameOf(outcome.server.url),
        token: outcome.token,
        response: outcome.response,
        genTime: outcome.report.token!.genTime.toISOString(),
        failures: outcome.failures,
      };
    },
    async complete(token) {
      const completed = await completeToken(token, { trust, revocation: lists, time: new Date(now()) });
      return completed.ok ? { token: completed.token } : { missing: completed.reason };
    },
    verify: (token, time) => verifyTimestamp({ token, trust, revocation: lists, time }),
  };

  function nameOf(url: string): string {
    return servers.find((server) => server.url === url)?.name ?? url;
  }
}
