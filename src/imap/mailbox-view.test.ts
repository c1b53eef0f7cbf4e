import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { MailboxInfo, MessageRow } from '../store/store.ts';
import { createRowsRegistry } from './mailbox-rows.ts';
import { createMailboxView, type MailboxView } from './mailbox-view.ts';

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

/** Sessions that share rows are told what each would be told alone, whenever each looks, comes and leaves. */
test('sessions on one mailbox share rows, and each tells its own client what it does not know', () => {
  const step = fc.record({
    what: fc.constantFrom('arrive', 'arrive', 'flag', 'expunge', 'look', 'look', 'glance', 'store', 'leave'),
    who: fc.nat(2),
    pick: fc.nat(1000),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const registry = createRowsRegistry();
      const mailbox = new Map<number, MessageRow>();
      const expunged: { uid: number; modseq: number }[] = [];
      let modseq = 1;
      let uid = 0;
      const enter = (sharing: boolean): MailboxView & Disposable => {
        const shared = sharing ? registry.enter(1, undefined) : undefined;
        const rows = shared?.snapshot?.highestModseq === modseq ? null : [...mailbox.values()];
        const now = { ...info, highestModseq: modseq };
        const view = createMailboxView(now, rows, { readOnly: false, user: undefined, shared });
        return Object.assign(view, { [Symbol.dispose]: () => shared?.[Symbol.dispose]() });
      };
      /** Each session beside one that shares nothing. */
      const pairs = [0, 1, 2].map(() => [enter(true), enter(false)] as const);
      const both = <T>(who: number, of: (view: MailboxView) => T): void => {
        const [sharing, alone] = pairs[who]!;
        expect(of(sharing)).toEqual(of(alone));
      };
      const look = (who: number, mayExpunge: boolean): void =>
        both(who, (view) => {
          const since = view.highestModseq;
          const changed = [...mailbox.values()].filter((row) => row.modseq > since);
          const gone = expunged.filter((one) => one.modseq > since).map((one) => one.uid);
          return view.apply({ changed, expunged: gone, highestModseq: modseq }, mayExpunge);
        });
      for (const { what, who, pick } of steps) {
        const chosen = [...mailbox.keys()][pick % Math.max(1, mailbox.size)];
        if (what === 'look' || what === 'glance') look(who, what === 'look');
        else if (what === 'leave') {
          pairs[who]![0][Symbol.dispose]();
          pairs[who] = [enter(true), enter(false)];
        } else if (what === 'arrive') {
          mailbox.set(++uid, { uid, modseq: ++modseq, flags: [], size: uid, internalDate: uid });
        } else if (chosen !== undefined && what === 'expunge') {
          mailbox.delete(chosen);
          expunged.push({ uid: chosen, modseq: ++modseq });
        } else if (chosen !== undefined) {
          const row = { ...mailbox.get(chosen)!, modseq: ++modseq, flags: [`f${pick % 3}`] };
          mailbox.set(chosen, row);
          if (what === 'store') both(who, (view) => view.update(row));
        }
        for (const other of [0, 1, 2])
          both(other, (view) => [
            view.count,
            view.lastUid,
            view.firstUnseen,
            view.expungePending,
            Array.from({ length: view.count }, (_, index) => view.at(index + 1)),
          ]);
      }
    }),
    { numRuns: 100 },
  );
});
