import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blockLength } from '../../src/demail/block.ts';
import { CONFIRMATIONS, INBOX } from '../../src/directory/mailboxes.ts';
import type { Entry } from '../../src/evidence/entry.ts';
import type { Store } from '../../src/store/store.ts';
import {
  bodyOf,
  erika,
  headerOf,
  jan,
  max,
  openSimulator,
  openWorld,
  poststelle,
  type SimulatedProvider,
  type World,
} from './provider-world.ts';

let provider: SimulatedProvider;
beforeAll(async () => {
  provider = await openSimulator();
});
afterAll(() => provider[Symbol.asyncDispose]());

/** Every test has a simulator's mailbox to itself: what others left there is another account's. */
async function world(more: object = {}): Promise<World> {
  const { simulator } = provider;
  simulator.faults.cutDuringFetch = 0;
  simulator.faults.silentIdle = false;
  return openWorld({ provider: await provider.accounts(more) });
}

const stadt = (local: string) => `${local}@stadt.de-mail.example`;

function demail(headers: Record<string, string> = {}, body = 'Guten Tag\r\n'): Buffer {
  const all = {
    From: `Max <${max}>`,
    To: stadt('erika'),
    Subject: 'Antrag',
    'Message-ID': `<${crypto.randomUUID()}@provider.example>`,
    'X-de-mail-message-type': 'normal',
    'X-de-mail-sender': max,
    ...headers,
  };
  const header = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${header.join('')}\r\n${body}`);
}

const kindOf = <K extends Entry['kind']>(entries: readonly Entry[], kind: K) =>
  entries.filter((e): e is Extract<Entry, { kind: K }> => e.kind === kind);

/** What this test deposits, and nothing that lay there before. */
async function marked(w: World, mark: string): Promise<Entry[]> {
  return (await w.entries()).filter((e) => 'header' in e && e.header.subject?.includes(mark));
}

describe('delivery', () => {
  it('gives the provider’s bytes, with one block before them', async () => {
    await using w = await world();
    const odd = Buffer.concat([
      demail({ Subject: 'bytes-1' }, 'bare\nline\rends\r\n.\r\n\0'),
      Buffer.from([0xff, 0xfe, 0x80]),
    ]);
    const large = demail({ Subject: 'bytes-2' }, `${'x'.repeat(76)}\r\n`.repeat(30_000));
    const { simulator } = provider;
    await simulator.deposit('stadt', odd, stadt('erika'));
    await simulator.deposit('stadt', large, stadt('erika'));
    const link = await w.startLink();
    await link.fetchNow('stadt');
    const mails = (await w.mails(erika, INBOX)).filter((m) => headerOf(m, 'Subject')?.startsWith('bytes-'));
    const kept = await Promise.all(
      simulator.messages('stadt', 'INBOX').map(({ uid }) => simulator.read('stadt', 'INBOX', uid)),
    );
    expect(mails).toHaveLength(2);
    for (const mail of mails) {
      expect(headerOf(mail, 'X-Demail-Gateway-Verdict')).toBe('indeterminate');
      const bytes = mail.subarray(blockLength(mail));
      expect(blockLength(mail)).toBeGreaterThan(0);
      expect(kept.some((k) => k.equals(bytes))).toBe(true);
    }
  });

  it('private mail that fits nobody is kept, shown to nobody, and told to the operators without content', async () => {
    await using w = await world();
    await provider.simulator.deposit(
      'stadt',
      demail({ Subject: 'geheim-1', 'X-de-mail-private': 'yes' }, 'streng geheim\r\n'),
      stadt('unbekannt'),
    );
    await provider.simulator.deposit('stadt', demail({ Subject: 'offen-1' }), stadt('unbekannt'));
    const link = await w.startLink();
    await link.fetchNow('stadt');
    expect(await marked(w, 'geheim-1')).toMatchObject([{ kind: 'inbound', delivered: [] }]);
    expect((await w.mails(poststelle, INBOX)).map((m) => headerOf(m, 'Subject'))).toContain('offen-1');
    const [notice] = await w.until(async () => {
      const told = (await w.mails(jan, INBOX)).filter((m) => bodyOf(m).includes('niemandem'));
      return told.length > 0 && told;
    });
    expect(notice!.toString('utf8')).not.toContain('geheim-1');
    expect(notice!.toString('utf8')).not.toContain('streng geheim');
  });

  it('a confirmation that fits nothing is evidence, goes to the fallback mailbox, and is told once', async () => {
    await using w = await world();
    const vector = await readFile(new URL('../vectors/cases/confirm-dispatch-rsa-exc.eml', import.meta.url));
    await provider.simulator.deposit('stadt', vector);
    const second = Buffer.concat([Buffer.from('X-Second: yes\r\n'), vector]);
    await provider.simulator.deposit('stadt', second);
    const link = await w.startLink();
    await link.fetchNow('stadt');
    const found = kindOf(await w.entries(), 'confirmation').filter((c) => c.letter === null);
    expect(found.length).toBeGreaterThanOrEqual(2);
    expect(found.every((c) => c.matchedBy === null && c.verdict === 'indeterminate')).toBe(true);
    const shown = await w.mails(poststelle, CONFIRMATIONS);
    expect(shown.map((m) => headerOf(m, 'X-Demail-Gateway-Letter'))).toContain('unmatched');
    await w.until(async () => (await w.mails(jan, INBOX)).some((m) => bodyOf(m).includes('keinem Vorgang')));
    const opened = kindOf(await w.entries(), 'incident').filter(
      (i) => i.incident === 'unmatched-confirmation' && i.state === 'opened',
    );
    expect(opened).toHaveLength(1);
    await link.fetchNow('stadt');
    await w.until(
      async () => !(await w.store.incidents('stadt')).some((i) => i.incident === 'unmatched-confirmation'),
    );
  });

  it('a confirmation about a letter that the tenant received goes to its recipient', async () => {
    await using w = await world();
    const headers = {
      Subject: '*Eingangsbestätigung* Antrag-7',
      'X-de-mail-message-type': 'confirmation of receipt',
      'X-de-mail-chosen-recipient': `to=${max};cc=${stadt('erika')}`,
    };
    await provider.simulator.deposit('stadt', demail(headers), stadt('erika'));
    const link = await w.startLink();
    await link.fetchNow('stadt');
    expect((await w.mails(erika, CONFIRMATIONS)).map((m) => headerOf(m, 'X-de-mail-message-type'))).toContain(
      'confirmation of receipt',
    );
  });

  it('a notification about one of several recipients is about that one alone', async () => {
    await using w = await world();
    const letter = await w.submit({
      rcpt: [max, 'unknown@buerger.de-mail.example'],
      to: `${max}, unknown@buerger.de-mail.example`,
    });
    await w.startLink();
    const facts = await w.until(async () => {
      const known = await w.store.facts('stadt', letter);
      return known.some((f) => f.fact === 'notified') && known;
    });
    expect(facts.filter((f) => f.fact === 'notified').map((f) => f.recipient)).toEqual([
      'unknown@buerger.de-mail.example',
    ]);
    const [shown] = (await w.mails(erika, CONFIRMATIONS)).filter(
      (m) => headerOf(m, 'X-Demail-Gateway-Kind') === 'notification',
    );
    expect(headerOf(shown!, 'X-Demail-Gateway-Letter')).toBe(`stadt/${letter}`);
    const sent = (await w.store.submissionOf('stadt', letter))!.header.messageId;
    expect(headerOf(shown!, 'In-Reply-To')).toBe(sent);
  });

  it('what the provider could not deliver is shown to the sender, and sets no fact but that it was told', async () => {
    await using w = await world();
    const addresses = ['unknown', 'closed', 'malware'].map((local) => `${local}@buerger.de-mail.example`);
    const letter = await w.submit({ rcpt: addresses, to: addresses.join(', '), subject: 'unzustellbar-1' });
    await w.startLink();
    const facts = await w.until(async () => {
      const known = await w.store.facts('stadt', letter);
      return known.filter((f) => f.fact === 'notified').length >= 3 && known;
    });
    expect(facts.map((f) => f.fact)).not.toContain('failed');
    // Confirmations of the same letter may have come by now as well.
    const told = (await w.mails(erika, CONFIRMATIONS)).filter(
      (m) =>
        headerOf(m, 'X-Demail-Gateway-Kind') === 'notification' &&
        headerOf(m, 'X-Demail-Gateway-Letter') === `stadt/${letter}`,
    );
    const sent = (await w.store.submissionOf('stadt', letter))!.header.messageId;
    // In the client it stands under the letter that it is about, and names the recipient.
    expect(told.map((m) => headerOf(m, 'In-Reply-To'))).toEqual([sent, sent, sent]);
    for (const address of addresses)
      expect(told.filter((m) => m.toString('latin1').includes(address))).not.toEqual([]);
  });

  it('a letter from one tenant to another reaches the other’s mailbox, and the sender gets its confirmations', async () => {
    await using w = await world();
    const letter = await w.submit({
      rcpt: ['erika@dorf.de-mail.example'],
      to: 'erika@dorf.de-mail.example',
      options: ['dispatch', 'receipt'],
    });
    await w.startLink();
    await w.until(async () => {
      const facts = (await w.store.facts('stadt', letter)).map((f) => f.fact);
      return facts.includes('received') && facts.includes('handed-over');
    });
    const mail = await w.until(async () =>
      (await w.mails({ type: 'user', name: 'erika@dorf.example' }, INBOX, 'dorf')).find((m) =>
        headerOf(m, 'X-de-mail-sender')?.includes('erika@stadt'),
      ),
    );
    expect(headerOf(mail, 'X-Demail-Gateway-Tenant')).toBe('dorf');
    // The receipt confirmation comes to both sides, and counts for what each of them has of it.
    const here = (await w.entries('dorf')).find(
      (e) => e.kind === 'inbound' && e.demail.sender?.startsWith('erika@stadt'),
    );
    await w.until(async () =>
      (await w.store.facts('dorf', here!.index)).some(
        (f) => f.fact === 'received' && f.recipient === 'erika@dorf.de-mail.example',
      ),
    );
  });
});

describe('at the provider', () => {
  it('nothing is flagged before the commit, and everything recorded is', async () => {
    await using w = await world();
    const { uid } = await provider.simulator.deposit('stadt', demail({ Subject: 'flag-1' }), stadt('erika'));
    const flags = () => provider.simulator.messages('stadt', 'INBOX').find((m) => m.uid === uid)!.flags;
    const before: boolean[] = [];
    const recording: Store = new Proxy(w.store, {
      get(target, name, receiver) {
        const value = Reflect.get(target, name, receiver) as unknown;
        if (name !== 'recordFetched') return value;
        return async (...args: Parameters<Store['recordFetched']>) => {
          if (args[1].source.uid === uid) before.push([...flags()].includes('\\Seen'));
          return target.recordFetched(...args);
        };
      },
    });
    const link = await w.startLink({ store: recording });
    await link.fetchNow('stadt');
    expect(before).toEqual([false]);
    expect([...flags()]).toContain('\\Seen');
  });

  it('a new UIDVALIDITY adds nothing', async () => {
    await using w = await world();
    await provider.simulator.deposit('stadt', demail({ Subject: 'once-1' }), stadt('erika'));
    const first = await w.startLink();
    await first.fetchNow('stadt');
    await first.close();
    const fetched = async () => (await w.entries()).filter((e) => 'verdict' in e).length;
    const before = await fetched();
    provider.simulator.renumber('stadt', 'INBOX');
    const second = await w.startLink();
    await second.fetchNow('stadt');
    expect(await fetched()).toBe(before);
    expect(await marked(w, 'once-1')).toHaveLength(1);
  });

  it('a connection that breaks in the middle of a message loses nothing and adds nothing', async () => {
    await using w = await world();
    const body = `${'y'.repeat(76)}\r\n`.repeat(40_000);
    await provider.simulator.deposit('stadt', demail({ Subject: 'cut-1' }, body), stadt('erika'));
    provider.simulator.faults.cutDuringFetch = 2;
    const link = await w.startLink();
    await w.until(async () => {
      await link.fetchNow('stadt').catch(() => {});
      return (await marked(w, 'cut-1')).length > 0;
    });
    expect(provider.simulator.faults.cutDuringFetch).toBe(0);
    expect(await marked(w, 'cut-1')).toHaveLength(1);
    const mail = (await w.mails(erika, INBOX)).find((m) => headerOf(m, 'Subject') === 'cut-1')!;
    expect(bodyOf(mail)).toBe(body);
  });

  it('new mail is heard of by IDLE', async () => {
    await using w = await world({ fetchInterval: '60m' });
    const link = await w.startLink();
    await link.fetchNow('stadt');
    await provider.simulator.deposit('stadt', demail({ Subject: 'idle-1' }), stadt('erika'));
    await w.until(async () => (await marked(w, 'idle-1')).length === 1);
  });

  it('a lost IDLE is made up for by polling', async () => {
    await using w = await world({ fetchInterval: '1s' });
    const link = await w.startLink();
    await link.fetchNow('stadt');
    provider.simulator.faults.silentIdle = true;
    await provider.simulator.deposit('stadt', demail({ Subject: 'poll-1' }), stadt('erika'));
    await w.until(async () => (await marked(w, 'poll-1')).length === 1);
  });

  it('a login that fails says so to whoever asks, and mail comes once it works again', async () => {
    await using w = await world();
    provider.simulator.faults.refuseLogins = true;
    const link = await w.startLink();
    await expect(link.fetchNow('stadt')).rejects.toThrow();
    const [status] = await link.status();
    expect(status!.imap.lastError).not.toBeNull();
    expect(status!.imap.lastSuccess).toBeNull();
    provider.simulator.faults.refuseLogins = false;
    await link.fetchNow('stadt');
    expect((await link.status())[0]!.imap.lastError).toBeNull();
  });
});
