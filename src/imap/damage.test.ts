/** What the facade answers where the store fails: never a text that is not the message's. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openRawClient, type RawClient } from './testing/raw-client.ts';
import { ERIKA, openImapWorld, PASSWORD } from './testing/world.ts';

async function answer(client: RawClient, command: string): Promise<string> {
  const tag = command.split(' ')[0]!;
  client.send(`${command}\r\n`);
  for (;;) {
    const line = await client.line();
    if (line === null) return 'closed';
    if (line.startsWith(`${tag} `)) return line;
  }
}

test('a damaged message is refused, or broken off where it is being sent; a store that is gone is no secret', async () => {
  await using world = await openImapWorld();
  const client = await openRawClient(world.ports.imaps, world.authority);
  await answer(client, `a LOGIN ${ERIKA} ${PASSWORD}`);
  const message = `Subject: x\r\n\r\n${'y'.repeat(1_000_000)}`;
  await answer(client, `b APPEND INBOX {${message.length}+}\r\n${message}`);
  await answer(client, 'c SELECT INBOX');
  const files = await readdir(world.folder, { recursive: true, withFileTypes: true });
  const objects = files.filter((file) => file.isFile() && file.parentPath.includes('objects'));
  expect(objects.length).toBe(1);
  const path = join(objects[0]!.parentPath, objects[0]!.name);
  const bytes = await readFile(path);
  bytes[500_000]! ^= 1;
  await writeFile(path, bytes);

  expect(await answer(client, 'd FETCH 1 BODY.PEEK[]<0.10>')).toBe('d OK Fetched');
  expect(await answer(client, 'e FETCH 1 BODY.PEEK[]<499000.2000>')).toMatch(/^e NO \[CORRUPTION\] /);
  expect(await answer(client, 'f FETCH 1 (ENVELOPE BODYSTRUCTURE RFC822.SIZE)')).toBe('f OK Fetched');
  expect(await answer(client, 'g FETCH 1 BODY.PEEK[]')).toBe('closed');

  const other = await openRawClient(world.ports.imaps, world.authority);
  await answer(other, `a LOGIN ${ERIKA} ${PASSWORD}`);
  await world.store[Symbol.asyncDispose]();
  expect(await answer(other, 'b SELECT INBOX')).toMatch(
    /^b NO \[SERVERBUG\] Internal error; tell the operator/,
  );
  client.destroy();
  other.destroy();
});
