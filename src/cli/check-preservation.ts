/** Is the evidence sealed and renewed in time, and do the time-stamping authorities answer? */
import { existsSync } from 'node:fs';
import { loadAlgorithms } from '../config/algorithms.ts';
import type { Config } from '../config/schema.ts';
import { readTrustFiles, revocationMemory } from '../pki/revocation-sources.ts';
import { verifyTimestamp } from '../pki/timestamp.ts';
import { firstExpiry } from '../preservation/renew.ts';
import type { StorePaths } from '../store/sqlite/open.ts';
import { openReader } from './reader.ts';

/** A look of a check; what it throws is a finding. */
export interface Look {
  readonly subject: string;
  /** @returns what was seen, in words; `warning`: it works, but is to be looked at */
  look(): Promise<{ readonly detail: string; readonly warning?: true }>;
}

const REACH_MS = 10_000;

export function preservationLooks({ preservation }: Config, paths: StorePaths): Look[] {
  const { seal, renewAhead, algorithms } = preservation;
  if (seal === undefined)
    return [
      {
        subject: 'seals',
        look: async () => ({
          warning: true,
          detail:
            'no preservation.seal: nothing but our own key says when the evidence was there, and it ends with SHA-256; name a time-stamping authority',
        }),
      },
    ];
  const looks: Look[] = seal.authorities.map(({ name, url }) => ({
    subject: `authority ${name}`,
    async look() {
      // Any answer will do: a time-stamp for trial may cost as much as one in earnest.
      const { status } = await fetch(url, {
        method: 'HEAD',
        redirect: 'manual',
        signal: AbortSignal.timeout(REACH_MS),
      }).catch((cause: Error) => {
        throw new Error(
          `${url} does not answer: ${(cause.cause as Error | undefined)?.message ?? cause.message}`,
        );
      });
      return { detail: `${url} answers (${status})` };
    },
  }));
  if (!existsSync(paths.file)) return looks;
  return [
    ...looks,
    {
      subject: 'seals',
      async look() {
        using reader = openReader(paths);
        const oldest = (await reader.unsealed())
          .filter(({ worthSealing }) => worthSealing)
          .map((range) => range.oldest)
          .sort()[0];
        if (oldest === undefined) return { detail: 'every entry is under a seal' };
        const detail = `the oldest entry under no seal is of ${oldest}`;
        return Date.now() - Date.parse(oldest) > seal.alarmAfter
          ? { warning: true, detail: `${detail}: evidence seal says why` }
          : { detail };
      },
    },
    {
      subject: 'renewal',
      async look() {
        using reader = openReader(paths);
        const trust = await readTrustFiles(seal.trustAnchors);
        // Whether a certificate was revoked is for evidence verify; this asks when it ends.
        const revocation = revocationMemory([]);
        const end = await firstExpiry({
          store: reader,
          authorities: { verify: (token, time) => verifyTimestamp({ token, trust, revocation, time }) },
          policy: loadAlgorithms(algorithms),
          known: new Map(),
        });
        if (end === null) return { detail: 'nothing is sealed yet' };
        const detail = `the first proof counts until ${end.toISOString().slice(0, 10)}`;
        if (end.getTime() < Date.now()) throw new Error(`${detail} and was not renewed: start the gateway`);
        return end.getTime() < Date.now() + renewAhead
          ? { warning: true, detail: `${detail}; its renewal is due` }
          : { detail };
      },
    },
  ];
}
