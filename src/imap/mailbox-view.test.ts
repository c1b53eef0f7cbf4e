import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { MailboxInfo, MessageRow } from '../store/store.ts';
import { createMailboxView } from './mailbox-view.ts';

const info: MailboxInfo = {
  id: 1,
  owner: { type: 'user', name: 'a' },
  name: 'INBOX',
  specialUse: null,
  uidValidity: 1,
  uidNext: 1,
  highestModseq: 1,
  messages: 0,
  unseen: 0,
  bytes: 0,
};

type Step = { readonly what: 'arrive' | 'flag' | 'expunge' | 'look' | 'glance'; readonly pick: number };

/** A mailbox and a client that believes what it is told: after every look both hold the same. */
test('a client that follows EXISTS, FETCH and EXPUNGE ends with what is in the mailbox', () => {
  const step = fc.record({
    what: fc.constantFrom<Step['what']>('arrive', 'arrive', 'flag', 'expunge', 'look', 'glance'),
    pick: fc.nat(1000),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const view = createMailboxView(info, [], { readOnly: false, user: undefined });
      const mailbox = new Map<number, MessageRow>();
      const expunged: { uid: number; modseq: number }[] = [];
      let client: { flags: string }[] = [];
      let modseq = 1;
      let uid = 0;
      const look = (mayExpunge: boolean): void => {
        const since = view.highestModseq;
        const update = view.apply(
          {
            changed: [...mailbox.values()].filter((row) => row.modseq > since),
            expunged: expunged.filter((gone) => gone.modseq > since).map((gone) => gone.uid),
            highestModseq: modseq,
          },
          mayExpunge,
        );
        while (update.exists !== null && client.length < update.exists) client.push({ flags: 'unknown' });
        for (const { sequence, uid: of } of update.changed)
          client[sequence - 1] = { flags: mailbox.get(of)?.flags.join() ?? 'gone' };
        for (const sequence of update.expunged) client = client.toSpliced(sequence - 1, 1);
      };
      for (const { what, pick } of [...steps, { what: 'look', pick: 0 } as Step]) {
        const chosen = [...mailbox.keys()][pick % Math.max(1, mailbox.size)];
        if (what === 'look') look(true);
        else if (what === 'glance') look(false);
        else if (what === 'arrive') {
          uid += 1 + (pick % 3);
          modseq++;
          mailbox.set(uid, { uid, modseq, flags: [], size: 1, internalDate: 0 });
        } else if (chosen !== undefined && what === 'flag') {
          modseq++;
          mailbox.set(chosen, { ...mailbox.get(chosen)!, modseq, flags: [`f${pick % 3}`] });
        } else if (chosen !== undefined) {
          modseq++;
          mailbox.delete(chosen);
          expunged.push({ uid: chosen, modseq });
        }
      }
      expect(view.count).toBe(mailbox.size);
      expect(client.length).toBe(mailbox.size);
      const uids = [...mailbox.keys()];
      expect(Array.from({ length: view.count }, (_, index) => view.at(index + 1))).toEqual([
        ...mailbox.values(),
      ]);
      expect(uids.map((one) => view.sequenceOf(one))).toEqual(uids.map((_, index) => index + 1));
      for (const [index, one] of client.entries())
        expect(['unknown', mailbox.get(uids[index]!)!.flags.join()]).toContain(one.flags);
    }),
    { numRuns: 500 },
  );
});

test('sets select by sequence number and by UID', () => {
  const rows = [3, 5, 9].map((uid) => ({ uid, modseq: 1, flags: [], size: 1, internalDate: 0 }));
  const view = createMailboxView(info, rows, { readOnly: false, user: undefined });
  expect(view.select([[1, 2]], false)).toEqual([1, 2]);
  expect(view.select([[4, 9]], true)).toEqual([2, 3]);
  expect(view.select([[100, Number.POSITIVE_INFINITY]], true)).toEqual([3]);
  expect(view.covers([[3, 4]])).toBe(false);
  expect(view.covers([[3, Number.POSITIVE_INFINITY]])).toBe(true);
});
