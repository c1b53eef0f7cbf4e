/** The contract that every engine of the store keeps. */
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { InboundEntry } from '../evidence/entry.ts';
import { createIndexer } from '../mime/structure.ts';
import { beginRotation } from './keys.ts';
import { withFingerprint } from './sent-copies.ts';
import { openSqliteStore, type StoreOptions } from './sqlite/open.ts';
import type {
  ArchiveRecord,
  Change,
  Fetched,
  MailboxOwner,
  OpenObject,
  StagedMessage,
  Store,
  Submission,
} from './store.ts';

const engines: [string, (options: StoreOptions) => Promise<Store>][] = [['sqlite', openSqliteStore]];
const tenant = 'stadt-waren';
const other = 'ego-mv';
const erika = { type: 'user', name: 'erika@stadt-waren.example' } as const;
const letterText =
  'From: erika@stadt-waren.example\r\nMessage-ID: <1@stadt-waren.example>\r\nSubject: Bescheid\r\n\r\nSehr geehrte\r\n';

async function stageText(store: Store, of: string, text: string | Buffer): Promise<StagedMessage> {
  const writer = store.stage(of);
  const indexer = createIndexer();
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += 50_000) {
    indexer.push(bytes.subarray(at, at + 50_000));
    await writer.write(bytes.subarray(at, at + 50_000));
  }
  return { object: await writer.finish(), index: indexer.finish() };
}

function submission(message: StagedMessage, n = 1): Submission {
  return {
    actor: { type: 'user', name: erika.name },
    listener: 'submission',
    envelope: {
      from: erika.name,
      recipients: [{ address: 'max@buerger.de-mail.example' }, { address: 'eva@buerger.de-mail.example' }],
    },
    sender: 'erika@stadt-waren.de-mail.example',
    header: { messageId: `<${n}@stadt-waren.example>`, subject: 'Bescheid', from: erika.name, date: null },
    attachments: [
      {
        name: 'bescheid.pdf',
        type: 'application/pdf',
        size: 3,
        sha256: createHash('sha256').update('pdf').digest('hex'),
      },
    ],
    options: ['dispatch', 'receipt'],
    removedHeaders: [],
    transactions: [
      { id: 0, privateId: `p-${n}-0`, to: ['max@buerger.de-mail.example'], cc: [], bcc: [] },
      { id: 1, privateId: `p-${n}-1`, to: [], cc: [], bcc: ['eva@buerger.de-mail.example'] },
    ],
    message,
    deposits: [
      {
        owner: erika,
        mailbox: 'Gesendet',
        specialUse: '\\Sent',
        reason: 'sender',
        prefix: Buffer.alloc(0),
        flags: ['\\Seen'],
      },
    ],
  };
}

function inbound(staged: StagedMessage, uid: number, uidValidity = '7'): Fetched {
  const body: Omit<InboundEntry, 'delivered' | 'message' | 'signatures'> = {
    kind: 'inbound',
    source: { account: 'waren', folder: 'INBOX', uidValidity, uid },
    header: {
      messageId: '<in@provider>',
      subject: 'Antrag',
      from: 'max@buerger.de-mail.example',
      date: null,
    },
    demail: {
      messageType: 'normal',
      messageId: '<in@provider>',
      privateId: null,
      sender: 'max@buerger.de-mail.example',
      authLevel: 'high',
      originatorProvider: null,
      options: [],
      chosenRecipients: [],
      envelopeTo: ['erika@stadt-waren.de-mail.example'],
    },
    attachments: [],
    verdict: 'not-checked',
  };
  return {
    ...body,
    staged,
    deposits: [
      {
        owner: erika,
        mailbox: 'INBOX',
        reason: 'envelope-to',
        prefix: Buffer.from('X-Block: 1\r\n'),
        flags: [],
      },
    ],
  };
}

function hex(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

async function collect(bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of bytes) parts.push(part);
  return Buffer.concat(parts);
}

