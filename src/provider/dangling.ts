/**
 * Intents that a kill left without an outcome. A login may have happened and served what lay there; copies may be
 * gone. Nobody can know, so that is what the outcome says, and operators are told.
 */
import type { Directory } from '../directory/directory.ts';
import type { DeletionIntentEntry, Entry, LoginIntentEntry } from '../evidence/entry.ts';
import type { Store } from '../store/store.ts';
import { pickedUpText } from './logins.ts';
import type { TellOperators } from './notices.ts';
import { incidentTexts } from './texts.ts';

export interface DanglingDeps {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly tenant: string;
  readonly tell: TellOperators;
}

/** Entries after an intent that are looked through for what its login brought. */
const longestLook = 10_000;

/** Call it before anything of the tenant starts: every intent that is open then was cut off. */
export async function settleCutOff(deps: DanglingDeps): Promise<void> {
  for (const intent of await deps.store.openIntents(deps.tenant)) {
    if (intent.kind === 'login-intent') await settleLogin(deps, intent);
    else await settleDeletion(deps, intent);
  }
}

async function settleLogin(deps: DanglingDeps, intent: Entry & LoginIntentEntry): Promise<void> {
  const { store, tenant } = deps;
  const { account, protocol, index } = intent;
  const recorded = protocol === 'imap' ? pickedUpText(tenant, await recordedSince(deps, index)) : '';
  const detail =
    'the gateway ended before the outcome: whether the login happened and what it served is unknown';
  await store.recordLoginOutcome(tenant, {
    account,
    protocol,
    intent: index,
    result: 'unknown',
    detail: recorded === '' ? detail : `${detail}; until then ${recorded}`,
  });
  const config = deps.directory().tenant(tenant);
  if (config === undefined) return;
  const text = incidentTexts.loginUnknown(`${tenant}/${index}`, protocol, intent.time);
  await deps.tell(config, { text, once: `login-unknown/${index}` });
}

/** What is still there is found, and tried again, at the next look; so nobody needs to act. */
async function settleDeletion(
  { store, tenant }: DanglingDeps,
  { account, folder, copies, index }: Entry & DeletionIntentEntry,
): Promise<void> {
  const detail = 'the gateway ended before the outcome: these copies may be gone';
  await store.recordDeletionOutcome(tenant, {
    account,
    folder,
    intent: index,
    result: 'unknown',
    copies,
    detail,
  });
}

async function recordedSince({ store, tenant }: DanglingDeps, intent: number): Promise<number[]> {
  const found: number[] = [];
  const end = Math.min((await store.head(tenant)).size, intent + 1 + longestLook);
  for (let index = intent + 1; index < end; index += 1) {
    const entry = await store.entry(tenant, index);
    if (entry !== null && 'source' in entry) found.push(index);
  }
  return found;
}
