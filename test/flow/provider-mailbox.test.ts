import { randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Entry } from '../../src/evidence/entry.ts';
import { createManualClock } from '../../src/observe/testing/manual-clock.ts';
import {
  headerOf,
  max,
  openSimulator,
  openWorld,
  type SimulatedProvider,
  type World,
} from './provider-world.ts';

let provider: SimulatedProvider;
beforeEach(async () => {
  provider = await openSimulator();
});
afterEach(() => provider[Symbol.asyncDispose]());

const day = 86_400_000;
const now = Date.now();
/** A day from now on, for a link that is started anew. */
const later = (days: number) => ({ clock: createManualClock(now + days * day) });

async function world(more: object): Promise<World> {
  const { stadt } = await provider.accounts(more);
  return openWorld({ provider: { stadt: stadt! } }, createManualClock(now));
}

async function fetchAll(w: World) {
  const link = await w.startLink();
  await link.fetchNow('stadt');
  await link.close(0);
}

function deposit(subject: string, { header = '', body = 'Guten Tag' } = {}) {
  const bytes = `From: <${max}>\r\nTo: erika@stadt.de-mail.example\r\nSubject: ${subject}\r\nMessage-ID: <${crypto.randomUUID()}@p.example>\r\nX-de-mail-message-type: normal\r\nX-de-mail-sender: ${max}\r\n${header}\r\n${body}\r\n`;
  return provider.simulator.deposit('stadt', Buffer.from(bytes), 'erika@stadt.de-mail.example');
}

/** Subjects of what is there. One that is deleted between listing and reading is not. */
async function left(mailbox = 'INBOX'): Promise<string[]> {
  const { simulator } = provider;
  const read = simulator
    .messages('stadt', mailbox)
    .map(({ uid }) => simulator.read('stadt', mailbox, uid).catch(() => null));
  const messages = (await Promise.all(read)).filter((bytes) => bytes !== null);
  return messages.map((bytes) => headerOf(bytes, 'Subject') ?? '');
}
const ofKind = async <K extends Entry['kind']>(w: World, kind: K) =>
  (await w.entries()).filter((e): e is Extract<Entry, { kind: K }> => e.kind === kind);
const incidents = async (w: World) =>
  (await ofKind(w, 'incident')).map(({ incident, state }) => `${incident} ${state}`);

it('deletes nothing at the provider unless the tenant says so', async () => {
  await using w = await world({ authLevel: 'high' });
  await deposit('bleibt');
  await fetchAll(w);
  const link = await w.startLink(later(4_000));
  await link.fetchNow('stadt');
  await link.fetchNow('stadt');
  expect(await left()).toEqual(['bleibt']);
  expect(await ofKind(w, 'deletion-intent')).toEqual([]);
});

it('deletes old copies of what the store holds, by intent and outcome, in the timeline of each letter', async () => {
  await using w = await world({ authLevel: 'high', deleteAfter: '90d', doneFolder: 'Erledigt' });
  await deposit('eins');
  await deposit('zwei');
  await fetchAll(w);
  expect(await left('Erledigt')).toEqual(['eins', 'zwei']);
  const early = await w.startLink(later(89));
  await early.fetchNow('stadt');
  await early.fetchNow('stadt');
  await early.close(0);
  expect(await left('Erledigt')).toEqual(['eins', 'zwei']);

  await w.startLink(later(91));
  const outcome = await w.until(async () => (await ofKind(w, 'deletion-outcome'))[0]);
  expect(await left('Erledigt')).toEqual([]);
  const [intent] = await ofKind(w, 'deletion-intent');
  const inbound = await ofKind(w, 'inbound');
  expect(intent).toMatchObject({ account: 'stadt', folder: 'Erledigt' });
  expect(intent!.copies.map(({ entry, sha256, size }) => ({ entry, sha256, size }))).toEqual(
    inbound.map(({ index, message: { sha256, size } }) => ({ entry: index, sha256, size })),
  );
  expect(outcome).toMatchObject({ intent: intent!.index, result: 'deleted', copies: intent!.copies });
  for (const { index } of inbound) {
    expect((await w.store.timeline('stadt', index)).at(-1)).toMatchObject({ kind: 'deletion-outcome' });
  }
});

