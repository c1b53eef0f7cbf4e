/** What is inside a submission: malware, which refuses it, and signatures of the sender, which are recorded. */
import type { TenantConfig } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import { scanStaged } from '../inspection/scan-staged.ts';
import type { Scanner } from '../inspection/scanner.ts';
import { inspectSignatures } from '../inspection/sender-signatures.ts';
import type { Refusal, Store, Submission } from '../store/store.ts';

export interface InspectDeps {
  readonly store: Pick<Store, 'stage' | 'openStaged'>;
  /** Folder of the gateway's data. */
  readonly dataDir: string;
  /** Absent where no scanner is configured. */
  readonly scanner?: Scanner | undefined;
}

/** `dropSignatures` takes back what was staged for a submission that is not recorded after all. */
export type Inspected =
  | { readonly result: 'good'; readonly submission: Submission; dropSignatures(): Promise<void> }
  | { readonly result: 'malware'; readonly refusal: Refusal; readonly error: GatewayError };

/**
 * @throws GatewayError where the scanner is not there, or does not take a message of that size
 * @throws what the store throws
 */
export async function inspectSubmission(
  deps: InspectDeps,
  tenant: TenantConfig,
  submission: Submission,
  now: Date,
): Promise<Inspected> {
  const { message } = submission;
  const scan = deps.scanner === undefined ? null : await scanStaged(deps.store, deps.scanner, message);
  if (scan?.result === 'infected') {
    const { actor, listener, envelope, sender, header, attachments, options } = submission;
    return {
      result: 'malware',
      refusal: { actor, listener, envelope, sender, header, attachments, options, scan, message },
      error: new GatewayError('malware-found', scan.detail),
    };
  }
  const { signatures, abort } = await inspectSignatures(deps, tenant, message, now);
  return {
    result: 'good',
    submission: {
      ...submission,
      ...(signatures.length > 0 && { signatures }),
      ...(scan !== null && {
        scan:
          scan.result === 'too-large' ? { result: 'not-scanned', detail: 'too large for the scanner' } : scan,
      }),
    },
    dropSignatures: abort,
  };
}
