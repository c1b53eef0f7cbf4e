/** Verdicts at fetch, and what binds a confirmation to its letter, between a real store and a simulated provider. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blockLength } from '../../src/demail/block.ts';
import { CONFIRMATIONS } from '../../src/directory/mailboxes.ts';
import type { ConfirmationEntry, Entry } from '../../src/evidence/entry.ts';
import {
  bodyOf,
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

type Confirmation = Entry & ConfirmationEntry;

async function world(more: object = {}): Promise<World> {
  return openWorld({ provider: await provider.accounts(more) });
}

async function confirmations(w: World, letter: number): Promise<Confirmation[]> {
  const timeline = await w.store.timeline('stadt', letter);
  return timeline.filter((e): e is Confirmation => e.kind === 'confirmation');
}

function failed(entry: Confirmation): string[] {
  return (entry.comparisons ?? []).filter((c) => c.result === 'failed').map((c) => c.name);
}

/** The provider's bytes of a letter's confirmation, as staff see them below the gateway's block. */
async function bytesOf(w: World, type: string, letter: number): Promise<Buffer> {
  const mail = (await w.mails(erika, CONFIRMATIONS)).find(
    (m) =>
      headerOf(m, 'X-Demail-Gateway-Letter') === `stadt/${letter}` &&
      headerOf(m, 'X-de-mail-message-type') === type,
  )!;
  return mail.subarray(blockLength(mail));
}

describe('a confirmation that holds', () => {
  it('counts, with every comparison, for open and blind recipients', async () => {
    await using w = await world({ sentFolder: 'Sent' });
    const letter = await w.submit({ rcpt: [max, erna], to: max, subject: 'Bescheid über Gebühren' });
    const link = await w.startLink();
    const found = await w.until(async () => {
      const list = await confirmations(w, letter);
      return list.length >= 4 && list;
    });
    for (const entry of found) {
      expect(failed(entry), JSON.stringify(entry.comparisons, null, 1)).toEqual([]);
      expect(['yes', 'provisional']).toContain(entry.counts);
      expect(entry.checks!.length).toBeGreaterThan(3);
      const names = entry.comparisons!.map((c) => c.name);
      for (const name of ['signature', 'original-body-hash', 'original-header-hash', 'original-options'])
        expect(names).toContain(name);
      for (const name of ['original-from', 'original-subject', 'account', 'private-id', 'recipient'])
        expect(names).toContain(name);
    }
    await link.fetchNow('stadt');
    const sent = (await w.store.timeline('stadt', letter)).filter((e) => e.kind === 'sent-copy');
    expect(sent.length).toBe(2);
    for (const copy of sent) {
      expect(copy.comparisons!.filter((c) => c.result === 'failed')).toEqual([]);
      expect(copy.comparisons!.map((c) => c.name)).toContain('sent-copy body');
    }
  });

  it('and without any anchor it leads to, it does not count and says why', async () => {
    const other = await openSimulator();
    await using _ = other;
    await using w = await world({ signatureAnchors: [other.simulator.caFile] });
    const letter = await w.submit();
    await w.startLink();
    const [entry] = await w.until(async () => {
      const list = await confirmations(w, letter);
      return list.length > 0 && list;
    });
    expect(entry).toMatchObject({ counts: 'no' });
    expect(failed(entry!)).toEqual(['signature']);
    const facts = (await w.store.facts('stadt', letter)).map((f) => f.fact);
    expect(facts).not.toContain('dispatched');
  });
});

describe('a confirmation that does not hold', () => {
  it('moves nothing: changed afterwards, or of another letter under a new header', async () => {
    await using w = await world();
    const first = await w.submit({ subject: 'Erster' });
    const link = await w.startLink();
    await w.until(async () => (await confirmations(w, first)).length >= 2);
    const genuine = await bytesOf(w, 'confirmation of dispatch', first);
    const second = await w.submit({ subject: 'Zweiter', options: [] });
    await w.until(async () => (await w.store.facts('stadt', second)).some((f) => f.fact === 'handed-over'));
    const privateIdOf = async (letter: number) =>
      (await w.store.submissionOf('stadt', letter))!.transactions[0]!.privateId;
    // The confirmation of the first, made out to the second: in header and XML.
    const swapped = Buffer.from(
      genuine.toString('latin1').replaceAll(await privateIdOf(first), await privateIdOf(second)),
      'latin1',
    );
    await provider.simulator.deposit('stadt', swapped);
    await link.fetchNow('stadt');
    const list = await confirmations(w, second);
    const facts = (await w.store.facts('stadt', second)).map((f) => f.fact);
    expect(facts).not.toContain('dispatched');
    expect(list.every((c) => c.counts === 'no')).toBe(true);
    for (const entry of list) {
      expect(entry.verdict).toBe('invalid');
      const [shown] = (await w.mails(erika, CONFIRMATIONS)).filter(
        (m) => headerOf(m, 'X-Demail-Gateway-Letter') === `stadt/${second}`,
      );
      expect(headerOf(shown!, 'X-Demail-Gateway-Counts')).toBe('no');
      expect(headerOf(shown!, 'X-Demail-Gateway-Verdict')).toBe('invalid');
      expect(headerOf(shown!, 'X-Demail-Gateway-Verdict-Reason')).toBeTruthy();
    }
    expect(bodyOf(swapped).length).toBeGreaterThan(0);
  });
});
