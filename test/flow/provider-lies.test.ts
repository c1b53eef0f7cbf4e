/**
 * Every way in which the simulated provider can lie, played against the link: what is not so counts for nothing, is
 * kept, shown as what it is and reported; what is true afterwards counts.
 */
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { CONFIRMATIONS } from '../../src/directory/mailboxes.ts';
import type { ConfirmationEntry, Entry, InboundEntry, Verdict } from '../../src/evidence/entry.ts';
import type { ProviderLink } from '../../src/provider/link.ts';
import { type Lie, lieNames, stranger } from '../../src/simulator/lies.ts';
import {
  erika,
  headerOf,
  openSimulator,
  openWorld,
  type SimulatedProvider,
  type World,
} from './provider-world.ts';

/** The recipient is a tenant too: a receipt confirmation comes to both sides. */
const recipient = 'erika@dorf.de-mail.example';
type Confirmation = Entry & ConfirmationEntry;

// Each takes a second or two: what hangs is to be told soon, by the lie that it hangs on.
vi.setConfig({ testTimeout: 90_000 });

let provider: SimulatedProvider;
let w: World;
let link: ProviderLink;

beforeAll(async () => {
  provider = await openSimulator();
  const folder = dirname(provider.simulator.caFile);
  w = await openWorld({ provider: await provider.accounts({ revocation: { folder, network: false } }) });
  link = await w.startLink();
  await send([]);
});
afterAll(async () => {
  await w[Symbol.asyncDispose]();
  await provider[Symbol.asyncDispose]();
});

interface Sent {
  readonly letter: number;
  /** What the log of each side has since. */
  readonly stadt: readonly Entry[];
  readonly dorf: readonly Entry[];
}

async function send(lies: readonly Lie[]): Promise<Sent> {
  provider.simulator.faults.lies = [...lies];
  const from = { stadt: (await w.store.head('stadt')).size, dorf: (await w.store.head('dorf')).size };
  const options = ['dispatch', 'receipt', 'authoritative'] as const;
  const letter = await w.submit({ rcpt: [recipient], to: recipient, options });
  await w.until(async () => (await facts('stadt', letter)).includes('handed-over'));
  await provider.simulator.settled();
  await Promise.all([link.fetchNow('stadt'), link.fetchNow('dorf')]);
  const since = async (tenant: 'stadt' | 'dorf') => (await w.entries(tenant)).slice(from[tenant]);
  return { letter, stadt: await since('stadt'), dorf: await since('dorf') };
}

async function facts(tenant: string, letter: number): Promise<string[]> {
  return (await w.store.standing(tenant, letter)).map(({ fact }) => fact);
}

const confirmations = (entries: readonly Entry[]) =>
  entries.filter((e): e is Confirmation => e.kind === 'confirmation');
const inbound = (entries: readonly Entry[]) =>
  entries.find((e): e is Entry & InboundEntry => e.kind === 'inbound')!;
const failed = ({ comparisons = [] }: Pick<ConfirmationEntry, 'comparisons'>) =>
  comparisons.filter(({ result }) => result === 'failed').map(({ name, reason }) => ({ name, reason }));

/** An incident, or its notice, that names the entry. */
async function reported(tenant: 'stadt' | 'dorf', incident: string, index: number): Promise<void> {
  await w.until(async () =>
    (await w.entries(tenant)).some(
      (e) =>
        e.kind === 'incident' && e.incident.startsWith(incident) && e.text.includes(`${tenant}/${index}`),
    ),
  );
}

/** How staff see what came: by letter and kind. */
async function shown({ letter, confirmation, header }: Confirmation): Promise<Buffer> {
  const mails = await w.mails(erika, CONFIRMATIONS);
  return mails.find(
    (mail) =>
      headerOf(mail, 'X-Demail-Gateway-Letter') === `stadt/${letter}` &&
      headerOf(mail, 'Message-ID') === header.messageId &&
      headerOf(mail, 'X-de-mail-message-type') === `confirmation of ${confirmation}`,
  )!;
}

/** Lies after which the confirmation fits its letter, but does not hold: the check or comparison that finds it. */
const found: Partial<
  Record<Lie, { readonly by: RegExp; readonly verdict: Verdict; readonly letter?: Verdict }>
