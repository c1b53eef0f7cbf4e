import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GatewayError } from '../errors.ts';
import type { ObjectWriter, StagedObject } from '../store/store.ts';
import { MAX_HEADER_BYTES, takeIn } from './intake.ts';

/** Keeps what is written; `written` is null once it was aborted. */
function writer(): ObjectWriter & { written: Buffer | null; aborts: number } {
  const self = {
    written: Buffer.alloc(0) as Buffer | null,
    aborts: 0,
    async write(chunk: Uint8Array) {
      self.written = Buffer.concat([self.written!, chunk]);
    },
    async finish(): Promise<StagedObject> {
      const sha256 = createHash('sha256').update(self.written!).digest('hex');
      return { tenant: 'stadt', object: sha256, sha256, size: self.written!.length, storage: null };
    },
    async abort() {
      self.written = null;
      self.aborts += 1;
    },
  };
  return self;
}

/** The text cut at these places. */
function cut(text: Buffer, sizes: readonly number[]): Readable {
  const chunks: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    if (at >= text.length) break;
    chunks.push(text.subarray(at, at + size));
    at += size;
  }
  if (at < text.length) chunks.push(text.subarray(at));
  return Readable.from(chunks, { objectMode: true });
}

const line = fc.stringMatching(/^[A-Za-z0-9 :.=-]{0,70}$/);
const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 400 });

describe('taking a message in', () => {
  it('gives the same bytes and fields wherever the packets are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { maxLength: 20 }),
        fc.array(line, { maxLength: 20 }),
        sizes,
        async (head, body, at) => {
          const fields = head.map((value, i) => `X-${i}: ${value}`);
          const text = Buffer.from([...fields, '', ...body, ''].join('\r\n'));
          const target = writer();
          const intake = await takeIn(cut(text, at), target, 1_000_000);
          expect(target.written).toEqual(text);
          expect(intake.message.object.size).toBe(text.length);
          expect(intake.message.index.size).toBe(text.length);
          expect(intake.fields.map((field) => field.name)).toEqual(head.map((_, i) => `X-${i}`));
          expect(Buffer.concat(intake.fields.map((field) => field.raw)).toString()).toBe(
            fields.map((field) => `${field}\r\n`).join(''),
          );
        },
      ),
    );
  });

  it('either stores exactly what came or refuses with a reason, whatever came', async () => {
    const bytes = fc.array(fc.constantFrom('\r', '\n', '\r\n', '.', ':', 'From', ' ', 'x', '\0', '\xff'), {
      maxLength: 60,
    });
    await fc.assert(
      fc.asyncProperty(bytes, sizes, async (parts, at) => {
        const text = Buffer.from(parts.join(''), 'latin1');
        const target = writer();
        const bare = /\r(?!\n)|(?<!\r)\n/.test(text.toString('latin1'));
        try {
          await takeIn(cut(text, at), target, 1_000_000);
          expect(bare).toBe(false);
          expect(target.written).toEqual(text);
        } catch (error) {
          expect((error as GatewayError).code).toBe('bare-line-end');
          expect(bare).toBe(true);
          expect(target.written).toBeNull();
        }
      }),
    );
  });

  it.each<[string, string, string]>([
    ['too large', `A: b\r\n\r\n${'x\r\n'.repeat(1000)}`, 'message-too-large'],
    ['with an overlong line', `A: b\r\n\r\n${'x'.repeat(999)}\r\n`, 'line-too-long'],
  ])('drops a message %s, and reads it to its end', async (_, text, code) => {
    const target = writer();
    const stream = cut(Buffer.from(text), [10, 100]);
    await expect(takeIn(stream, target, 2_000)).rejects.toMatchObject({ code });
    expect(target.written).toBeNull();
    expect(stream.readableEnded).toBe(true);
  });

  it('takes a header of 256 KiB and none longer', async () => {
    const field = `X: ${'y'.repeat(93)}\r\n`;
    const header = field.repeat(Math.floor(MAX_HEADER_BYTES / field.length) - 1);
    await expect(takeIn(cut(Buffer.from(`${header}\r\nbody`), []), writer(), 1e6)).resolves.toBeDefined();
    const error = await takeIn(cut(Buffer.from(header + field.repeat(3)), [1000]), writer(), 1e6).catch(
      (e) => e,
    );
    expect(error).toBeInstanceOf(GatewayError);
    expect(error.message).toContain('(> 256 KiB)');
  });

  it('drops what came when the store fails', async () => {
    const target = writer();
    target.write = () => Promise.reject(new Error('disk'));
    await expect(takeIn(cut(Buffer.from('A: b\r\n\r\n'), []), target, 1e6)).rejects.toThrow('disk');
    expect(target.aborts).toBeGreaterThan(0);
  });
});
