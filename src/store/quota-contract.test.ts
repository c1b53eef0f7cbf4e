/** The daily quota, as every engine of the store keeps it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createIndexer } from '../mime/structure.ts';
import { openSqliteStore } from './sqlite/open.ts';
import type { DailyQuota, Store } from './store.ts';

const tenant = 'stadt';
const noon = Date.parse('2026-11-24T12:00:00Z');
const since = Date.parse('2026-11-23T23:00:00Z');

describe('the daily quota', () => {
  let directory: string;
  let store: Store;
  let now: number;
  let letters = 0;

  const open = async () => {
    store = await openSqliteStore({ directory, originPrefix: 'gateway.example', clock: () => now });
    for (const id of [tenant, 'dorf']) await store.openTenant(id);
  };
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'quota-'));
    now = noon;
    await open();
  });
  afterEach(async () => {
    await store[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  /** One hand-over for `open` recipients, one for each of `blind`; resolves with `accepted` or the refusal's detail. */
  async function submit(quota: DailyQuota | undefined, open = 1, blind = 0, of = tenant): Promise<string> {
    letters += 1;
    const letter = letters;
    const address = (i: number) => `max${i}@buerger.de-mail.example`;
    const bytes = Buffer.from(`Subject: ${letter}\r\n\r\nx\r\n`);
    const writer = store.stage(of);
    const indexer = createIndexer();
    indexer.push(bytes);
    await writer.write(bytes);
    const to = Array.from({ length: open }, (_, i) => address(i));
    const bcc = Array.from({ length: blind }, (_, i) => address(open + i));
    try {
      await store.acceptSubmission(of, {
        actor: { type: 'user', name: 'erika@stadt.example' },
        listener: 'submission',
        envelope: { from: 'erika@stadt.example', recipients: [...to, ...bcc].map((a) => ({ address: a })) },
        sender: 'erika@stadt.de-mail.example',
        header: { messageId: null, subject: null, from: null, date: null },
        attachments: [],
        options: [],
        removedHeaders: [],
        transactions: [
          { id: 0, privateId: `p${letter}.0`, to, cc: [], bcc: [] },
          ...bcc.map((a, i) => ({ id: i + 1, privateId: `p${letter}.${i + 1}`, to: [], cc: [], bcc: [a] })),
        ],
        message: { object: await writer.finish(), index: indexer.finish() },
        deposits: [],
        ...(quota && { dailyQuota: quota }),
      });
      return 'accepted';
    } catch (error) {
      return `${(error as { code?: string }).code}: ${(error as { detail?: string }).detail}`;
    }
  }

  it('counts hand-overs and recipients, of this tenant alone, also over a restart', async () => {
    const quota = { since, messages: 5, recipients: 8 };
    expect(await submit(undefined, 9, 9, 'dorf')).toBe('accepted');
    expect(await submit(quota, 3)).toBe('accepted');
    // An open one and two blind ones: three hand-overs.
    expect(await submit(quota, 1, 2)).toBe('accepted');
    expect(await submit(quota, 3)).toBe('daily-quota: recipients 6');
    await store[Symbol.asyncDispose]();
    await open();
    expect(await submit(quota, 1, 1)).toBe('daily-quota: messages 4');
    expect(await submit(quota, 2)).toBe('accepted');
    expect(await submit(quota)).toBe('daily-quota: messages 5');
    // Raised by the operator, it counts on.
    expect(await submit({ since, messages: 6, recipients: 9 })).toBe('accepted');
  });

  it('gives the last one to one of those who come at once', async () => {
    const quota = { since, messages: 3, recipients: 300 };
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => submit(quota)));
    expect(outcomes.filter((outcome) => outcome === 'accepted')).toHaveLength(3);
    expect(new Set(outcomes)).toEqual(new Set(['accepted', 'daily-quota: messages 3']));
  });

  it('begins anew with the day, however much lies before it', async () => {
    now = since - 1;
    for (let i = 0; i < 4; i += 1) expect(await submit(undefined)).toBe('accepted');
    now = since;
    expect(await submit({ since, messages: 1, recipients: 9 })).toBe('accepted');
    now = noon;
    expect(await submit({ since, messages: 1, recipients: 9 })).toBe('daily-quota: messages 1');
    const tomorrow = since + 24 * 3_600_000;
    now = tomorrow;
    expect(await submit({ since: tomorrow, messages: 1, recipients: 9 })).toBe('accepted');
  });
});
