import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { openCheckpoint, signCheckpoint } from './checkpoint.ts';
import { createNoteSigner, verifierKey } from './note.ts';

const name = 'gateway.example/stadt-waren';
const { privateKey } = generateKeyPairSync('ed25519');
const key = verifierKey(name, createPublicKey(privateKey));
const root = Buffer.alloc(32, 7);
const note = signCheckpoint({ origin: name, size: 42, root }, createNoteSigner(name, privateKey));

describe('signed checkpoints', () => {
  it('come back as they were signed', () => {
    expect(openCheckpoint(note, key)).toEqual({ origin: name, size: 42, root });
  });

  it('open the published example of Go sumdb', () => {
    // golang.org/x/mod/sumdb/note, example of the package documentation.
    const text =
      "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n" +
      '\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';
    const peter = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
    // The signature is valid; the body is no checkpoint, and that is what is said.
    expect(() => openCheckpoint(text, peter)).toThrow(/three lines/);
    expect(() => openCheckpoint(text.replace('problem', 'Problem'), peter)).toThrow(/no valid signature/);
  });

  it.each([
    ['another size', note.replace('\n42\n', '\n43\n'), key, /no valid signature/],
    [
      'another key',
      note,
      verifierKey(name, createPublicKey(generateKeyPairSync('ed25519').privateKey)),
      /no valid signature/,
    ],
    ['no signature block', note.split('\n\n')[0]!, key, /no signature block/],
    ['a key whose id was changed', note, key.replace(/\+[0-9a-f]{8}\+/, '+00000000+'), /key id/],
    ['an overlong note', note + 'x'.repeat(140_000), key, /longer/],
  ])('with %s are refused', (_, text, verifier, message) => {
    expect(() => openCheckpoint(text, verifier)).toThrow(message);
  });
});
