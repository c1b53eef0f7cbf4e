/** NOTIFY=SUCCESS (RFC 3461): what the sender's own client is told, and the confirmation beside it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIRMATIONS, INBOX } from '../../src/directory/mailboxes.ts';
import type { DispatchOption, Entry, NoticeEntry } from '../../src/evidence/entry.ts';
import type { ProviderLink } from '../../src/provider/link.ts';
import {
  erika,
  erna,
  headerOf,
  max,
  openSimulator,
  openWorld,
  type SimulatedProvider,
  type World,
} from './provider-world.ts';

let provider: SimulatedProvider;
beforeAll(async () => {
  provider = await openSimulator();
});
afterAll(() => provider[Symbol.asyncDispose]());

const world = async () => openWorld({ provider: await provider.accounts() });
const success = (address: string, orcpt?: string) => ({
  address,
  notify: ['SUCCESS', 'FAILURE'],
  ...(orcpt === undefined ? {} : { orcpt }),
});

async function noticesOf(w: World, letter: number): Promise<(Entry & NoticeEntry)[]> {
  return (await w.store.timeline('stadt', letter)).filter((e) => e.kind === 'notice');
}

/** `action recipient` of each report about the letter, sorted. */
async function toldOf(w: World, letter: number): Promise<string[]> {
  const notices = await noticesOf(w, letter);
  return notices.map(({ about, recipients }) => `${about} ${recipients?.join(',')}`).sort();
}

async function confirmationsOf(w: World, letter: number) {
  return (await w.store.timeline('stadt', letter)).filter((e) => e.kind === 'confirmation');
}

/** Everything the provider has to say about what was sent lies in the store. */
async function allFetched(w: World, link: ProviderLink, letter: number, confirmations: number) {
  await w.until(async () => (await w.store.openTransactions('stadt')).length === 0);
  await provider.simulator.settled();
  await link.fetchNow('stadt');
  await w.until(async () => (await confirmationsOf(w, letter)).length >= confirmations);
}

describe('a report of success', () => {
  it('is delivered by the receipt confirmation, with what RFC 3461 wants kept, beside the confirmation', async () => {
    await using w = await world();
    const letter = await w.submit({
      rcpt: [success(max, 'rfc822;Max+Mustermann@buerger.de-mail.example'), erna],
      to: `${max}, ${erna}`,
      options: ['dispatch', 'receipt'],
      envid: 'QQ+314159',
      ret: 'FULL',
      subject: 'Bescheid 7',
      body: 'der ganze Text\r\n',
    });
    const link = await w.startLink();
    await allFetched(w, link, letter, 3);
    expect(await toldOf(w, letter)).toEqual([`delivered ${max}`]);

    const reports = (await w.mails(erika, INBOX)).filter((m) =>
      headerOf(m, 'Content-Type')?.startsWith('multipart/report'),
    );
    expect(reports).toHaveLength(1);
    const text = reports[0]!.toString('utf8');
    expect(text).toContain('Original-Envelope-Id: QQ+314159\r\n');
    expect(text).toContain('Original-Recipient: rfc822; Max+Mustermann@buerger.de-mail.example\r\n');
    expect(text).toContain(`Final-Recipient: rfc822; ${max}\r\nAction: delivered\r\nStatus: 2.0.0\r\n`);
    expect(text).not.toContain(erna.split('@')[0]!.concat('@buerger.de-mail.example\r\nAction'));
    // RFC 3461 4.3: RET=FULL is for failures.
    expect(text).toContain('Subject: Bescheid 7');
    expect(text).not.toContain('der ganze Text');

    const kept = await w.mails(erika, CONFIRMATIONS);
    expect(kept.map((m) => headerOf(m, 'X-de-mail-message-type')).sort()).toEqual([
      'confirmation of dispatch',
      'confirmation of receipt',
      'confirmation of receipt',
    ]);
    // In one commit with the confirmation, right behind it.
    const [notice] = await noticesOf(w, letter);
    const before = (await confirmationsOf(w, letter)).filter(({ index }) => index < notice!.index).at(-1);
    expect(before).toMatchObject({
      confirmation: 'receipt',
      recipients: [max],
      counts: expect.not.stringMatching('no'),
    });
  });

  it.each<[string, DispatchOption[], number, string[]]>([
    ['relayed by the dispatch confirmation', ['dispatch'], 1, [`relayed ${erna}`, `relayed ${max}`]],
    ['delivered, without a dispatch confirmation', ['receipt'], 2, [`delivered ${erna}`, `delivered ${max}`]],
    ['relayed by the hand-over where nothing is confirmed', [], 0, [`relayed ${erna}`, `relayed ${max}`]],
  ])('is %s', async (_, options, confirmations, expected) => {
    await using w = await world();
    const letter = await w.submit({
      rcpt: [success(max), success(erna)],
      to: `${max}, ${erna}`,
      options,
    });
    const link = await w.startLink();
    await allFetched(w, link, letter, confirmations);
    expect(await toldOf(w, letter)).toEqual(expected);
  });

  it('comes once, however often and in whatever order confirmations come, and over restarts', async () => {
    await using w = await world();
    const options: DispatchOption[] = ['dispatch', 'receipt'];
    const letter = await w.submit({ rcpt: [success(max)], options });
    const first = await w.startLink();
    await allFetched(w, first, letter, 2);
    await first.close();
    const originals = await Promise.all(
      (await confirmationsOf(w, letter)).map(({ source }) =>
        provider.simulator.read('stadt', source.folder, source.uid),
      ),
    );
    // A line above changes nothing that is signed: each is another message that counts.
    for (const [i, bytes] of [...originals, ...originals].reverse().entries()) {
      await provider.simulator.deposit('stadt', Buffer.concat([Buffer.from(`X-Again: ${i}\r\n`), bytes]));
    }
    const second = await w.startLink();
    await allFetched(w, second, letter, 6);
    const confirmations = await confirmationsOf(w, letter);
    expect(confirmations.map(({ counts }) => counts)).not.toContain('no');
    expect(await toldOf(w, letter)).toEqual([`delivered ${max}`]);
  });

  it('does not follow from a confirmation that does not hold', async () => {
    await using w = await world();
    provider.simulator.faults.lies = ['hash-bh'];
    try {
      const letter = await w.submit({ rcpt: [success(max)], options: ['dispatch', 'receipt'] });
      const link = await w.startLink();
      await allFetched(w, link, letter, 2);
      expect((await confirmationsOf(w, letter)).map(({ counts }) => counts)).toEqual(['no', 'no']);
      expect(await toldOf(w, letter)).toEqual([]);
    } finally {
      provider.simulator.faults.lies = [];
    }
  });
});
