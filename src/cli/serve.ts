/** Runs a gateway in this process until it is told to stop. */
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import type { Config } from '../config/schema.ts';
import { type Gateway, startGateway } from '../gateway.ts';
import { createLog } from '../observe/log.ts';
import { type ExitCode, exit } from './exit.ts';

/** SIGTERM and `stop` promise an end within 10 s; the store needs no farewell, so what hangs is left. */
const drainMs = 8000;

export interface ServeOptions {
  readonly config: Config;
  readonly configFile: string;
  /** Reads the configuration again, for SIGHUP and `reload`. @throws ConfigError */
  readonly load: () => Config;
  /** Called once everything listens. */
  readonly onReady: (gateway: Gateway) => void;
  /** Ends the gateway as a failure when it resolves, with the reason. */
  readonly failure?: Promise<string>;
}

export async function serve({ config, configFile, load, onReady, failure }: ServeOptions): Promise<ExitCode> {
  const log = createLog(config.log.level);
  const signals = new AbortController();
  const told = Promise.race(
    ['SIGTERM', 'SIGINT'].map((name) => once(process, name, { signal: signals.signal }).then(() => name)),
  );
  told.catch(() => {}); // aborted below
  const gateway = await startGateway({ config, configFile, log, load });
  const hangUp = () => void gateway.reload();
  process.on('SIGHUP', hangUp);
  onReady(gateway);
  const reason = await Promise.race([
    told,
    gateway.stopRequested.then(() => 'stop'),
    ...(failure ? [failure.then((text) => new Error(text))] : []),
  ]);
  const failed = reason instanceof Error;
  if (failed) log.error({ reason: reason.message }, 'stopping');
  else log.info({ reason }, 'stopping');
  // A second signal ends the process at once, as it does by default.
  signals.abort();
  process.off('SIGHUP', hangUp);
  const outcome = await Promise.race([
    gateway.close().then(() => 'drained'),
    wait(drainMs, 'late', { ref: false }),
  ]);
  log.info({ outcome }, 'stopped');
  return failed ? exit.unavailable : exit.good;
}
