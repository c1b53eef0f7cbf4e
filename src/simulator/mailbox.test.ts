import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openMailbox } from './mailbox.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mailbox-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const bytes = (text: string) => Buffer.from(text);

test('everything is found again, a torn last line aside', async () => {
  const first = openMailbox(folder, 'INBOX', 7);
  await first.append([bytes('a'), bytes('b')], { receivedAt: 1000, flags: ['\\Seen'], needsHigh: true });
  await first.append([bytes('c')], { receivedAt: 2000, awaitsRetrieval: true });
  await first.append([bytes('d')], { receivedAt: 3000 });
  first.expunge(3);
  first.setFlags(2, new Set(['$x']));
  await appendFile(join(folder, 'index.jsonl'), '{"uid":9,"fi');

  const again = openMailbox(folder, 'INBOX', 99);
  expect(again).toMatchObject({ uidValidity: 7, uidNext: 4 });
  expect(again.messages).toEqual(first.messages);
  expect((await again.read(1)).toString()).toBe('ab');
  expect((await again.append([bytes('e')], { receivedAt: 4000 })).uid).toBe(4);
  const third = openMailbox(folder, 'INBOX', 99);
  expect(third.messages.map(({ uid }) => uid)).toEqual([1, 2, 4]);
  await expect(third.read(3)).rejects.toThrow('INBOX has no message 3');
});

test('renumbering keeps messages and changes their names', async () => {
  const mailbox = openMailbox(folder, 'INBOX', 7);
  for (const text of ['a', 'b', 'c']) {
    await mailbox.append([bytes(text)], { receivedAt: 0, awaitsRetrieval: text === 'c' });
  }
  mailbox.expunge(1);
  mailbox.renumber();
  for (const view of [mailbox, openMailbox(folder, 'INBOX', 1)]) {
    expect(view).toMatchObject({ uidValidity: 8, uidNext: 3 });
    expect(view.messages.map(({ uid, awaitsRetrieval }) => [uid, awaitsRetrieval])).toEqual([
      [1, false],
      [2, true],
    ]);
    expect((await view.read(1)).toString()).toBe('b');
  }
});
