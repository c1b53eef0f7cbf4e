/** The contract of the store about malware scans, refused messages and sender's signatures. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { verifyStore } from '../evidence/verify.ts';
import { createIndexer } from '../mime/structure.ts';
import { openAudit } from './sqlite/audit.ts';
import { openSqliteStore, storePaths } from './sqlite/open.ts';
import type { Fetched, StagedMessage, Store } from './store.ts';

const tenant = 'stadt';
const erika = { type: 'user', name: 'erika@stadt.example' } as const;
const text = 'From: max@buerger.example\r\nMessage-ID: <1@x>\r\nSubject: Antrag\r\n\r\nGuten Tag\r\n';

let directory: string;
let store: Store;
let now: number;

const open = () => openSqliteStore({ directory, originPrefix: 'test.example', clock: () => now });

beforeEach(async () => {
  now = Date.parse('2026-03-01T08:00:00Z');
  directory = await mkdtemp(join(tmpdir(), 'store-'));
  store = await open();
  await store.openTenant(tenant);
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

async function stage(bytes: Buffer): Promise<StagedMessage> {
  const writer = store.stage(tenant);
  const indexer = createIndexer();
  indexer.push(bytes);
  await writer.write(bytes);
  return { object: await writer.finish(), index: indexer.finish() };
}

async function collect(bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of bytes) parts.push(part);
  return Buffer.concat(parts);
}

function fetched(staged: StagedMessage, scan: Fetched['scan']): Fetched {
  return {
    kind: 'inbound',
    source: { account: 'stadt', folder: 'INBOX', uidValidity: '1', uid: 1 },
    header: { messageId: '<1@x>', subject: 'Antrag', from: 'max@buerger.example', date: null },
    demail: {
      messageType: 'normal',
      messageId: '<1@x>',
      privateId: null,
      sender: 'max@buerger.example',
      authLevel: 'high',
      originatorProvider: null,
      options: [],
      chosenRecipients: [],
      envelopeTo: ['erika@stadt.example'],
    },
    attachments: [],
    verdict: 'not-checked',
    ...(scan === undefined ? {} : { scan, hold: true }),
    staged,
    deposits: [
      { owner: erika, mailbox: 'INBOX', reason: 'x', prefix: Buffer.from('X-Block: ä\r\n'), flags: ['$A'] },
    ],
    forward: { recipients: ['erika@stadt.example'], prefix: Buffer.from('X-F: 1\r\n') },
  };
}

/** The checkpoint outside the database is written when the store is closed, at the latest. */
async function findings() {
  await store[Symbol.asyncDispose]();
  store = await open();
  using audit = openAudit(storePaths({ directory }));
  return (await verifyStore(audit)).findings;
}

async function mailsOf(mailbox: string): Promise<string[]> {
  const info = await store.mailbox(tenant, erika, mailbox);
  if (info === null) return [];
  const rows = await store.messages(tenant, info.id);
  const contents = await store.contents(
    tenant,
    info.id,
    rows.map(({ uid }) => uid),
  );
  return await Promise.all(
    contents.map(async ({ source }) => (await collect(store.readSource(tenant, source))).toString()),
  );
}

describe('a staged object', () => {
  it.each([10, 400_000])(
    'of %i bytes is readable, whole and in part, before a command names it',
    async (size) => {
      const bytes = Buffer.alloc(size, 'abcdefg');
      const { object } = await stage(bytes);
      const opened = store.openStaged(object);
      expect(opened.size).toBe(size);
      expect((await collect(opened.read())).equals(bytes)).toBe(true);
      expect(await collect(opened.read(3, 7))).toEqual(bytes.subarray(3, 7));
    },
  );
});

describe('a fetched message that waits for the scanner', () => {
  const unscanned = { result: 'not-scanned', detail: 'scanner down' } as const;

  it('is evidence at once, and delivered only by the scan, once', async () => {
    const recorded = await store.recordFetched(tenant, fetched(await stage(Buffer.from(text)), unscanned));
    const { index } = recorded!;
    expect(await store.entry(tenant, index)).toMatchObject({ scan: unscanned, delivered: [] });
    expect(await mailsOf('INBOX')).toEqual([]);
    expect(await store.openForwards(tenant)).toEqual([]);
    const [held, ...more] = await store.held(tenant, now, 10);
    expect(more).toEqual([]);
    expect(held).toMatchObject({ index, size: Buffer.byteLength(text) });

    await store.planScan(tenant, index, now + 60_000);
    expect(await store.held(tenant, now, 10)).toEqual([]);
    now += 60_000;
    expect(await store.held(tenant, now, 10)).toHaveLength(1);

    const scan = { about: index, letter: index, result: 'clean', scanner: 'ClamAV 1' } as const;
    const { deposits, forward } = held!;
    expect(await store.recordScan(tenant, { ...scan, deposits, forward })).toBe(true);
    expect(await store.recordScan(tenant, { ...scan, deposits, forward })).toBe(false);
    expect(await mailsOf('INBOX')).toEqual([`X-Block: ä\r\n${text}`]);
    expect(await store.openForwards(tenant)).toMatchObject([{ letter: index }]);
    expect((await store.timeline(tenant, index)).map(({ kind }) => kind)).toEqual(['inbound', 'scan']);
    expect(await store.held(tenant, now, 10)).toEqual([]);
    expect(await findings()).toEqual([]);
  });

  it('is delivered nowhere where the scan says so', async () => {
    const recorded = await store.recordFetched(tenant, fetched(await stage(Buffer.from(text)), unscanned));
    const about = recorded!.index;
    await store.recordScan(tenant, {
      about,
      letter: about,
      result: 'infected',
      detail: 'Eicar',
      deposits: [],
      forward: null,
    });
    expect(await mailsOf('INBOX')).toEqual([]);
    expect(await store.openForwards(tenant)).toEqual([]);
    expect(await findings()).toEqual([]);
  });
});

it('keeps a refused message with its bytes and finds it again', async () => {
  const message = await stage(Buffer.from(text));
  const { index } = await store.recordRefusal(tenant, {
    actor: { type: 'user', name: erika.name },
    listener: 'submission',
    envelope: { from: erika.name, recipients: [{ address: 'max@buerger.example' }] },
    sender: erika.name,
    header: { messageId: '<1@x>', subject: 'Antrag', from: erika.name, date: null },
    attachments: [],
    options: [],
    scan: { result: 'infected', detail: 'Eicar', scanner: 'ClamAV 1' },
    message,
  });
  expect(await store.search({ sha256: message.object.sha256 })).toMatchObject([{ index, kind: 'refused' }]);
  expect(await store.resolve('<1@x>')).toEqual([{ tenant, letter: index }]);
  expect(await store.openTransactions(tenant)).toEqual([]);
  expect(await findings()).toEqual([]);
});

it('keeps a signature as an object of its own, to be found by its digest', async () => {
  const cms = await stage(Buffer.from('signature'));
  const { object, sha256 } = cms.object;
  const recorded = await store.recordFetched(tenant, {
    ...fetched(await stage(Buffer.from(text)), undefined),
    signatures: [
      { kind: 'p7s', part: '2', sha256, signer: 'CN=Erika', verdict: 'indeterminate', object: cms.object },
    ],
  });
  const { index } = recorded!;
  expect(await store.entry(tenant, index)).toMatchObject({
    signatures: [{ part: '2', object: { object, sha256, size: 9 } }],
  });
  expect((await store.search({ sha256 })).map((found) => found.index)).toEqual([index]);
  expect((await collect((await store.object(tenant, object))!.read())).toString()).toBe('signature');
  expect(await findings()).toEqual([]);
});
