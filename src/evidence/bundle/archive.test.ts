import { hash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { openArchive, writeArchive } from './archive.ts';
import type { BundleFile } from './collect.ts';
import { ASIC_E } from './layout.ts';

const directory = mkdtempSync(join(tmpdir(), 'archive-'));
afterAll(() => rmSync(directory, { recursive: true }));
let count = 0;
const place = () => join(directory, String(count++));

function file(name: string, content: string): BundleFile {
  const bytes = Buffer.from(content);
  return { name, size: bytes.length, sha256: hash('sha256', bytes), bytes: async () => bytes };
}

const ours = [
  file('mimetype', ASIC_E),
  file('message.eml', 'Subject: x\r\n\r\n'),
  file('META-INF/a.xml', '<a/>'),
];

async function written(files = ours): Promise<Buffer> {
  const path = place();
  await writeArchive(path, files);
  return readFileSync(path);
}

async function problemsOf(bytes: Buffer): Promise<readonly string[]> {
  const path = place();
  writeFileSync(path, bytes);
  using archive = await openArchive(path);
  return archive.problems;
}

interface Part {
  readonly name: string;
  readonly data: Buffer;
  readonly size?: number;
  readonly method?: number;
  readonly flags?: number;
  readonly extra?: Buffer;
  /** Name in the local header, where it lies. */
  readonly local?: string;
}

/** A ZIP file by hand (APPNOTE 4.3), as nobody's library writes it. */
function zip(parts: readonly Part[]): Buffer {
  const locals: Buffer[] = [];
  const directoryEntries: Buffer[] = [];
  let offset = 0;
  for (const {
    name,
    data,
    size = data.length,
    method = 0,
    flags = 0,
    extra = Buffer.alloc(0),
    local = name,
  } of parts) {
    const header = Buffer.alloc(30);
    header.writeUInt32LE(0x04034b50, 0);
    header.writeUInt16LE(flags, 6);
    header.writeUInt16LE(method, 8);
    header.writeUInt32LE(data.length, 18);
    header.writeUInt32LE(size, 22);
    header.writeUInt16LE(local.length, 26);
    locals.push(header, Buffer.from(local), data);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(flags, 8);
    entry.writeUInt16LE(method, 10);
    entry.writeUInt32LE(data.length, 20);
    entry.writeUInt32LE(size, 24);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt16LE(extra.length, 30);
    entry.writeUInt32LE(offset, 42);
    directoryEntries.push(entry, Buffer.from(name), extra);
    offset += 30 + local.length + data.length;
  }
  const listed = Buffer.concat(directoryEntries);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(parts.length, 8);
  end.writeUInt16LE(parts.length, 10);
  end.writeUInt32LE(listed.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, listed, end]);
}

const mimetype = { name: 'mimetype', data: Buffer.from(ASIC_E) };
const x = { name: 'x', data: Buffer.from('x') };

describe('archives of bundles', () => {
  it('hold their files as they are, the same bytes each time', async () => {
    const bytes = await written();
    expect(await written()).toEqual(bytes);
    expect(bytes.subarray(30, 69).toString()).toBe(`mimetype${ASIC_E}`);
    expect(await problemsOf(bytes)).toEqual([]);
    expect(bytes.includes('Subject: x\r\n\r\n')).toBe(true);
  });

  it('never overwrite', async () => {
    const path = place();
    writeFileSync(path, 'mine');
    await expect(writeArchive(path, ours)).rejects.toThrow('EEXIST');
    expect(readFileSync(path, 'utf8')).toBe('mine');
  });

  it('read back what was written', async () => {
    const path = place();
    await writeArchive(path, ours);
    using archive = await openArchive(path);
    const chunks: Uint8Array[] = [];
    for await (const chunk of archive.files.get('message.eml')!.read()) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe('Subject: x\r\n\r\n');
    expect([...archive.files.keys()]).toEqual(ours.map(({ name }) => name));
  });

  it.each<[string, readonly Part[], RegExp]>([
    ['another first file', [x, mimetype], /mimetype is not the first/],
    ['a name twice', [mimetype, x, x], /"x" stands twice/],
    ['a folder of its own', [mimetype, { ...x, name: 'a/b' }], /has a name that no file/],
    ['a hidden name', [mimetype, { ...x, name: '.x' }], /has a name that no file/],
    [
      'an encrypted file',
      [mimetype, { name: 'x', data: Buffer.alloc(13), size: 1, flags: 1 }],
      /is encrypted/,
    ],
    ['extra fields', [mimetype, { ...x, extra: Buffer.from([1, 0, 0, 0]) }], /has extra fields/],
    ['two names', [mimetype, { ...x, local: 'y' }], /its own header says something else/],
    [
      'a bomb',
      [mimetype, { name: 'x', data: deflateRawSync(Buffer.alloc(1 << 20)), size: 1 << 20, method: 8 }],
      /is compressed/,
    ],
  ])('tell of %s', async (_, parts, problem) => {
    expect((await problemsOf(zip(parts))).join('; ')).toMatch(problem);
  });

  it('never unpack', async () => {
    const path = place();
    const data = deflateRawSync(Buffer.alloc(1 << 20));
    writeFileSync(path, zip([mimetype, { name: 'x', data, size: 1 << 20, method: 8 }]));
    using archive = await openArchive(path);
    await expect(Array.fromAsync(archive.files.get('x')!.read())).rejects.toThrow('compressed');
  });

  it('tell of bytes between, before and behind', async () => {
    const bytes = zip([mimetype, x]);
    // The second file is in place, and in no directory.
    const two = zip([mimetype, x, { ...x, name: 'z' }]);
    const end = Buffer.from(two.subarray(-22));
    end.writeUInt16LE(2, 8);
    end.writeUInt16LE(2, 10);
    expect(await problemsOf(Buffer.concat([two.subarray(0, -22), end])).then(String, String)).not.toBe('');
    for (const changed of [
      Buffer.concat([bytes, Buffer.from('!')]),
      Buffer.concat([Buffer.from('!'), bytes]),
    ])
      expect(await problemsOf(changed).then(String, String)).not.toBe('');
  });

  it('end in words for what is no archive', async () => {
    const bytes = await written();
    for (let cut = 0; cut < bytes.length; cut += 7)
      await expect(problemsOf(bytes.subarray(0, cut))).rejects.toThrow();
  });
});
