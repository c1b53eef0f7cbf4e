import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { signCheckpoint } from './checkpoint.ts';
import { createCosigner } from './cosignature.ts';
import { appendLeaves, edgeRoot, emptyEdge, inclusionProof, leafHash } from './merkle.ts';
import { createNoteSigner, parseNote, verifierKey } from './note.ts';
import { formatProof, parseProof, verifyProof } from './proof.ts';
import { newTiles, parseTilePath, tilePath } from './tile-path.ts';
import { formatAddCheckpoint, parseAddCheckpoint } from './witness-request.ts';

const name = 'gateway.example/stadt';
const { privateKey } = generateKeyPairSync('ed25519');
const key = verifierKey(name, createPublicKey(privateKey));
const witness = createCosigner('nachbar.example/witness', generateKeyPairSync('ed25519').privateKey);
const leaves = Array.from({ length: 300 }, (_, i) => leafHash(Buffer.from(String(i))));
const { edge, changed } = appendLeaves(emptyEdge(), leaves);
const read = (level: number, n: number) => changed.find((t) => t.level === level && t.n === n)!.hashes;
const signed = signCheckpoint(
  { origin: name, size: 300, root: edgeRoot(edge) },
  createNoteSigner(name, privateKey),
);
const note = signed + witness.cosign(parseNote(signed).text, 1_772_352_000);
const text = formatProof(17, inclusionProof(17, 300, read), note);

describe('a proof', () => {
  it('verifies with the keys of log and witness', () => {
    const { checkpoint, cosignatures } = verifyProof(parseProof(text), leaves[17]!, [key], [witness.key]);
    expect(checkpoint.size).toBe(300);
    expect(cosignatures).toMatchObject([{ witness: witness.name, time: 1_772_352_000 }]);
    expect(verifyProof(parseProof(text), leaves[17]!, [key]).cosignatures).toEqual([]);
  });

  it('may carry extra data, which says nothing', () => {
    expect(parseProof(text.replace('index', 'extra AAAA\nindex'))).toEqual(parseProof(text));
  });

  it.each([
    ['another entry', text, leaves[18]!, /does not lead/],
    ['another index', text.replace('index 17', 'index 16'), leaves[17]!, /does not lead/],
    ['a path cut short', text.replace(/(index 17\n).*\n/, '$1'), leaves[17]!, /does not lead/],
    ['another size', text.replace('\n300\n', '\n301\n'), leaves[17]!, /no valid signature/],
    [
      'another time of the witness',
      text.replace(/(nachbar.example\/witness \S{13})(.)/, (_, a, b) => a + (b === 'B' ? 'C' : 'B')),
      leaves[17]!,
      /cosignature in the name of|key/,
    ],
  ])('of %s does not', (_, changedText, leaf, message) => {
    expect(() => {
      const { cosignatures } = verifyProof(parseProof(changedText), leaf, [key], [witness.key]);
      if (cosignatures.length === 0) throw new Error('no key of a witness');
    }).toThrow(message);
  });

  it('is read totally', () => {
    fc.assert(
      fc.property(fc.string(), (junk) => {
        for (const candidate of [junk, text.slice(0, junk.length * 20) + junk])
          try {
            parseProof(candidate);
          } catch (error) {
            expect(error).toBeInstanceOf(Error);
          }
      }),
    );
  });
});

describe('names of tiles', () => {
  it('are those of the specification', () => {
    expect(tilePath({ level: 0, n: 1_234_067, width: 256 })).toBe('tile/0/x001/x234/067');
    expect(tilePath({ level: 'entries', n: 5, width: 17 })).toBe('tile/entries/005.p/17');
    // c2sp.org/tlog-tiles, "Partial Tiles": a tree of 70,000.
    const tiles = [...newTiles(0, 70_000)].filter(({ level }) => level !== 'entries');
    expect(tiles.filter(({ width }) => width < 256)).toEqual([
      { level: 0, n: 273, width: 112 },
      { level: 1, n: 1, width: 17 },
      { level: 2, n: 0, width: 1 },
    ]);
    expect(tiles.length).toBe(273 + 1 + 1 + 1 + 1);
  });

  it('come back, and nothing else is one', () => {
    fc.assert(
      fc.property(fc.nat(63), fc.nat(2 ** 31 - 1), fc.integer({ min: 1, max: 256 }), (level, n, width) => {
        expect(parseTilePath(tilePath({ level, n, width }))).toEqual({ level, n, width });
      }),
    );
    for (const path of [
      'tile/00/000',
      'tile/64/000',
      'tile/0/000.p/256',
      'tile/0/000.p/0',
      'tile/0/x000/001',
      'tile/0/1',
      'tile/0/../000',
    ])
      expect(parseTilePath(path), path).toBe(null);
  });
});

it('a request to a witness comes back as it was sent', () => {
  const request = { oldSize: 7, proof: [leaves[1]!, leaves[2]!], checkpoint: note };
  expect(parseAddCheckpoint(formatAddCheckpoint(request))).toEqual(request);
  for (const body of ['old 07\n\n', 'old\n\n', 'old 1\nxx\n\n', 'old 1', `old 1\n${'A\n'.repeat(64)}\n`])
    expect(() => parseAddCheckpoint(body)).toThrow();
});
