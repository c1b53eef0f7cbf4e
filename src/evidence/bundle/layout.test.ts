import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createNoteSigner, verifierKey } from '../note.ts';
import { entryIndexOf, entryNames, recordNames } from './layout.ts';
import { digestOfManifest, filesOfManifest, printManifest } from './manifest.ts';
import { printSums, signersOfSums, sumsNote } from './sums.ts';

describe('names in a bundle', () => {
  it('lead back to the entry', () => {
    for (const index of [0, 17, 999_999, 1_000_000, 123_456_789])
      expect(entryIndexOf(entryNames(index).entry)).toBe(index);
    for (const name of ['entry-17.json', 'entry-0000017.json', 'entry-000017.json.', 'salt-000017.bin', ''])
      expect(entryIndexOf(name)).toBeNull();
    expect(recordNames(1).manifest).toBe('META-INF/ASiCEvidenceRecordManifest001.xml');
  });
});

describe('manifests', () => {
  it.each(['sha256', 'sha384', 'sha512'] as const)('are read back (%s)', (digest) => {
    const files = ['entry-000001.json', 'salt-000001.bin'].map((name) => ({
      name,
      type: 'application/json',
      digest: Buffer.alloc(32, 1),
    }));
    const text = printManifest({ record: 'META-INF/evidencerecord001.ers', digest, files });
    expect(filesOfManifest(text)).toEqual(files.map(({ name }) => name));
    expect(digestOfManifest(text)).toBe(digest);
  });

  it('of others are no manifests of ours', () => {
    expect(filesOfManifest('<!DOCTYPE a><a/>')).toEqual([]);
    expect(
      digestOfManifest('<ds:DigestMethod Algorithm="http://www.w3.org/2000/09/xmldsig#sha1"/>'),
    ).toBeNull();
  });
});

describe('the list of files', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const signer = createNoteSigner('log.example', privateKey);
  const key = verifierKey('log.example', publicKey);
  const sums = printSums([{ name: 'mimetype', sha256: 'ab'.repeat(32) }]);
  const subject = { tenant: 'stadt', letter: 17, sums };
  const note = sumsNote(subject, signer);

  it('is signed by the log', () => {
    expect(signersOfSums(note, subject, [key])).toEqual([key]);
    expect(signersOfSums(note, subject, [])).toEqual([]);
  });

  it.each([
    ['another tenant', { ...subject, tenant: 'kreis' }],
    ['another letter', { ...subject, letter: 18 }],
    ['another list', { ...subject, sums: `${sums}${sums}` }],
  ])('is about %s', (_, other) => {
    expect(() => signersOfSums(note, other, [key])).toThrow('another list');
  });

  it('has a signature that verifies', () => {
    const broken = note.replace(/(.{8})=?\n$/, 'AAAAAAA=\n');
    expect(() => signersOfSums(broken, subject, [key])).toThrow();
  });
});
