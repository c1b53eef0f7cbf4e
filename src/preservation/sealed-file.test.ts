import { createSecretKey, randomBytes } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createSealed, openSealed } from './sealed-file.ts';

const key = createSecretKey(randomBytes(32));
let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealed-'));
  file = join(folder, 'a');
});
afterEach(() => rm(folder, { recursive: true }));

async function write(parts: readonly Buffer[], finish = true): Promise<void> {
  const sealed = await createSealed(file, key, 'a', true);
  for (const part of parts) await sealed.write(part);
  if (finish) await sealed.finish();
  else await sealed.abandon();
}

/** Chunks, and whether the file is finished. */
async function read(name = 'a', with_ = key): Promise<{ parts: string[]; whole: boolean }> {
  await using sealed = await openSealed(file, with_, name);
  const parts: string[] = [];
  const chunks = sealed.chunks();
  let step = await chunks.next();
  for (; !step.done; step = await chunks.next()) parts.push(step.value.toString());
  return { parts, whole: step.value };
}

const parts = ['one', 'two', ''].map((text) => Buffer.from(text));

it('gives back what was written, in order, and says whether it ended', async () => {
  await write(parts);
  expect(await read()).toEqual({ parts: ['one', 'two', ''], whole: true });
  await rm(file);
  await write(parts.slice(0, 2), false);
  expect(await read()).toEqual({ parts: ['one', 'two'], whole: false });
});

it('opens under its own name and key alone', async () => {
  await write(parts);
  await expect(read('b')).rejects.toThrow(/was changed, or is under another key/);
  await expect(read('a', createSecretKey(randomBytes(32)))).rejects.toThrow(/under another key/);
});

it('never takes a changed or shortened file for the whole one', async () => {
  await write(parts);
  const bytes = readFileSync(file);
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at]! ^= 1;
    writeFileSync(file, changed);
    const seen = await read().catch(() => null);
    expect(seen?.whole ?? false, `byte ${at}`).toBe(false);
    writeFileSync(file, bytes.subarray(0, at));
    const cut = await read().catch(() => null);
    expect(cut?.whole ?? false, `cut at ${at}`).toBe(false);
  }
});

it('does not join two files', async () => {
  await write(parts.slice(0, 2), false);
  const first = readFileSync(file);
  renameSync(file, join(folder, 'first'));
  await write(parts);
  writeFileSync(file, Buffer.concat([first, readFileSync(file).subarray(24)]));
  await expect(read()).rejects.toThrow(/chunk 2 was changed/);
});
