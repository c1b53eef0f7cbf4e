/** Malware in a message that is about to be taken. */
import { GatewayError } from '../errors.ts';
import type { StagedMessage, Store } from '../store/store.ts';
import { ClamdUnavailable } from './clamd.ts';
import type { Scanned, Scanner } from './scanner.ts';

/**
 * Scans what is staged, before any command names it.
 * @throws GatewayError `scanner-unavailable`, and `malware-not-scanned` where the configuration lets nothing through
 * that is too large for the scanner
 */
export async function scanStaged(
  store: Pick<Store, 'openStaged'>,
  scanner: Scanner,
  message: StagedMessage,
): Promise<Scanned> {
  const scanned = await scanner.scan(store.openStaged(message.object).read()).catch((error: unknown) => {
    throw error instanceof ClamdUnavailable
      ? new GatewayError('scanner-unavailable', undefined, error)
      : error;
  });
  if (scanned.result === 'too-large' && scanner.config.tooLarge === 'hold')
    throw new GatewayError('malware-not-scanned');
  return scanned;
}
