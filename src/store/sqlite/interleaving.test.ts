/** Whatever order the provider's messages come in: the same facts stand, and every row says what its entry says. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ConfirmationType } from '../../evidence/entry.ts';
import { verifyStore } from '../../evidence/verify.ts';
import { createIndexer } from '../../mime/structure.ts';
import type { StagedMessage, Store } from '../store.ts';
import { openAudit } from './audit.ts';
import { openSqliteStore, storePaths } from './open.ts';

const tenant = 'stadt-waren';
const max = 'max@buerger.de-mail.example';
const erna = 'erna@buerger.de-mail.example';
const otto = 'otto@buerger.de-mail.example';
const open = [max, erna];
const hour = 3_600_000;
let directory: string;
let store: Store;
let now = Date.UTC(2026, 0, 5, 8);
let letters = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'interleaving-'));
  store = await openSqliteStore({ directory, originPrefix: 'test.example', clock: () => now });
  await store.openTenant(tenant);
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

async function stage(text: string): Promise<StagedMessage> {
  const writer = store.stage(tenant);
  const indexer = createIndexer();
  indexer.push(Buffer.from(text));
  await writer.write(Buffer.from(text));
  return { object: await writer.finish(), index: indexer.finish() };
}

/** A letter to two open recipients and a blind one, whose hand-over has begun. */
async function submit(): Promise<number> {
  const n = ++letters;
  const [top, body] = [`Message-ID: <${n}@x>\r\n\r\n`, `Text ${n}\r\n`];
  const { letter } = await store.acceptSubmission(tenant, {
    actor: { type: 'user', name: 'erika' },
    listener: 'submission',
    envelope: { from: 'erika@x', recipients: [...open, otto].map((address) => ({ address })) },
    sender: 'erika@x.de-mail.example',
    header: { messageId: `<${n}@x>`, subject: 'Bescheid', from: 'erika@x', date: null },
    attachments: [],
    options: ['dispatch', 'receipt', 'retrieval'],
    removedHeaders: [],
    transactions: [
      { id: 0, privateId: `p${n}`, to: open, cc: [], bcc: [] },
      { id: 1, privateId: `q${n}`, to: [], cc: [], bcc: [otto] },
    ],
    message: await stage(`${top}${body}`),
    deposits: [],
  });
  for (const [transaction, recipients] of [open, [otto]].entries()) {
    const header = `X: ${n}.${transaction}\r\n\r\n`;
    const handed = createHash('sha256').update(`${header}${body}`);
    await store.recordHandoverIntent(tenant, {
      ...{ letter, transaction, attempt: 1, endpoint: 'e', recipients, edits: [] },
      handed: {
        sha256: handed.digest('hex'),
        size: header.length + body.length,
        header: (await stage(header)).object,
        bodyFrom: top.length,
      },
    });
  }
  return letter;
}

/** What happens to a letter. `later`: verdicts after the confirmation came. */
type Happening =
  | { readonly kind: 'outcome'; readonly transaction: 0 | 1 }
  | { readonly kind: 'silence' }
  | {
      readonly kind: 'confirmation';
      readonly type: ConfirmationType;
      readonly recipient: string;
      readonly counts: 'yes' | 'provisional' | 'no';
      readonly later: readonly ('valid' | 'invalid' | 'counts')[];
    };

const confirmation = fc.record({
  kind: fc.constant('confirmation' as const),
  type: fc.constantFrom<ConfirmationType[]>('dispatch', 'receipt', 'retrieval'),
  recipient: fc.constantFrom(max, erna, otto),
  counts: fc.constantFrom('yes' as const, 'provisional' as const, 'no' as const),
  later: fc.constantFrom<Extract<Happening, { later: unknown }>['later'][]>(
    [],
    ['valid'],
    ['invalid'],
    ['counts'],
    ['counts', 'invalid'],
  ),
});

const transactionOf = (recipient: string) => (recipient === otto ? 1 : 0);

