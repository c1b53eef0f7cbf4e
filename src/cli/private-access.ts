/**
 * What the evidence commands show of private De-Mails (TR-01201 FU 3.3): everything to those whom the tenant's
 * configuration names, to others that there is one. This keeps honest operators from seeing what is not
 * theirs; whoever holds the keys can read the store without these commands.
 */
import { userInfo } from 'node:os';
import type { CheckFact, Entry, HeaderEdit } from '../evidence/entry.ts';
import { isPrivateEntry } from '../evidence/private.ts';
import type { LetterSummary, Reader } from '../store/store.ts';
import type { CommonOptions, Context } from './context.ts';
import { connectToGateway } from './control.ts';
import { privateOperatorsOf } from './place.ts';

const HIDDEN = '(hidden: private De-Mail)';

/** Tells of a tenant whether its private De-Mails may be shown to whoever runs this command. */
export type MayRead = (tenant: string) => boolean;

/**
 * A running gateway says whom its configuration names: a file that the caller chose does not count then.
 * @param data directory of the store
 */
export async function privateReader(
  data: string,
  options: CommonOptions,
  context: Context,
): Promise<MayRead> {
  const { username } = userInfo();
  using gateway = await connectToGateway(data);
  const named =
    gateway === null
      ? await privateOperatorsOf(options, context)
      : ((await gateway.ask({ command: 'private-operators' })) as Readonly<
          Record<string, readonly string[]>
        >);
  return (tenant) => named[tenant]?.includes(username) ?? false;
}

/** True where the message, or the letter that it belongs to, is private. */
export async function isPrivateMessage(
  reader: Pick<Reader, 'entry'>,
  { tenant, index, letter }: Pick<LetterSummary, 'tenant' | 'index' | 'letter'>,
): Promise<boolean> {
  for (const place of new Set([index, letter ?? index])) {
    const entry = await reader.entry(tenant, place);
    if (entry !== null && isPrivateEntry(entry)) return true;
  }
  return false;
}

/** The letter is private if any of its entries says so: a Sent copy, a confirmation, the message itself. */
export function isPrivateLetter(timeline: readonly Entry[]): boolean {
  return timeline.some(isPrivateEntry);
}

/** The entry without what it says of subject and content: sizes, digests, addresses and times stay. */
export function withoutContent(entry: Entry): Entry {
  const shown: Record<string, unknown> = { ...entry };
  if ('header' in entry) shown.header = { ...entry.header, subject: null };
  if ('attachments' in entry) shown.attachments = entry.attachments.map((a) => ({ ...a, name: null }));
  if ('checks' in entry && entry.checks) shown.checks = entry.checks.map(withoutReason);
  if ('comparisons' in entry && entry.comparisons) shown.comparisons = entry.comparisons.map(withoutReason);
  if ('signatures' in entry && entry.signatures)
    shown.signatures = entry.signatures.map(({ checks: _, ...rest }) => ({ ...rest, signer: null }));
  if (entry.kind === 'handover-intent') shown.edits = entry.edits.map(withoutValues);
  if (entry.kind === 'submission') {
    shown.removedHeaders = entry.removedHeaders.map(({ name }) => ({ name, value: HIDDEN }));
    if (entry.fileReference !== undefined) shown.fileReference = HIDDEN;
    if (entry.optionSources) shown.optionSources = entry.optionSources.map(({ value: _, ...rest }) => rest);
  }
  return shown as unknown as Entry;
}

/** Checks whose reasons speak of signatures, certificates, digests, ids and addresses, and of nothing else. */
const openChecks =
  /^(body-hash|covered-headers|signature|signing-duty|certificate-chain|revocation|xml-(signature|schema|certificate-chain|revocation)|original-(body|header)-hash|account|private-id|recipient)$/;

/** Other reasons quote what stands in headers. */
function withoutReason(check: CheckFact): CheckFact {
  return openChecks.test(check.name) ? check : { ...check, reason: HIDDEN };
}

/** What only the norm or the envelope says may be seen. */
const openFields = /^(x-de-mail-|from$|to$|cc$|bcc$|sender$|reply-to$|date$|message-id$)/i;

function withoutValues(edit: HeaderEdit): HeaderEdit {
  if (openFields.test(edit.name)) return edit;
  const { op, name, before, after } = edit;
  return {
    op,
    name,
    ...(before === undefined ? {} : { before: HIDDEN }),
    ...(after === undefined ? {} : { after: HIDDEN }),
  };
}