> = {
  'integrity-hash': { by: /^signature signature: /, verdict: 'invalid', letter: 'invalid' },
  'body-hash': { by: /^signature body-hash: /, verdict: 'invalid', letter: 'invalid' },
  'no-integrity': { by: /^signature signing-duty: /, verdict: 'invalid', letter: 'invalid' },
  unsigned: { by: /^signature signing-duty: /, verdict: 'invalid' },
  'unsigned-xml': { by: /^signature xml-signature: the XML has no signature/, verdict: 'invalid' },
  'wrong-key': { by: /^signature signature: /, verdict: 'invalid', letter: 'invalid' },
  'expired-certificate': {
    by: /^signature certificate-chain: .* expired /,
    verdict: 'invalid',
    letter: 'invalid',
  },
  'revoked-certificate': { by: /^signature revocation: .* revoked /, verdict: 'invalid', letter: 'invalid' },
  'self-signed-certificate': {
    by: /^signature certificate-chain: no path /,
    verdict: 'indeterminate',
    letter: 'indeterminate',
  },
  'foreign-authority': {
    by: /^signature certificate-chain: no path /,
    verdict: 'indeterminate',
    letter: 'indeterminate',
  },
  'forged-sender': { by: /^signature xml-sender: /, verdict: 'invalid' },
  'xml-recipient': { by: /^signature xml-recipient: its text names fremde\.person@/, verdict: 'invalid' },
  'xml-type': { by: /^signature xml-type: /, verdict: 'invalid' },
  'xml-time': { by: /^signature xml-time: /, verdict: 'invalid' },
  'original-header': {
    by: /^original-header-hash .*\noriginal-subject Etwas ganz anderes/,
    verdict: 'indeterminate',
  },
  'hash-bh': { by: /^signature xml-hash: /, verdict: 'invalid' },
  'wrapped-xml': { by: /^signature xml-signature: the Reference does not cover/, verdict: 'invalid' },
  'doctype-xml': { by: /^signature xml-signature: XML has a DOCTYPE/, verdict: 'invalid' },
};