async function take(
  letter: number,
  of: Happening,
  step: number,
  about: number | null,
): Promise<number | null> {
  if (of.kind === 'outcome') {
    const recipients = of.transaction === 0 ? open : [otto];
    await store.recordHandoverOutcome(tenant, {
      ...{ letter, transaction: of.transaction, attempt: 1, result: 'done', reply: '250 ok' },
      recipients: recipients.map((address) => ({ address, result: 'accepted', reply: '250 ok' })),
      peer: { endpoint: 'e' },
    });
    return null;
  }
  if (of.kind === 'silence') {
    await fallSilent();
    return null;
  }
  const { type, recipient, counts, later } = of;
  const transaction = transactionOf(recipient);
  if (step === 0) {
    const fetched = await store.recordFetched(tenant, {
      kind: 'confirmation',
      staged: await stage(`Subject: ${type}\r\nX: ${(await store.head(tenant)).size}\r\n\r\n`),
      source: { account: 'a', folder: 'INBOX', uidValidity: '1', uid: (await store.head(tenant)).size },
      header: { messageId: null, subject: null, from: null, date: null },
      demail: {
        ...{ messageType: null, messageId: null, privateId: null, sender: null, authLevel: null },
        ...{ originatorProvider: null, options: [], chosenRecipients: [], envelopeTo: [] },
      },
      attachments: [],
      verdict: counts === 'yes' ? 'valid' : 'indeterminate',
      ...{ confirmation: type, counts, letter, transaction, recipients: [recipient] },
      ...{ statedTime: null, matchedBy: 'private-id', deposits: [] },
    });
    return fetched!.index;
  }
  const verdict = later[step - 1]!;
  const confirms = {
    confirmation: type,
    transaction,
    statedTime: null,
    comparisons: [],
    counts: 'yes',
  } as const;
  const counted = counts !== 'no' || later.slice(0, step - 1).includes('counts');
  await store.recordVerdict(tenant, {
    ...{ about: about!, letter, checks: [], material: [], nextAttempt: null },
    recipients: counted || verdict === 'counts' ? [recipient] : [],
    verdict: verdict === 'invalid' ? 'invalid' : 'valid',
    ...(verdict === 'counts' && !counted ? { confirms } : {}),
  });
  return about;
}

/** As the link does it: what is awaited too long becomes an entry. */
async function fallSilent(): Promise<void> {
  now += 24 * hour;
  for (const type of ['dispatch', 'receipt', 'retrieval'] as const) {
    for (const { letter, recipient, since } of await store.awaited(tenant, type, now - hour, 1000)) {
      const overdue = { letter, confirmation: type, recipients: [recipient] };
      await store.recordOverdue(tenant, { ...overdue, since: new Date(since).toISOString() });
    }
  }
}

/** Lets everything happen in the order of `picks`, then waits; what stands of the letter at last. */
async function play(what: readonly Happening[], picks: readonly number[]): Promise<string[]> {
  const letter = await submit();
  const steps = what.map((of) => (of.kind === 'confirmation' ? 1 + of.later.length : 1));
  const done = what.map(() => 0);
  const about: (number | null)[] = what.map(() => null);
  for (const i of [
    ...picks.map((p) => p % what.length),
    ...steps.flatMap((n, i) => Array<number>(n).fill(i)),
  ]) {
    if (done[i]! >= steps[i]!) continue;
    about[i] = await take(letter, what[i]!, done[i]!, about[i]!);
    done[i]! += 1;
  }
  await fallSilent();
  const [found] = await store.search({ tenant, messageId: `<${letters}@x>` });
  const standing = found!.recipients.flatMap(({ address, facts }) =>
    facts.map((f) => `${address} ${f.fact}`),
  );
  for (const fact of new Set(standing.map((name) => name.split(' ')[1]!)))
    expect(await store.search({ tenant, fact, messageId: `<${letters}@x>` })).toHaveLength(1);
  return [...new Set(standing)].sort();
}

const outcomes: readonly Happening[] = [
  { kind: 'outcome', transaction: 0 },
  { kind: 'outcome', transaction: 1 },
];

describe('the store', () => {
  it('ends with the same facts in whatever order everything came, and with the rows of its entries', async () => {
    const happenings = fc.array(
      fc.oneof({ weight: 5, arbitrary: confirmation }, fc.constant({ kind: 'silence' as const })),
      {
        maxLength: 6,
      },
    );
    const picks = fc.array(fc.nat(50), { minLength: 24, maxLength: 24 });
    await fc.assert(
      fc.asyncProperty(happenings, picks, picks, async (what, first, second) => {
        const all = [...outcomes, ...what];
        expect(await play(all, first)).toEqual(await play(all, second));
      }),
      { numRuns: 8 },
    );
    using audit = openAudit(storePaths({ directory }));
    expect((await verifyStore(audit)).findings).toEqual([]);
  });

  it('awaits again what a confirmation had said that turns out invalid', async () => {
    const disputed = (counts: 'provisional' | 'no'): Happening => ({
      ...{ kind: 'confirmation', type: 'receipt', recipient: max, counts, later: ['invalid'] },
    });
    const facts = await play([...outcomes, disputed('provisional'), { kind: 'silence' }], [0, 1, 2, 3, 2]);
    expect(facts.filter((f) => f.startsWith(max))).toEqual(
      expect.arrayContaining([`${max} disputed`, `${max} receipt-overdue`]),
    );
    const never = await play([...outcomes, disputed('no')], []);
    expect(never).toContain(`${max} receipt-overdue`);
    expect(never).not.toContain(`${max} disputed`);
  });
});