it('keeps what was confirmed for 90 days at level normal, whatever the tenant says', async () => {
  await using w = await world({ authLevel: 'normal', deleteAfter: '30d' });
  await deposit('bestätigt', { header: 'X-de-mail-confirmation-of-receipt: yes\r\n' });
  await deposit('einfach');
  await fetchAll(w);
  const link = await w.startLink(later(31));
  await w.until(async () => (await left()).length === 1);
  expect(await left()).toEqual(['bestätigt']);
  await link.close(0);
  await w.startLink(later(91));
  await w.until(async () => (await left()).length === 0);
});

it('keeps a copy whose bytes the store can no longer show, and tells', async () => {
  await using w = await world({ authLevel: 'high', deleteAfter: '30d' });
  await deposit('groß', { body: randomBytes(150_000).toString('hex') });
  await deposit('klein');
  await fetchAll(w);
  const objects = join(w.directory, 'objects');
  const files = (await readdir(objects, { recursive: true, withFileTypes: true })).filter((f) => f.isFile());
  expect(files).toHaveLength(1);
  const file = join(files[0]!.parentPath, files[0]!.name);
  const bytes = await readFile(file);
  bytes[bytes.length >> 1]! ^= 1;
  await writeFile(file, bytes);

  await w.startLink(later(31));
  await w.until(async () => (await incidents(w)).includes('corrupt-object opened'));
  await w.until(async () => (await ofKind(w, 'deletion-outcome')).length > 0);
  expect(await left()).toEqual(['groß']);
});

it('says of a deletion that a kill cut off that nobody knows, and finishes it', async () => {
  await using w = await world({ authLevel: 'high', deleteAfter: '30d' });
  const { uid } = await deposit('eins');
  await fetchAll(w);
  const [{ index, message } = { index: 0, message: { sha256: '', size: 0 } }] = await ofKind(w, 'inbound');
  const copies = [{ uid, entry: index, letter: index, sha256: message.sha256, size: message.size }];
  const place = { account: 'stadt', folder: 'INBOX' };
  await w.store.recordDeletionIntent('stadt', { ...place, uidValidity: '1', copies, reason: 'cut off' });
  await w.startLink(later(31));
  await w.until(async () => (await ofKind(w, 'deletion-outcome')).length === 2);
  expect((await ofKind(w, 'deletion-outcome')).map(({ result }) => result)).toEqual(['unknown', 'deleted']);
  expect(await w.store.openIntents('stadt')).toMatchObject([]);
});

it('warns when the mailbox is nearly full, and says when there is room again', async () => {
  await using w = await world({ authLevel: 'high', mailboxSize: '100KiB', deleteAfter: '30d' });
  for (let n = 1; n <= 9; n += 1) await deposit(`${n}`, { body: 'x'.repeat(11_000) });
  const link = await w.startLink();
  await w.until(async () => (await incidents(w)).includes('provider-mailbox-full opened'));
  const [status] = (await link.status()).filter(({ tenant }) => tenant === 'stadt');
  expect(status).toMatchObject({ mailbox: { limit: 102_400, source: 'sum' }, deleteAfterDays: 30 });
  expect(status!.mailbox!.used).toBeGreaterThan(99_000);
  // The incident is told once it is recorded.
  const told = await w.until(async () => {
    const found = (await ofKind(w, 'notice')).filter(({ text }) => /\(9\d %\)/.test(text));
    return found.length > 0 && found;
  });
  expect(told).toHaveLength(1);
  await link.close(0);
  await w.startLink(later(31));
  await w.until(async () => (await incidents(w)).includes('provider-mailbox-full closed'));
});