describe.each(engines)('the store on %s', (_, openStore) => {
  let directory: string;
  let store: Store;
  let now = Date.parse('2026-03-01T08:00:00Z');
  const changes: Change[] = [];
  const open = () => openStore({ directory, originPrefix: 'test.example', clock: () => now });

  beforeEach(async () => {
    now = Date.parse('2026-03-01T08:00:00Z');
    directory = await mkdtemp(join(tmpdir(), 'store-'));
    store = await open();
    await store.openTenant(tenant);
    await store.openTenant(other);
    changes.length = 0;
    store.changes.subscribe((change) => changes.push(change));
  });
  afterEach(async () => {
    await store[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  const accept = async (n = 1) =>
    (await store.acceptSubmission(tenant, submission(await stageText(store, tenant, letterText), n))).letter;

  it('accepts a submission with entry, outbox, own copy and facts in one commit', async () => {
    const letter = await accept();
    expect(letter).toBe(1);
    expect(await store.entry(tenant, letter)).toMatchObject({
      v: 1,
      tenant,
      index: 1,
      kind: 'submission',
      time: '2026-03-01T08:00:00.000Z',
      delivered: [{ owner: erika.name, mailbox: 'Gesendet' }],
    });
    expect(
      (await store.dueTransactions(tenant, now, 10)).map((t) => [t.transaction, t.recipients, t.privateId]),
    ).toEqual([
      [0, ['max@buerger.de-mail.example'], 'p-1-0'],
      [1, ['eva@buerger.de-mail.example'], 'p-1-1'],
    ]);
    expect((await store.facts(tenant, letter)).map((f) => [f.recipient, f.fact])).toEqual([
      ['max@buerger.de-mail.example', 'queued'],
      ['eva@buerger.de-mail.example', 'queued'],
    ]);
    const sent = await store.mailbox(tenant, erika, 'Gesendet');
    expect(sent).toMatchObject({ messages: 1, unseen: 0, specialUse: '\\Sent', uidNext: 2 });
    const [content] = await store.contents(tenant, sent!.id, [1]);
    expect((await collect(store.readSource(tenant, content!.source))).toString()).toBe(letterText);
    expect((await store.head(tenant)).size).toBe(2);
    expect(changes.map((c) => c.topic)).toEqual(expect.arrayContaining(['outbox', 'mailbox']));
  });

  it('shows one tenant nothing of another', async () => {
    const letter = await accept();
    const sent = await store.mailbox(tenant, erika, 'Gesendet');
    expect(await store.entry(other, letter)).toBeNull();
    expect(await store.messages(other, sent!.id)).toEqual([]);
    expect(await store.contents(other, sent!.id, [1])).toEqual([]);
    expect(await store.mailbox(other, erika, 'Gesendet')).toBeNull();
    await expect(
      store.changeFlags(other, sent!.id, [1], { op: 'add', flags: ['\\Deleted'] }),
    ).rejects.toMatchObject({ code: 'mailbox-unknown' });
    const entry = await store.entry(tenant, letter);
    expect(entry?.kind === 'submission' && (await store.object(other, entry.message.object))).toBeNull();
    expect(await store.search({ tenant: other })).toEqual([]);
    // The same bytes have another address under another tenant's key.
    const staged = await stageText(store, other, letterText);
    expect(entry?.kind === 'submission' && entry.message.object).not.toBe(staged.object.object);
  });

  it('leads a hand-over from intent to outcome, and refuses the order to be skipped', async () => {
    const letter = await accept();
    const header = (await stageText(store, tenant, 'X-de-mail-sender: a\r\n\r\n')).object;
    const intent = {
      letter,
      transaction: 0,
      attempt: 1,
      endpoint: 'smtp.provider:465',
      recipients: ['max@buerger.de-mail.example'],
      handed: { sha256: 'ab', size: 9, header, bodyFrom: 3 },
      edits: [],
    };
    const outcome = {
      letter,
      transaction: 0,
      attempt: 1,
      result: 'deferred',
      recipients: [{ address: 'max@buerger.de-mail.example', result: 'deferred', reply: '451 later' }],
      reply: '451 later',
      peer: { endpoint: 'smtp.provider:465' },
    } as const;
    await expect(store.recordHandoverOutcome(tenant, outcome)).rejects.toThrow(
      /is queued, it has no outcome/,
    );
    await store.recordHandoverIntent(tenant, intent);
    await expect(store.recordHandoverIntent(tenant, intent)).rejects.toThrow(/is attempting/);
    await store.recordHandoverOutcome(tenant, { ...outcome, nextAttempt: now + 60_000 });
    expect((await store.dueTransactions(tenant, now, 10)).map((t) => t.transaction)).toEqual([1]);
    expect(await store.nextTransactionAt(tenant, now)).toBe(now + 60_000);
    await store.recordHandoverIntent(tenant, { ...intent, attempt: 2 });
    await store.recordHandoverOutcome(tenant, {
      ...outcome,
      attempt: 2,
      result: 'done',
      recipients: [{ address: 'max@buerger.de-mail.example', result: 'accepted', reply: '250 ok' }],
    });
    expect((await store.openTransactions(tenant)).map((t) => t.transaction)).toEqual([1]);
    expect(
      (await store.facts(tenant, letter)).filter((f) => f.recipient.startsWith('max')).map((f) => f.fact),
    ).toEqual(['queued', 'attempting', 'deferred', 'attempting', 'handed-over']);
    expect((await store.timeline(tenant, letter)).map((e) => e.kind)).toEqual([
      'submission',
      'handover-intent',
      'handover-outcome',
      'handover-intent',
      'handover-outcome',
    ]);
    await expect(
      store.recordHandoverIntent(tenant, { ...intent, transaction: 1, recipients: ['mallory@example.org'] }),
    ).rejects.toThrow(/no open recipient mallory/);
  });

  it('holds a doubt until it is settled', async () => {
    const letter = await accept();
    const header = (await stageText(store, tenant, 'x\r\n\r\n')).object;
    const base = { letter, transaction: 0, attempt: 1 };
    await store.recordHandoverIntent(tenant, {
      ...base,
      endpoint: 'e',
      recipients: ['max@buerger.de-mail.example'],
      handed: { sha256: 'ab', size: 9, header, bodyFrom: 0 },
      edits: [],
    });
    await store.recordHandoverOutcome(tenant, {
      ...base,
      result: 'in-doubt',
      recipients: [{ address: 'max@buerger.de-mail.example', result: 'deferred', reply: '' }],
      reply: 'connection lost',
      peer: { endpoint: 'e' },
    });
    expect((await store.transaction(tenant, letter, 0))?.state).toBe('in-doubt');
    expect((await store.dueTransactions(tenant, now + 1e9, 10)).map((t) => t.transaction)).toEqual([1]);
    await store.settleHandover(tenant, {
      letter,
      transaction: 0,
      recipients: ['max@buerger.de-mail.example'],
      decision: 'handed-over',
      by: 'dispatch-confirmation',
      actor: { type: 'gateway', name: 'link' },
      reason: 'confirmed',
    });
    expect(await store.transaction(tenant, letter, 0)).toBeNull();
    expect((await store.facts(tenant, letter)).map((f) => f.fact)).toContain('handed-over');
  });

  it('records a fetched message once, whatever UID it comes under', async () => {
    const text = 'Message-ID: <in@provider>\r\n\r\nHallo\r\n';
    const first = await store.recordFetched(tenant, inbound(await stageText(store, tenant, text), 1));
    expect(first).toEqual({ index: 1 });
    expect(await store.recordFetched(tenant, inbound(await stageText(store, tenant, text), 1))).toBeNull();
    expect(
      await store.recordFetched(tenant, inbound(await stageText(store, tenant, text), 1, '8')),
    ).toBeNull();
    expect([...(await store.fetchedUids(tenant, 'waren', 'INBOX', '8'))]).toEqual([1]);
    const inbox = await store.mailbox(tenant, erika, 'INBOX');
    expect(inbox).toMatchObject({ messages: 1, unseen: 1, bytes: 12 + text.length });
    const [content] = await store.contents(tenant, inbox!.id, [1]);
    expect((await collect(store.readSource(tenant, content!.source))).toString()).toBe(
      `X-Block: 1\r\n${text}`,
    );
    expect((await collect(store.readSource(tenant, content!.source, 5, 20))).toString()).toBe(
      `X-Block: 1\r\n${text}`.slice(5, 20),
    );
  });

  it.each([0, 1, 65_536, 131_072, 131_073, 131_072 + 65_536, 700_001])(
    'keeps an object of %i bytes exactly, and reads any range of it',
    async (size) => {
      const bytes = Buffer.alloc(size, 'abcdefghij\r\n');
      const staged = await stageText(store, tenant, bytes);
      await store.acceptSubmission(tenant, submission(staged));
      const object = (await store.object(tenant, staged.object.object))!;
      expect(object.size).toBe(size);
      expect((await collect(object.read())).equals(bytes)).toBe(true);
      for (const [from, to] of [
        [0, 1],
        [65_530, 65_540],
        [131_000, 140_000],
        [size - 3, size + 9],
      ] as const) {
        expect(
          (await collect(object.read(from, to))).equals(bytes.subarray(Math.max(0, from), Math.max(0, to))),
        ).toBe(true);
      }
    },
  );

  it('survives closing and opening: heads, queues, UIDs go on', async () => {
    await accept(1);
    const head = await store.head(tenant);
    await store[Symbol.asyncDispose]();
    store = await open();
    expect(await store.head(tenant)).toEqual(head);
    expect((await store.openTransactions(tenant)).length).toBe(2);
    expect(await accept(2)).toBe(2);
    expect((await store.mailbox(tenant, erika, 'Gesendet'))?.uidNext).toBe(3);
  });

  it('finds letters by address, id, subject, time, fact and file', async () => {
    const letter = await accept();
    const found = async (query: Parameters<Store['search']>[0]) =>
      (await store.search(query)).map((l) => l.index);
    const pdf = createHash('sha256').update('pdf').digest('hex');
    for (const query of [
      { address: 'MAX@buerger' },
      { messageId: '1@stadt-waren.example' },
      { privateId: 'p-1-1' },
      { subject: 'besch' },
      { since: '2026-03-01T00:00:00Z' },
      { fact: 'queued' },
      { sha256: pdf },
      { sha256: createHash('sha256').update(letterText).digest('hex') },
      { kind: 'submission' as const },
    ]) {
      expect(await found(query)).toEqual([letter]);
    }
    for (const query of [
      { address: 'nobody' },
      { subject: '%' },
      { until: '2026-02-01T00:00:00Z' },
      { fact: 'received' },
      { sha256: '00' },
    ])
      expect(await found(query)).toEqual([]);
    for (const name of ['<1@stadt-waren.example>', 'p-1-0', `${tenant}/${letter}`])
      expect(await store.resolve(name)).toEqual([{ tenant, letter }]);
  });

  it('commits what waits together, and one refusal harms no other', async () => {
    const staged = await Promise.all(
      Array.from({ length: 20 }, (_, i) => stageText(store, tenant, `${letterText}${i}`)),
    );
    const results = await Promise.allSettled([
      ...staged.map((message, i) => store.acceptSubmission(tenant, submission(message, i))),
      store.deleteMailbox(tenant, erika, 'Nirgends'),
      store.openTenant(tenant),
    ]);
    expect(results.filter((r) => r.status === 'rejected').length).toBe(1);
    expect((await store.head(tenant)).size).toBe(21);
  });

  it('proves each entry under the signed head', async () => {
    for (let n = 1; n <= 5; n++) await accept(n);
    const { size, root } = await store.head(tenant);
    expect(size).toBe(6);
    const text = await store.proof(tenant, 3);
    const [head, index, ...rest] = text!.split('\n');
    expect([head, index]).toEqual(['c2sp.org/tlog-proof@v1', 'index 3']);
    const path = rest.slice(0, rest.indexOf('')).map((line) => Buffer.from(line, 'base64'));
    const leaves = path.length;
    expect(leaves).toBe(3);
    expect(rest.slice(rest.indexOf('') + 1)[0]).toBe(`test.example/${tenant}`);
    expect(text).toContain(root.toString('base64'));
    expect(await store.proof(tenant, 6)).toBeNull();
  });

  it('writes a notice in the commit of what it tells, once, and none for what was recorded before', async () => {
    const { letter } = await store.acceptSubmission(
      tenant,
      submission(await stageText(store, tenant, letterText)),
    );
    const notice = async (text: string, once: string) => ({
      letter,
      about: 'delivered' as const,
      text,
      message: await stageText(store, tenant, text),
      deposits: [],
      once,
    });
    const fetched = async (uid: number, text: string, ...names: string[]) => ({
      ...inbound(await stageText(store, tenant, text), uid),
      notices: await Promise.all(names.map((name) => notice(`${name} by ${uid}`, name))),
    });
    const first = (await store.recordFetched(tenant, await fetched(1, 'eins\r\n\r\n', 'a', 'b')))!;
    expect(await store.recordFetched(tenant, await fetched(2, 'eins\r\n\r\n', 'c'))).toBeNull();
    await store.recordFetched(tenant, await fetched(3, 'zwei\r\n\r\n', 'b', 'd'));
    expect(await store.deliverNotice(tenant, await notice('d again', 'd'), 'd')).toBeNull();
    const told = (await store.timeline(tenant, letter)).filter((e) => e.kind === 'notice');
    expect(told.map(({ text }) => text)).toEqual(['a by 1', 'b by 1', 'd by 3']);
    expect(told.map(({ index }) => index).slice(0, 2)).toEqual([first.index + 1, first.index + 2]);
  });

  it('tells an incident once', async () => {
    const opened = { incident: 'account', state: 'opened', text: 'login refused' } as const;
    expect(await store.recordIncident(tenant, opened)).toBe(true);
    expect(await store.recordIncident(tenant, opened)).toBe(false);
    expect((await store.incidents(tenant)).map((i) => i.incident)).toEqual(['account']);
    expect(await store.recordIncident(tenant, { ...opened, state: 'closed' })).toBe(true);
    expect(await store.recordIncident(tenant, { ...opened, state: 'closed' })).toBe(false);
  });

  describe('confirmations', () => {
    const max = 'max@buerger.de-mail.example';
    const confirm = async (
      letter: number,
      confirmation: 'dispatch' | 'receipt',
      uid: number,
      counts: 'yes' | 'provisional' | 'no' = 'yes',
      recipient = max,
    ) => {
      const { kind: _, ...body } = inbound(
        await stageText(store, tenant, `Message-ID: <c${uid}>\r\n\r\n${confirmation}`),
        uid,
      ) as Fetched & { kind: 'inbound' };
      return (await store.recordFetched(tenant, {
        ...body,
        kind: 'confirmation',
        confirmation,
        letter,
        transaction: 0,
        recipients: [recipient],
        statedTime: null,
        matchedBy: 'private-id',
        counts,
        verdict: 'indeterminate',
        reverifyAt: now + 1000,
      }))!.index;
    };
    const handOver = async (letter: number) => {
      const header = (await stageText(store, tenant, 'h\r\n\r\n')).object;
      await store.recordHandoverIntent(tenant, {
        letter,
        transaction: 0,
        attempt: 1,
        endpoint: 'e',
        recipients: [max],
        handed: { sha256: 'ab', size: 9, header, bodyFrom: 0 },
        edits: [],
      });
      await store.recordHandoverOutcome(tenant, {
        letter,
        transaction: 0,
        attempt: 1,
        result: 'done',
        recipients: [{ address: max, result: 'accepted', reply: '250' }],
        reply: '250',
        peer: { endpoint: 'e' },
      });
    };
    const awaited = async () =>
      [
        ...(await store.awaited(tenant, 'dispatch', now + 1, 9)),
        ...(await store.awaited(tenant, 'receipt', now + 1, 9)),
      ].map((a) => a.confirmation);

    it('are awaited from the hand-over on, and silence is told once', async () => {
      const letter = await accept();
      expect(await awaited()).toEqual([]);
      await handOver(letter);
      expect(await awaited()).toEqual(['dispatch', 'receipt']);
      await confirm(letter, 'dispatch', 1);
      expect(await awaited()).toEqual(['receipt']);
      const overdue = {
        letter,
        confirmation: 'receipt',
        recipients: [max],
        since: '2026-03-01T08:00:00.000Z',
      } as const;
      expect(await store.recordOverdue(tenant, overdue)).toBe(true);
      expect(await store.recordOverdue(tenant, overdue)).toBe(false);
      expect((await store.search({ fact: 'receipt-overdue' })).map((l) => l.index)).toEqual([letter]);
    });

    it('come with a Sent copy of the hand-over, missing from then until it is there', async () => {
      const letter = await accept();
      const missing = () => store.missingSentCopies(tenant, now - 1, now + 1, 9);
      expect(await missing()).toEqual([]);
      await handOver(letter);
      expect(await missing()).toEqual([letter]);
      expect(await store.missingSentCopies(tenant, now + 1, now + 2, 9)).toEqual([]);
      const early = await accept();
      for (const copied of [letter, early]) {
        const staged = await stageText(store, tenant, `X-Letter: ${copied}\r\n\r\n`);
        const body = inbound(staged, 100 + copied);
        await store.recordFetched(tenant, { ...body, kind: 'sent-copy', letter: copied, transaction: 0 });
      }
      await handOver(early);
      expect(await missing()).toEqual([]);
    });

    it('that come before our own outcome are not awaited', async () => {
      const letter = await accept();
      await confirm(letter, 'dispatch', 1);
      await handOver(letter);
      expect(await awaited()).toEqual(['receipt']);
    });

    it('that do not count state no fact', async () => {
      const letter = await accept();
      await confirm(letter, 'dispatch', 1, 'no');
      expect((await store.facts(tenant, letter)).map((f) => f.fact)).not.toContain('dispatched');
    });

    it('show on what clients filed of the letter in other Sent mailboxes, before they came or after', async () => {
      const stageCopy = async (extra: string) =>
        withFingerprint(store, await stageText(store, tenant, extra + letterText));
      const file = async (
        name: string,
        extra: string,
        text?: StagedMessage,
        type: MailboxOwner['type'] = 'shared',
      ) => {
        const owner = { type, name };
        await store.ensureMailboxes(tenant, owner, [{ name: 'Gesendet', specialUse: '\\Sent' }]);
        const { id } = (await store.mailbox(tenant, owner, 'Gesendet'))!;
        const message = text ?? (await stageCopy(extra));
        await store.appendMessage(tenant, id, { message, flags: ['$DeMailReceived'], internalDate: 0 });
        return async () => (await store.messages(tenant, id)).map(({ flags }) => flags);
      };
      const early = await file('A', 'X-Copy: A\r\n');
      const stranger = await file('B', '', await stageText(store, tenant, `X-Copy: B\r\n${letterText}`));
      // A colleague who got the letter can make it look like a copy, and learns nothing by that.
      const curious = await file('F', 'X-Copy: F\r\n', undefined, 'user');
      expect(await early()).toEqual([[]]);
      const { letter } = await store.acceptSubmission(tenant, {
        ...submission(await stageCopy('')),
        transactions: [{ id: 0, privateId: 'p-r', to: [max], cc: [], bcc: [] }],
      });
      await confirm(letter, 'dispatch', 1);
      const late = await file('D', 'X-Copy: D\r\n');
      const later = await file('G', 'X-Copy: G\r\n', undefined, 'user');
      expect([await early(), await late(), await stranger()]).toEqual([
        [['$DeMailDispatched']],
        [['$DeMailDispatched']],
        [[]],
      ]);
      expect([await curious(), await later()]).toEqual([[[]], [[]]]);
      // Another letter that is alike in everything, and not confirmed: nobody can say whose copy it is.
      const deposits: Submission['deposits'] = [];
      await store.acceptSubmission(tenant, {
        ...submission(await stageCopy('X-Copy: C\r\n'), 2),
        deposits,
      });
      expect(await (await file('E', 'X-Copy: E\r\n'))()).toEqual([[]]);
    });

    it('show on the copy in Gesendet once they came for every recipient, and no longer if they are invalid', async () => {
      const message = await stageText(store, tenant, letterText);
      const { letter } = await store.acceptSubmission(tenant, {
        ...submission(message),
        transactions: [
          { id: 0, privateId: 'p-k', to: [max, 'eva@buerger.de-mail.example'], cc: [], bcc: [] },
        ],
      });
      const sent = (await store.mailbox(tenant, erika, 'Gesendet'))!;
      const flags = async () => (await store.messages(tenant, sent.id))[0]!.flags;
      await confirm(letter, 'dispatch', 1);
      expect(await flags()).toEqual(['\\Seen']);
      changes.length = 0;
      const eva = await confirm(letter, 'dispatch', 2, 'yes', 'eva@buerger.de-mail.example');
      expect(await flags()).toEqual(['\\Seen', '$DeMailDispatched']);
      expect(changes).toContainEqual({ topic: 'mailbox', tenant, mailbox: sent.id });
      expect((await store.mailbox(tenant, erika, 'Gesendet'))!.highestModseq).toBeGreaterThan(
        sent.highestModseq,
      );
      const disputed = { letter, recipients: ['eva@buerger.de-mail.example'], checks: [], material: [] };
      await store.recordVerdict(tenant, { ...disputed, about: eva, verdict: 'invalid', nextAttempt: null });
      expect(await flags()).toEqual(['\\Seen']);
    });

    it('are judged again, the newest verdict is shown, and an invalid one disputes the fact', async () => {
      const letter = await accept();
      const about = await confirm(letter, 'dispatch', 1, 'provisional');
      expect(await store.dueReverifications(tenant, now, 9)).toEqual([]);
      expect(await store.nextReverificationAt(tenant, now)).toBe(now + 1000);
      expect(await store.dueReverifications(tenant, now + 1000, 9)).toEqual([about]);
      const crl = (await stageText(store, tenant, 'crl')).object;
      await store.recordVerdict(tenant, {
        about,
        letter,
        recipients: [max],
        verdict: 'invalid',
        checks: [{ name: 'revocation', result: 'failed', reason: 'revoked' }],
        material: [{ type: 'crl', object: crl }],
        nextAttempt: null,
      });
      expect(await store.dueReverifications(tenant, now + 1e9, 9)).toEqual([]);
      expect(await store.latestVerdict(tenant, about)).toMatchObject({
        verdict: 'invalid',
        checks: [{ reason: 'revoked' }],
      });
      expect((await store.search({ kind: 'confirmation' }))[0]).toMatchObject({
        index: about,
        verdict: 'invalid',
      });
      expect((await store.facts(tenant, letter)).map((f) => f.fact)).toContain('disputed');
      expect(await store.object(tenant, crl.object)).not.toBeNull();
    });
  });

  describe('keeps seals and renewals that', () => {
    const record = (over: Partial<ArchiveRecord>): ArchiveRecord => ({
      kind: 'seal',
      digest: 'sha256',
      genTime: '2026-03-01T08:00:00Z',
      authority: 'tsa',
      leaves: 5,
      final: false,
      token: Buffer.from('token'),
      response: Buffer.from('response'),
      tiles: [{ level: 0, n: 0, hashes: Buffer.alloc(160, 1) }],
      ranges: [],
      covers: [],
      leafLists: [],
      excluded: [],
      ...over,
    });
    const ranges = async () => {
      let position = 0;
      return (await store.unsealed()).map(({ tenant: of, from, to, checkpoint }) => {
        const range = { tenant: of, from, to, position, checkpoint };
        position += to - from + 1;
        return range;
      });
    };

    it('cover every entry of every tenant once, with an entry in each log', async () => {
      await accept();
      expect(await store.unsealed()).toMatchObject([
        { tenant: other, from: 0, to: 1, worthSealing: true, oldest: '2026-03-01T08:00:00.000Z' },
        { tenant, from: 0, to: 2, worthSealing: true },
      ]);
      const first = await ranges();
      expect(await store.recordArchiveTimestamp(record({ ranges: first }))).toEqual({ id: 1 });
      expect(await store.archiveRanges(1)).toEqual(first);
      expect(await store.sealOf(tenant, 1)).toEqual({ id: 1, position: 3 });
      expect(await store.sealOf(tenant, 2)).toBeNull();
      expect(await store.entry(tenant, 2)).toMatchObject({ kind: 'sealed', from: 0, to: 2 });
      expect((await store.unsealed()).map((u) => u.worthSealing)).toEqual([false, false]);
      expect(Buffer.from(await store.archiveTile(1, 0, 0))).toEqual(Buffer.alloc(160, 1));
      expect(await store.archiveToken(1)).toEqual({
        token: Buffer.from('token'),
        response: Buffer.from('response'),
      });
      await expect(store.recordArchiveTimestamp(record({ ranges: first }))).rejects.toThrow();
      expect((await store.archiveTimestamps()).length).toBe(1);
    });

    it('are covered only once their token is final, and change no more', async () => {
      await store.recordArchiveTimestamp(record({ ranges: await ranges() }));
      const renewal = record({ kind: 'timestamp-renewal', covers: [{ id: 1, position: 0 }] });
      await expect(store.recordArchiveTimestamp(renewal)).rejects.toThrow(/not final yet/);
      await store.finishArchiveToken(1, Buffer.from('token with its list'));
      await store.finishArchiveToken(1, Buffer.from('token with a newer list'));
      await store.recordArchiveTimestamp(renewal);
      await expect(store.finishArchiveToken(1, Buffer.from('x'))).rejects.toThrow(/covered already/);
      expect(await store.renewalsOf(1)).toEqual([{ id: 2, kind: 'timestamp-renewal', position: 0 }]);
      expect(await store.archiveTimestamps()).toMatchObject([
        { id: 1, final: true },
        { id: 2, final: false, kind: 'timestamp-renewal' },
      ]);
      expect(await store.entry(tenant, 2)).toMatchObject({
        kind: 'renewed',
        method: 'timestamp',
        covers: [1],
        excluded: [],
      });
      await store.finishArchiveToken(2, Buffer.from('t'));
      await store.recordArchiveTimestamp(
        record({
          kind: 'hash-tree-renewal',
          digest: 'sha512',
          covers: [{ id: 1, position: 0 }],
          leafLists: [{ tenant, size: 2, position: 4 }],
          excluded: [{ tenant, index: 0, reason: 'does not decrypt' }],
        }),
      );
      expect(await store.archiveLeafLists(3)).toEqual([{ tenant, size: 2, position: 4 }]);
      expect(await store.archiveExcluded(3)).toEqual([{ tenant, index: 0, reason: 'does not decrypt' }]);
      expect(await store.entry(other, 3)).toMatchObject({ kind: 'renewed', excluded: [] });
    });

    it('hand out the files of an entry', async () => {
      const letter = await accept();
      const files = await store.entryFiles(tenant, letter);
      expect(files?.salt.length).toBe(32);
      expect(JSON.parse(files!.bytes.toString())).toEqual(files!.entry);
      expect(await store.entryFiles(tenant, 99)).toBeNull();
    });
  });

  describe('rotates a tenant key', () => {
    const by = { actor: { type: 'operator', name: 'op' }, reason: 'yearly' } as const;
    const large = `${letterText}${'x'.repeat(200_000)}`;
    const content = async (letter: number) => {
      const entry = await store.entry(tenant, letter);
      const object = entry?.kind === 'submission' && (await store.object(tenant, entry.message.object));
      return (await collect((object as OpenObject).read())).toString();
    };

    it('so that everything opens under the new one alone, and addresses stay', async () => {
      const letter = await accept();
      const { letter: big } = await store.acceptSubmission(
        tenant,
        submission(await stageText(store, tenant, large), 2),
      );
      const before = await store.entry(tenant, letter);
      const old = await readFile(join(directory, 'keys', `${tenant}.key`));
      // Staged under the old key, named under the new one.
      const between = await stageText(store, tenant, `${letterText}3`);
      expect(await store.rotateKeys(tenant, by)).toEqual({ corrupt: [] });
      const { letter: third } = await store.acceptSubmission(tenant, submission(between, 3));
      expect((await readdir(join(directory, 'keys'))).filter((n) => n.startsWith(tenant)).sort()).toEqual([
        `${tenant}.address.key`,
        `${tenant}.key`,
        `${tenant}.log.key`,
      ]);
      expect((await readFile(join(directory, 'keys', `${tenant}.key`))).equals(old)).toBe(false);
      await store[Symbol.asyncDispose]();
      store = await open();
      expect(await store.entry(tenant, letter)).toEqual(before);
      expect([await content(letter), await content(big), await content(third)]).toEqual([
        letterText,
        large,
        `${letterText}3`,
      ]);
      expect(await store.search({ tenant, sha256: hex(large) })).toHaveLength(1);
      expect((await stageText(store, tenant, large)).object.object).toBe(
        ((await store.entry(tenant, big)) as { message: { object: string } }).message.object,
      );
    });

    it('and takes up a rotation that was cut off', async () => {
      const letter = await accept();
      await store[Symbol.asyncDispose]();
      beginRotation(join(directory, 'keys'), tenant);
      store = await open();
      const { letter: second } = await store.acceptSubmission(
        tenant,
        submission(await stageText(store, tenant, large), 2),
      );
      expect(await content(letter)).toBe(letterText);
      await store.rotateKeys(tenant, by);
      await store[Symbol.asyncDispose]();
      store = await open();
      expect([await content(letter), await content(second)]).toEqual([letterText, large]);
    });
  });

  it('locks a tenant, with its entry', async () => {
    const lock = { locked: true, actor: { type: 'operator', name: 'ops' }, reason: 'abuse' } as const;
    expect(await store.setLock(tenant, lock)).toBe(true);
    expect(await store.setLock(tenant, lock)).toBe(false);
    expect(await store.lock(tenant)).toMatchObject({ reason: 'abuse', actor: 'ops' });
    expect(await store.lock(other)).toBeNull();
    expect(await store.setLock(tenant, { ...lock, locked: false })).toBe(true);
    expect(await store.lock(tenant)).toBeNull();
  });

  it('keeps intents open until their outcome, also over a restart', async () => {
    const login = { account: 'waren', protocol: 'imap' } as const;
    const actor = { type: 'gateway', name: 'provider link' } as const;
    const first = await store.recordLoginIntent(tenant, { ...login, level: 'high', reason: 'start', actor });
    const place = { account: 'waren', folder: 'INBOX' };
    const copies = [{ uid: 1, entry: 7, letter: 7, sha256: '0'.repeat(64), size: 1 }];
    const second = await store.recordDeletionIntent(tenant, {
      ...place,
      uidValidity: '7',
      copies,
      reason: 'older than 90 days',
    });
    await store[Symbol.asyncDispose]();
    store = await open();
    const openOnes = async () =>
      (await store.openIntents(tenant)).map(({ index, kind }) => ({ index, kind }));
    expect(await openOnes()).toEqual([
      { index: first.index, kind: 'login-intent' },
      { index: second.index, kind: 'deletion-intent' },
    ]);
    expect(await store.openIntents(other)).toEqual([]);
    await store.recordLoginOutcome(tenant, {
      ...login,
      intent: first.index,
      result: 'unknown',
      detail: 'cut off',
    });
    const outcome = { ...place, intent: second.index, result: 'deleted', copies, detail: 'gone' } as const;
    await store.recordDeletionOutcome(tenant, outcome);
    expect(await openOnes()).toEqual([]);
    expect((await store.timeline(tenant, 7)).map((e) => e.kind)).toEqual(['deletion-outcome']);
  });

  it('knows what it fetched from an account by its bytes', async () => {
    const staged = await stageText(store, tenant, letterText);
    const { sha256 } = staged.object;
    expect(await store.fetchedAs(tenant, 'waren', sha256)).toBeNull();
    const recorded = await store.recordFetched(tenant, inbound(staged, 1));
    expect(await store.fetchedAs(tenant, 'waren', sha256)).toBe(recorded!.index);
    expect(await store.fetchedAs(tenant, 'another', sha256)).toBeNull();
  });

  describe('mailboxes', () => {
    const append = async (mailbox: number, text: string, flags: string[] = []) =>
      store.appendMessage(tenant, mailbox, {
        message: await stageText(store, tenant, text),
        flags,
        internalDate: 0,
      });

    it('gets copies by its use, whatever its name; the entry says its name, and no quota keeps them out', async () => {
      await store.ensureMailboxes(tenant, erika, [{ name: 'Gesendet', specialUse: '\\Sent' }]);
      await store.renameMailbox(tenant, erika, 'Gesendet', 'Post/Ausgang');
      const letter = await accept(1);
      expect(await store.entry(tenant, letter)).toMatchObject({
        delivered: [{ owner: erika.name, mailbox: 'Post/Ausgang' }],
      });
      const sent = (await store.mailbox(tenant, erika, 'Post/Ausgang'))!;
      expect(sent).toMatchObject({ messages: 1, unseen: 0, specialUse: '\\Sent' });
      const full = { quota: { bytes: 1, messages: null } };
      const other = await store.createMailbox(tenant, erika, 'Akten');
      await expect(store.copyMessages(tenant, sent.id, [1], other.id, full)).rejects.toMatchObject({
        code: 'quota-exceeded',
      });
      expect((await store.moveMessages(tenant, sent.id, [1], other.id, full)).pairs).toEqual([[1, 1]]);
      await accept(2);
      expect(await store.mailboxUsage(tenant, erika)).toMatchObject({ messages: 2 });
    });

    it('counts what it holds as messages come and go', async () => {
      const { id } = await store.createMailbox(tenant, erika, 'Akten');
      for (const text of ['a', 'bb', 'ccc']) await append(id, text, text === 'a' ? ['\\Seen'] : []);
      expect(await store.mailboxById(tenant, id)).toMatchObject({ messages: 3, unseen: 2, bytes: 6 });
      await store.changeFlags(tenant, id, [2, 3], { op: 'add', flags: ['\\Seen', '\\Deleted'] });
      await store.changeFlags(tenant, id, [1], { op: 'remove', flags: ['\\Seen'] });
      expect(await store.mailboxById(tenant, id)).toMatchObject({ messages: 3, unseen: 1, bytes: 6 });
      await store.expunge(tenant, id, null);
      expect(await store.mailboxById(tenant, id)).toMatchObject({ messages: 1, unseen: 1, bytes: 1 });
    });

    it('has a greater UIDVALIDITY when it is made again, also within a second', async () => {
      const first = await store.createMailbox(tenant, erika, 'Akten');
      await store.deleteMailbox(tenant, erika, 'Akten');
      const second = await store.createMailbox(tenant, erika, 'Akten');
      expect(second.uidValidity).toBeGreaterThan(first.uidValidity);
    });

    it('keep what the gateway states from clients, and with the copies they make', async () => {
      const from = await store.createMailbox(tenant, erika, 'Bestätigt');
      const to = await store.createMailbox(tenant, erika, 'Abgelegt');
      await append(from.id, 'a');
      await store.changeFlags(tenant, from.id, [1], { op: 'add', flags: ['$DeMailValid', 'Akte'] });
      const settable = { seen: true, deleted: true, others: true };
      const flagsAfter = async (op: 'add' | 'remove' | 'replace', flags: string[]) =>
        (await store.changeFlags(tenant, from.id, [1], { op, flags, settable })).changed[0]!.flags;
      expect(await flagsAfter('remove', ['$demailvalid'])).toEqual(['$DeMailValid', 'Akte']);
      expect(await flagsAfter('add', ['$DeMailRetrieved'])).toEqual(['$DeMailValid', 'Akte']);
      expect(await flagsAfter('replace', [])).toEqual(['$DeMailValid']);
      await store.copyMessages(tenant, from.id, [1], to.id, {
        settable: { ...settable, others: false },
        user: 'erika',
      });
      expect((await store.messages(tenant, to.id))[0]!.flags).toEqual(['$DeMailValid']);
    });

    it('flag, move, copy and expunge with rising modseq; UIDs are never used twice', async () => {
      const from = await store.createMailbox(tenant, erika, 'Akten/2026');
      const to = await store.createMailbox(tenant, erika, 'Ziel');
      expect((await store.mailboxes(tenant, erika)).map((m) => m.name)).toEqual([
        'Akten',
        'Akten/2026',
        'Ziel',
      ]);
      for (const text of ['a', 'b', 'c']) await append(from.id, text);
      const before = (await store.mailboxById(tenant, from.id))!.highestModseq;
      const { changed } = await store.changeFlags(tenant, from.id, [1, 3], {
        op: 'add',
        flags: ['\\Deleted', 'Wichtig'],
      });
      expect(changed.map((m) => [m.uid, m.flags])).toEqual([
        [1, ['\\Deleted', 'Wichtig']],
        [3, ['\\Deleted', 'Wichtig']],
      ]);
      expect(
        await store.changeFlags(tenant, from.id, [1], { op: 'add', flags: ['x'], unchangedSince: before }),
      ).toMatchObject({ changed: [], refused: [1] });
      expect((await store.expunge(tenant, from.id, [1, 2])).uids).toEqual([1]);
      expect((await store.moveMessages(tenant, from.id, [2, 3], to.id)).pairs).toEqual([
        [2, 1],
        [3, 2],
      ]);
      expect((await store.changesSince(tenant, from.id, before)).expunged).toEqual([1, 2, 3]);
      expect((await append(from.id, 'd')).uid).toBe(4);
      expect((await store.messages(tenant, to.id)).map((m) => m.flags)).toEqual([
        [],
        ['\\Deleted', 'Wichtig'],
      ]);
    });

    it('drop an object with its last copy, but never one that is evidence', async () => {
      const box = await store.createMailbox(tenant, erika, 'Entwurf');
      const draft = await stageText(store, tenant, 'draft');
      await store.appendMessage(tenant, box.id, { message: draft, flags: ['\\Deleted'], internalDate: 0 });
      const letter = await accept();
      const sent = (await store.mailbox(tenant, erika, 'Gesendet'))!;
      await store.changeFlags(tenant, sent.id, [1], { op: 'add', flags: ['\\Deleted'] });
      await store.expunge(tenant, box.id, null);
      await store.expunge(tenant, sent.id, null);
      expect(await store.object(tenant, draft.object.object)).toBeNull();
      const entry = await store.entry(tenant, letter);
      expect(
        entry?.kind === 'submission' && (await store.object(tenant, entry.message.object)),
      ).not.toBeNull();
    });

    it('rename with their children, and INBOX by moving its messages', async () => {
      await store.ensureMailboxes(tenant, erika, [{ name: 'INBOX', specialUse: null }]);
      await store.createMailbox(tenant, erika, 'A/B');
      await store.renameMailbox(tenant, erika, 'A', 'X/Y');
      expect((await store.mailboxes(tenant, erika)).map((m) => m.name).sort()).toEqual([
        'INBOX',
        'X',
        'X/Y',
        'X/Y/B',
      ]);
      await append((await store.mailbox(tenant, erika, 'INBOX'))!.id, 'm');
      await store.renameMailbox(tenant, erika, 'INBOX', 'Alt');
      expect((await store.mailbox(tenant, erika, 'INBOX'))?.messages).toBe(0);
      expect((await store.mailbox(tenant, erika, 'Alt'))?.messages).toBe(1);
      await expect(store.createMailbox(tenant, erika, 'Alt')).rejects.toMatchObject({
        code: 'mailbox-exists',
      });
    });

    it('keep \\Seen per user in a shared mailbox', async () => {
      const shared = { type: 'shared', name: 'Poststelle' } as const;
      const box = await store.createMailbox(tenant, shared, 'INBOX');
      await append(box.id, 'm');
      await store.changeFlags(tenant, box.id, [1], { op: 'add', flags: ['\\Seen'], user: 'erika' });
      expect((await store.messages(tenant, box.id, 'erika'))[0]?.flags).toEqual(['\\Seen']);
      expect((await store.messages(tenant, box.id, 'jan'))[0]?.flags).toEqual([]);
    });
  });
});
