/** Every transcript of this folder, each against a server and store of its own. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openImapWorld } from '../../src/imap/testing/world.ts';
import { playTranscript } from './transcript.ts';

const folder = import.meta.dirname;
const files = readdirSync(folder).filter((name) => name.endsWith('.txt'));

test('there are transcripts', () => expect(files.length).toBeGreaterThan(10));

test.each(files)(
  '%s',
  async (file) => {
    const text = readFileSync(join(folder, file), 'latin1');
    const tenant = /^@ tenant (.*)$/m.exec(text)?.[1] ?? '{}';
    await using world = await openImapWorld({ badCommands: 5, messageSize: 100_000 }, JSON.parse(tenant));
    await playTranscript(world, text);
  },
  60_000,
);
