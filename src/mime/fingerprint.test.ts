import fc from 'fast-check';
import { expect, it } from 'vitest';
import { messageFingerprint } from './fingerprint.ts';
import { createIndexer } from './structure.ts';

const header =
  'From: a@b.example\r\nMessage-ID: <1@b.example>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n';

async function fingerprintOf(body: string, piece = 65_536): Promise<string | null> {
  const bytes = Buffer.from(header + body);
  const indexer = createIndexer();
  indexer.push(bytes);
  return messageFingerprint(indexer.finish(), async function* (from, to) {
    for (let at = from; at < to; at += piece) yield bytes.subarray(at, Math.min(to, at + piece));
  });
}

/** Words with what is apt to be cut or composed: combining marks, pairs, spaces of every kind. */
const word = fc.string({
  unit: fc.constantFrom('a', 'ß', 'u', '\u0308', 'ü', '\ufb01', '🦆', '漢', '.'),
  minLength: 1,
  maxLength: 6,
});
const words = fc.array(word, { maxLength: 12 });

it('does not depend on how the bytes come, on blanks and line ends, or on how umlauts are composed', async () => {
  const blank = fc.constantFrom(' ', '  ', '\r\n', ' \r\n', '\t', '\u00a0 ');
  await fc.assert(
    fc.asyncProperty(
      words,
      fc.array(blank, { minLength: 12, maxLength: 12 }),
      fc.integer({ min: 1, max: 9 }),
      async (list, blanks, piece) => {
        const plain = await fingerprintOf(list.join(' '));
        const other = list.map((one, i) => one.normalize('NFD') + blanks[i]).join('');
        expect(await fingerprintOf(other, piece)).toBe(plain);
      },
    ),
    { numRuns: 100 },
  );
});

it('depends on every word', async () => {
  await fc.assert(
    fc.asyncProperty(words, words, async (a, b) => {
      const [one, other] = [a, b].map((list) => list.join(' ').normalize('NFC'));
      expect((await fingerprintOf(one!, 3)) === (await fingerprintOf(other!))).toBe(one === other);
    }),
    { numRuns: 100 },
  );
});

it('takes a text without any blank in time and memory that grow with its length alone', async () => {
  const long = await fingerprintOf('漢'.repeat(700_000), 8192);
  expect(long).not.toBe(await fingerprintOf(`${'漢'.repeat(699_999)}字`, 8192));
});

it.each([' ', '(', ' ('])(
  'takes a date of %j without end in time that grows with its length alone',
  async (fill) => {
    const indexer = createIndexer();
    indexer.push(
      Buffer.from(`Message-ID: <1@b.example>\r\nDate: x${fill.repeat(120_000 / fill.length)}x\r\n\r\n`),
    );
    const begun = process.cpuUsage();
    expect(await messageFingerprint(indexer.finish(), async function* () {})).not.toBeNull();
    expect(process.cpuUsage(begun).user).toBeLessThan(1_000_000);
  },
);
