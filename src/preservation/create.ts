/** Preservation as the configuration wants it. */
import { loadAlgorithms } from '../config/algorithms.ts';
import { readSecret } from '../config/files.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import { revocationNetwork } from '../pki/revocation-network.ts';
import { readTrustFiles, revocationAtHand } from '../pki/revocation-sources.ts';
import type { Store } from '../store/store.ts';
import { type Authorities, createAuthorities } from './authorities.ts';
import {
  type IncidentBook,
  type Preservation,
  type PreservationSettings,
  startPreservation,
} from './preservation.ts';
import { renewalWorkshop } from './renewal-work.ts';

type SealConfig = NonNullable<Config['preservation']['seal']>;

/** @throws Error where an anchor or a secret cannot be read */
export async function authoritiesOf(
  seal: SealConfig,
  dataDir: string,
  now: () => number,
): Promise<Authorities> {
  const { folder, network, privateAddresses } = seal.revocation;
  return createAuthorities({
    servers: seal.authorities.map(({ name, url, policy, authorization, privateAddress }) => ({
      name,
      url,
      ...(policy !== undefined && { policy }),
      ...(authorization && { authorization: readSecret(authorization) }),
      allowPrivate: privateAddress,
    })),
    trust: await readTrustFiles(seal.trustAnchors),
    revocation: await revocationAtHand(
      dataDir,
      folder,
      network ? revocationNetwork({ allowPrivate: privateAddresses }) : undefined,
    ),
    now,
  });
}

export function settingsOf(
  { renewAhead, algorithms }: Config['preservation'],
  seal: SealConfig,
): PreservationSettings {
  return {
    every: seal.every,
    alarmAfter: seal.alarmAfter,
    digest: seal.digest,
    renewAhead,
    policy: loadAlgorithms(algorithms),
  };
}

interface CreateDeps {
  readonly config: Config;
  readonly store: Store;
  readonly incidents: IncidentBook;
  readonly clock: Clock;
  readonly log: Log;
}

/** Null where no time-stamping authority is configured: then nothing is sealed, and `check` says so. */
export async function createPreservation(deps: CreateDeps): Promise<Preservation | null> {
  const { config, clock } = deps;
  const { seal } = config.preservation;
  if (seal === undefined) return null;
  const authorities = await authoritiesOf(seal, config.data, clock.now);
  return startPreservation({
    ...deps,
    workshop: renewalWorkshop(config.data),
    authorities,
    settings: settingsOf(config.preservation, seal),
  });
}
