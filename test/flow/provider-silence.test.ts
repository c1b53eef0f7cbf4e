/** A confirmation that stays out: recorded and told once, and found by a search. */
import { describe, expect, it } from 'vitest';
import { INBOX } from '../../src/directory/mailboxes.ts';
import type { ConfirmationType } from '../../src/evidence/entry.ts';
import { silentLog } from '../../src/observe/log.ts';
import { createManualClock } from '../../src/observe/testing/manual-clock.ts';
import { createReports } from '../../src/provider/reports.ts';
import { startSilence } from '../../src/provider/silence.ts';
import { stageBytes, stageMessage } from '../../src/provider/staging.ts';
import { testDirectory } from '../../src/provider/testing/tenants.ts';
import { bodyOf, erika, erna, headerOf, max, openWorld, type World } from './provider-world.ts';

const hour = 3_600_000;

async function handOver(w: World, letter: number, recipients: readonly string[]): Promise<void> {
  const header = await stageBytes(w.store, 'stadt', Buffer.from('X: y\r\n\r\n'));
  const common = { letter, transaction: 0, attempt: 1 };
  await w.store.recordHandoverIntent('stadt', {
    ...common,
    endpoint: 'smtp.provider.example:465',
    recipients,
    handed: { sha256: 'a'.repeat(64), size: 8, header, bodyFrom: 0 },
    edits: [],
  });
  await w.store.recordHandoverOutcome('stadt', {
    ...common,
    result: 'done',
    recipients: recipients.map((address) => ({ address, result: 'accepted', reply: '250 ok' })),
    reply: '250 ok',
    peer: { endpoint: 'smtp.provider.example:465' },
  });
}

async function confirm(
  w: World,
  letter: number,
  confirmation: ConfirmationType,
  recipients: readonly string[],
  counts: 'yes' | 'no',
): Promise<void> {
  const bytes = Buffer.from(`Subject: ${confirmation} ${recipients} ${counts}\r\n\r\n`);
  const staged = await stageMessage(w.store, 'stadt', [bytes]);
  const uid = (await w.store.head('stadt')).size;
  await w.store.recordFetched('stadt', {
    kind: 'confirmation',
    staged,
    source: { account: 'stadt', folder: 'INBOX', uidValidity: '1', uid },
    header: { messageId: null, subject: null, from: null, date: null },
    demail: {
      messageType: null,
      messageId: null,
      privateId: null,
      sender: null,
      authLevel: null,
      originatorProvider: null,
      options: [],
      chosenRecipients: [],
      envelopeTo: [],
    },
    attachments: [],
    verdict: 'valid',
    confirmation,
    counts,
    letter,
    transaction: 0,
    recipients,
    statedTime: null,
    matchedBy: 'private-id',
    deposits: [],
  });
}

function silenceOf(w: World, clock: ReturnType<typeof createManualClock>) {
  const tenants = testDirectory();
  const directory = () => tenants;
  const base = {
    store: w.store,
    directory,
    tenant: 'stadt',
    clock,
    hostname: 'gateway.example',
    log: silentLog(),
  };
  return startSilence({ ...base, reports: createReports(base) });
}

describe('silence', () => {
  it('is an event of its own time for each type, told to the sender once, and searchable', async () => {
    const clock = createManualClock();
    await using w = await openWorld({}, clock);
    const letter = await w.submit({
      rcpt: [max, erna],
      to: `${max}, ${erna}`,
      options: ['dispatch', 'receipt'],
    });
    await handOver(w, letter, [max, erna]);
    const silence = silenceOf(w, clock);
    const facts = async () =>
      (await w.store.facts('stadt', letter))
        .filter(({ fact }) => fact.endsWith('-overdue'))
        .map(({ fact, recipient }) => `${recipient.split('.')[0]} ${fact}`)
        .sort();
    await clock.advance(hour - 60_000);
    await silence.look();
    expect(await facts()).toEqual([]);
    await clock.advance(120_000);
    await silence.look();
    expect(await facts()).toEqual(['erna dispatch-overdue', 'max dispatch-overdue']);

    await confirm(w, letter, 'receipt', [max], 'yes');
    // What does not hold ends no silence.
    await confirm(w, letter, 'receipt', [erna], 'no');
    await clock.advance(8 * hour);
    await silence.look();
    await silence.look();
    expect((await facts()).filter((f) => f.includes('receipt'))).toEqual(['erna receipt-overdue']);
    const found = await w.store.search({ tenant: 'stadt', fact: 'receipt-overdue' });
    expect(found.map(({ index }) => index)).toContain(letter);
    const told = await w.mails(erika, INBOX);
    expect(told.map((m) => headerOf(m, 'In-Reply-To')).filter(Boolean)).toHaveLength(2);
    expect(bodyOf(told[1]!)).toContain(erna);
    expect(bodyOf(told[1]!)).not.toContain(max);
    await silence.close();
  });

  it('is none where the confirmation came before our own hand-over was recorded', async () => {
    const clock = createManualClock();
    await using w = await openWorld({}, clock);
    const letter = await w.submit({ options: ['dispatch'] });
    await confirm(w, letter, 'dispatch', [max], 'yes');
    await handOver(w, letter, [max]);
    const silence = silenceOf(w, clock);
    await clock.advance(24 * hour);
    await silence.look();
    expect((await w.store.facts('stadt', letter)).map((f) => f.fact)).not.toContain('dispatch-overdue');
    await silence.close();
  });
});