describe('a lie', () => {
  it.each(lieNames.filter((lie) => found[lie] !== undefined))('does not hold: %s', async (lie) => {
    const { by, verdict, letter: ofLetter } = found[lie]!;
    const { letter, stadt, dorf } = await send([lie]);
    const lied = confirmations(stadt);
    expect(lied.map((c) => c.confirmation).sort()).toEqual(['dispatch', 'receipt']);
    for (const entry of lied) {
      expect(entry).toMatchObject({ letter, counts: 'no', verdict });
      expect(entry).not.toHaveProperty('originalMessageId');
      const reasons = failed(entry).map(({ name, reason }) => `${name} ${reason}`);
      expect(reasons.join('\n')).toMatch(by);
      const mail = await shown(entry);
      expect(headerOf(mail, 'X-Demail-Gateway-Counts')).toBe('no');
      expect(headerOf(mail, 'X-Demail-Gateway-Verdict')).toBe(verdict);
      await reported('stadt', 'confirmation-does-not-hold', entry.index);
    }
    expect(await facts('stadt', letter)).toEqual(['queued', 'attempting', 'handed-over']);
    // The recipient's side gets the same, about a letter that came.
    const [copy, ...more] = confirmations(dorf);
    expect(more).toEqual([]);
    expect(copy).toMatchObject({ transaction: null, verdict });
    // Without XML that can be read nothing says which De-Mail it is about.
    if (lie === 'doctype-xml') expect(copy).toMatchObject({ letter: null });
    else expect(copy).toMatchObject({ letter: inbound(dorf).index, counts: 'no' });
    await reported('dorf', 'confirmation-does-not-hold', copy!.index);
    expect(await facts('dorf', inbound(dorf).index)).toEqual(['deposited']);
    if (ofLetter !== undefined) expect(inbound(dorf).verdict).toBe(ofLetter);
    await honestAgain();
  });

  it.each<Lie>(['swapped', 'private-id'])('fits nothing: %s', async (lie) => {
    const before = await send([]);
    const { letter, stadt, dorf } = await send([lie]);
    const lied = confirmations(stadt);
    expect(lied).toHaveLength(2);
    for (const entry of lied) {
      expect(entry).toMatchObject({ letter: null, transaction: null, matchedBy: null, verdict: 'invalid' });
      expect(entry).not.toHaveProperty('counts');
    }
    await reported('stadt', 'unmatched-confirmation', lied[0]!.index);
    expect(await facts('stadt', letter)).toEqual(['queued', 'attempting', 'handed-over']);
    const [copy] = confirmations(dorf);
    expect(copy).toMatchObject({ letter: null, verdict: 'invalid' });
    await reported('dorf', 'confirmation-does-not-hold', copy!.index);
    expect(await facts('dorf', inbound(dorf).index)).toEqual(['deposited']);
    const after = await w.store.facts('stadt', before.letter);
    expect(after.every(({ index }) => index < letter)).toBe(true);
    await honestAgain();
  });

  it('is nothing new: replayed', async () => {
    const before = await send([]);
    const { letter, stadt, dorf } = await send(['replayed']);
    expect(confirmations(stadt).map((c) => [c.confirmation, c.letter])).toEqual([
      ['dispatch', letter],
      ['receipt', letter],
    ]);
    expect(confirmations(dorf)).toMatchObject([{ letter: inbound(dorf).index }]);
    const after = await w.store.facts('stadt', before.letter);
    expect(after.every(({ index }) => index < letter)).toBe(true);
    await honestAgain();
  });

  it('says nothing more than what was said: replayed-renamed', async () => {
    const { letter, stadt } = await send(['replayed-renamed']);
    const all = confirmations(stadt);
    const again = all.filter(({ comparisons }) => comparisons!.some(({ name }) => name === 'repeated'));
    expect([all.length, again.length]).toEqual([4, 2]);
    expect(new Set(again.map((c) => c.confirmation))).toEqual(new Set(['dispatch', 'receipt']));
    for (const { index } of again) await reported('stadt', 'confirmation-repeated', index);
    expect([...new Set(await facts('stadt', letter))].sort()).toEqual(
      ['attempting', 'dispatched', 'handed-over', 'queued', 'received'].sort(),
    );
    await honestAgain();
  });

  it('is about nobody: stranger', async () => {
    const { letter, stadt, dorf } = await send(['stranger']);
    const all = confirmations(stadt);
    const lied = all.filter(({ counts }) => counts === 'no');
    expect([all.length, lied.length]).toEqual([4, 2]);
    for (const entry of lied) {
      expect(failed(entry)[0]!.reason).toMatch(`xml-recipient: `);
      expect(failed(entry)[0]!.reason).toContain(stranger);
      await reported('stadt', 'confirmation-does-not-hold', entry.index);
    }
    expect(lied.find((c) => c.confirmation === 'receipt')).toMatchObject({ letter, recipients: [] });
    const named = (await w.store.facts('stadt', letter)).map((f) => f.recipient);
    expect(new Set(named)).toEqual(new Set([recipient]));
    const here = inbound(dorf).index;
    expect(new Set((await w.store.facts('dorf', here)).map((f) => f.recipient))).not.toContain(stranger);
    await honestAgain();
  });

  it('is none of those that no test knows', () => {
    const others = ['swapped', 'private-id', 'replayed', 'replayed-renamed', 'stranger'];
    expect([...Object.keys(found), ...others].sort()).toEqual([...lieNames].sort());
  });
});

/** What is true counts, on both sides. */
async function honestAgain(): Promise<void> {
  const { letter, stadt, dorf } = await send([]);
  expect(confirmations(stadt)).toHaveLength(2);
  for (const entry of [...confirmations(stadt), ...confirmations(dorf)]) {
    expect(failed(entry), entry.tenant).toEqual([]);
    expect(entry.counts).toBe('provisional');
  }
  expect(await facts('stadt', letter)).toEqual(expect.arrayContaining(['dispatched', 'received']));
  expect(await facts('dorf', inbound(dorf).index)).toEqual(['deposited', 'received']);
}
