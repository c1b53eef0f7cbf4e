import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { simpleParser } from 'mailparser';
import { describe, expect, test } from 'vitest';
import { headerEnd } from './header.ts';
import { createIndexer } from './structure.ts';
import type { MessageIndex, PartIndex } from './types.ts';

function crlf(text: string): Buffer {
  return Buffer.from(text.replace(/\r?\n/g, '\r\n'), 'utf8');
}

function indexOf(bytes: Uint8Array, limits = {}): MessageIndex {
  const indexer = createIndexer(limits);
  indexer.push(bytes);
  return indexer.finish();
}

function inChunks(bytes: Uint8Array, sizes: readonly number[]): MessageIndex {
  const indexer = createIndexer();
  let at = 0;
  for (let i = 0; at < bytes.length; i += 1) {
    const size = sizes.length === 0 ? 1 : sizes[i % sizes.length]!;
    // A copy that is wiped afterwards: the indexer must not keep the caller's buffer.
    const chunk = Buffer.from(bytes.subarray(at, at + size));
    indexer.push(chunk);
    chunk.fill(0x58);
    at += size;
  }
  return indexer.finish();
}

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');
const body = (bytes: Buffer, part: PartIndex) => bytes.toString('latin1', part.bodyStart, part.bodyEnd);
const header = (bytes: Buffer, part: PartIndex) => bytes.toString('latin1', part.headerStart, part.bodyStart);
const types = (part: PartIndex): unknown =>
  part.parts.length === 0
    ? `${part.type}/${part.subtype}`
    : [`${part.type}/${part.subtype}`, ...part.parts.map(types)];

const nested = crlf(`From: Erika <erika@a.example>
To: Max <max@b.example>, "B, C" <c@b.example>
Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=
Message-ID: <1@a.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=_1"

preamble
--=_1
Content-Type: multipart/alternative; boundary="=_10"

--=_10
Content-Type: text/plain; charset=utf-8

text
two lines

--=_10
Content-Type: text/html

<p>text</p>
--=_10--
epilogue of the inner one
--=_1
Content-Type: message/rfc822

From: inner@c.example
Subject: inner
Content-Type: multipart/mixed; boundary=in

--in

plain
--in
Content-Type: application/pdf; name*=utf-8''M%C3%A4rz.pdf
Content-Transfer-Encoding: base64

JVBERi0x
LjQK
--in--
--=_1
Content-Type: application/octet-stream
Content-Disposition: attachment; filename="a b.bin"; size=4
Content-Transfer-Encoding: quoted-printable

=00=FFab=
cd  
--=_1--
epilogue
`);

describe('a nested message', () => {
  const index = indexOf(nested);
  const [alternative, enclosed, binary] = index.root.parts as [PartIndex, PartIndex, PartIndex];

  test('has its parts in place', () => {
    expect(index.truncated).toBe(false);
    expect(index.size).toBe(nested.length);
    expect(types(index.root)).toEqual([
      'multipart/mixed',
      ['multipart/alternative', 'text/plain', 'text/html'],
      ['message/rfc822', ['multipart/mixed', 'text/plain', 'application/pdf']],
      'application/octet-stream',
    ]);
  });

  test('knows the bytes of every section', () => {
    expect(header(nested, alternative.parts[0]!)).toBe('Content-Type: text/plain; charset=utf-8\r\n\r\n');
    expect(body(nested, alternative.parts[0]!)).toBe('text\r\ntwo lines\r\n');
    expect(alternative.parts[0]!.lines).toBe(2);
    expect(body(nested, alternative.parts[1]!)).toBe('<p>text</p>');
    expect(alternative.parts[1]!.lines).toBe(0);
    expect(body(nested, alternative)).toMatch(/^--=_10\r\n[\s\S]*epilogue of the inner one$/);
    expect(body(nested, enclosed)).toMatch(/^From: inner@c[\s\S]*--in--$/);
    expect(header(nested, enclosed.parts[0]!)).toMatch(/^From: inner[\s\S]*boundary=in\r\n\r\n$/);
    expect(header(nested, enclosed.parts[0]!.parts[0]!)).toBe('\r\n');
    expect(body(nested, enclosed.parts[0]!.parts[0]!)).toBe('plain');
    expect(body(nested, binary)).toBe('=00=FFab=\r\ncd  ');
    expect(body(nested, index.root)).toMatch(/^preamble\r\n[\s\S]*epilogue\r\n$/);
    expect(index.root.bodyStart).toBe(headerEnd(nested));
  });

  test('counts the lines as their bytes do', () => {
    for (const part of all(index.root)) {
      expect(part.lines).toBe(body(nested, part).split('\n').length - 1);
    }
  });

  test('has the envelopes of itself and of the enclosed message', () => {
    expect(index.root.envelope).toEqual({
      date: null,
      subject: '=?utf-8?Q?Gr=C3=BC=C3=9Fe?=',
      from: [{ name: 'Erika', mailbox: 'erika', host: 'a.example' }],
      sender: [{ name: 'Erika', mailbox: 'erika', host: 'a.example' }],
      replyTo: [{ name: 'Erika', mailbox: 'erika', host: 'a.example' }],
      to: [
        { name: 'Max', mailbox: 'max', host: 'b.example' },
        { name: 'B, C', mailbox: 'c', host: 'b.example' },
      ],
      cc: [],
      bcc: [],
      inReplyTo: null,
      messageId: '<1@a.example>',
    });
    expect(enclosed.parts[0]!.envelope?.subject).toBe('inner');
    expect(enclosed.envelope).toBeNull();
    expect(alternative.envelope).toBeNull();
  });

  test('has the digests of its attachments', () => {
    expect(index.attachments).toEqual([
      {
        name: null,
        type: 'message/rfc822',
        size: enclosed.bodyEnd - enclosed.bodyStart,
        sha256: sha256(nested.subarray(enclosed.bodyStart, enclosed.bodyEnd)),
      },
      { name: 'März.pdf', type: 'application/pdf', size: 9, sha256: sha256('%PDF-1.4\n') },
      {
        name: 'a b.bin',
        type: 'application/octet-stream',
        size: 6,
        sha256: sha256(Buffer.from([0, 255, 97, 98, 99, 100])),
      },
    ]);
  });
});

describe('delimiters', () => {
  const cases: [string, string, unknown][] = [
    [
      'an outer one ends what is open within',
      'Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\nx\n--o\n\ny\n--o--\n',
      ['multipart/mixed', ['multipart/mixed', 'text/plain'], 'text/plain'],
    ],
    [
      'a longer line with the same start is none',
      'Content-Type: multipart/mixed; boundary=a\n\n--a\n\n--ab\n--a-\n--a -\n--a\n\ny\n--a--\n',
      ['multipart/mixed', 'text/plain', 'text/plain'],
    ],
    [
      'white space behind it is ignored',
      'Content-Type: multipart/mixed; boundary=a\n\n--a \t\n\nx\n--a  \n\ny\n--a-- \n',
      ['multipart/mixed', 'text/plain', 'text/plain'],
    ],
    [
      'after the closing one the epilogue has no parts',
      'Content-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--a--\n--a\n\ny\n',
      ['multipart/mixed', 'text/plain'],
    ],
    [
      'within a header it ends the part',
      'Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: image/png\n--a\n\ny\n--a--\n',
      ['multipart/mixed', 'image/png', 'text/plain'],
    ],
    [
      'the last line needs no line end',
      'Content-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--a\n\ny\n--a--',
      ['multipart/mixed', 'text/plain', 'text/plain'],
    ],
    [
      'unfinished: the message ends its parts',
      'Content-Type: multipart/mixed; boundary=a\n\n--a\n\nx\n--a\n\ny',
      ['multipart/mixed', 'text/plain', 'text/plain'],
    ],
    [
      'parts of a digest are messages',
      'Content-Type: multipart/digest; boundary=a\n\n--a\n\nSubject: x\n\nx\n--a\nContent-Type: text/plain\n\ny\n--a--',
      ['multipart/digest', ['message/rfc822', 'text/plain'], 'text/plain'],
    ],
    [
      'a multipart without any part is text',
      'Content-Type: multipart/mixed; boundary=a\n\nx\n',
      'text/plain',
    ],
    [
      'a multipart without boundary is text',
      'Content-Type: multipart/mixed\n\n--a\n\nx\n--a--',
      'text/plain',
    ],
    ['an unreadable type is text', 'Content-Type: ???; name\n\nx', 'text/plain'],
    [
      'a message cut in its header is empty',
      'Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: message/rfc822\n\n--a\n\nx\n--a--',
      ['multipart/mixed', ['message/rfc822', 'text/plain'], 'text/plain'],
    ],
  ];
  test.each(cases)('%s', (_, text, expected) => {
    for (const bytes of [Buffer.from(text), crlf(text)]) expect(types(indexOf(bytes).root)).toEqual(expected);
  });
});

describe('digests agree with mailparser', () => {
  const pdf = Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * i) % 256));
  const base64 = pdf.toString('base64').replace(/.{76}/g, '$&\n');
  const mails: [string, string][] = [
    [
      'base64, inline image, encoded name',
      `Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: application/pdf\nContent-Disposition: attachment; filename="=?utf-8?B?${Buffer.from('Größe.pdf').toString('base64')}?="\nContent-Transfer-Encoding: base64\n\n${base64}\n--b\nContent-Type: image/png; name=x.png\nContent-Transfer-Encoding: BASE64\nContent-Disposition: inline\n\n${base64}\n\n--b--\n`,
    ],
    [
      'continued name in three pieces, quoted-printable',
      `Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: application/x-thing\nContent-Disposition: attachment; filename*0*=iso-8859-1''J%E4nner;\n filename*1*=%20und; filename*2=" Juli.txt"\nContent-Transfer-Encoding: quoted-printable\n\n=E4=F6=FC=\n soft  \nx=20\n--b--\n`,
    ],
    ['the message itself', `Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n\n${base64}\n`],
    [
      'text with a file name, 7bit',
      'Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhello\n--b\nContent-Type: text/csv; name="a.csv"\nContent-Disposition: attachment\n\na;b\n1;2\n\n--b--\n',
    ],
  ];
  test.each(mails)('%s', async (_, text) => {
    const bytes = crlf(text);
    const parsed = await simpleParser(bytes);
    expect(parsed.attachments.length).toBeGreaterThan(0);
    expect(indexOf(bytes).attachments).toEqual(
      parsed.attachments.map((attachment) => ({
        name: attachment.filename ?? null,
        type: attachment.contentType,
        size: attachment.content.length,
        sha256: sha256(attachment.content),
      })),
    );
  });
});

describe('limits', () => {
  function levels(depth: number): Buffer {
    let text = '';
    for (let i = 0; i < depth; i += 1) text += `Content-Type: multipart/mixed; boundary=b${i}\n\n--b${i}\n`;
    return Buffer.from(`${text}\nx\n`);
  }

  test('nesting beyond the depth is one opaque part', () => {
    const index = indexOf(levels(10_000));
    expect(index.truncated).toBe(true);
    expect(all(index.root)).toHaveLength(33);
    expect(index.attachments).toHaveLength(1);
    expect(all(index.root).at(-1)).toMatchObject({ type: 'application', subtype: 'octet-stream' });
    expect(indexOf(levels(32)).truncated).toBe(false);
  });

  test('messages within messages count as levels', () => {
    const index = indexOf(Buffer.from('Content-Type: message/rfc822\n\n'.repeat(5000)));
    expect(index.truncated).toBe(true);
    expect(all(index.root)).toHaveLength(33);
  });

  test('the last part allowed takes all the rest', () => {
    const text = `Content-Type: multipart/mixed; boundary=b\n\n${'--b\n\nx\n'.repeat(100_000)}--b--\n`;
    const index = indexOf(Buffer.from(text));
    expect(index.truncated).toBe(true);
    expect(all(index.root)).toHaveLength(1000);
    expect(index.root.parts.at(-1)!.bodyEnd).toBe(text.length);
  });

  test('a header beyond the limit is read as far as it was kept', () => {
    const text = `Subject: first\nX: ${'x'.repeat(300_000)}\nTo: a@b\n\nbody`;
    const index = inChunks(Buffer.from(text), [65_536]);
    expect(index.truncated).toBe(true);
    expect(index.root.envelope).toMatchObject({ subject: 'first', to: [] });
    expect(text.slice(index.root.bodyStart)).toBe('body');
  });

  test('one line of 20 MiB', () => {
    const bytes = Buffer.alloc(20 * 1024 * 1024, 0x2d);
    Buffer.from('Content-Type: multipart/mixed; boundary=-\n\n').copy(bytes);
    const index = inChunks(bytes, [65_536]);
    expect(index.root).toMatchObject({ bodyEnd: bytes.length, lines: 0 });
  });
});

/** Pieces that make structures and break them. */
const piece = fc.constantFrom(
  '--a',
  '--b',
  '--a--',
  '--b--',
  '--ab',
  '\r\n',
  '\n',
  '\r',
  '\r\n\r\n',
  ' ',
  '-',
  'x',
  '=',
  'QUI=',
  'Content-Type: multipart/mixed; boundary=a\r\n',
  'Content-Type: multipart/digest; boundary="b"\n',
  'Content-Type: message/rfc822\r\n',
  'Content-Type: application/pdf; name=x\r\n\r\n',
  'Content-Transfer-Encoding: base64\r\n',
  'Content-Transfer-Encoding: quoted-printable\r\n',
  'Content-Disposition: attachment\r\n',
  'Subject: s\r\n',
);
const soup = fc.array(piece, { maxLength: 60 }).map((pieces) => Buffer.from(pieces.join('')));
const start = Buffer.from('Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n');
const message = fc.oneof(
  soup,
  soup.map((bytes) => Buffer.concat([start, bytes])),
  fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
);

describe('on any bytes', () => {
  test('the chunks do not matter', () => {
    fc.assert(
      fc.property(message, fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 5 }), (bytes, sizes) => {
        expect(inChunks(bytes, sizes)).toEqual(indexOf(bytes));
      }),
      { numRuns: 4000 },
    );
  });

  test('offsets nest, lines fit, every multipart and message has its parts', () => {
    fc.assert(
      fc.property(message, (bytes) => {
        const index = indexOf(bytes);
        expect(index.size).toBe(bytes.length);
        expect(index.root.bodyStart).toBe(headerEnd(bytes));
        expect(index.root.bodyEnd).toBe(bytes.length);
        for (const part of all(index.root)) {
          expect(part.headerStart).toBeLessThanOrEqual(part.bodyStart);
          expect(part.bodyStart).toBeLessThanOrEqual(part.bodyEnd);
          expect(part.lines).toBe(body(bytes, part).split('\n').length - 1);
          let from = part.bodyStart;
          for (const child of part.parts) {
            expect(child.headerStart).toBeGreaterThanOrEqual(from);
            expect(child.bodyEnd).toBeLessThanOrEqual(part.bodyEnd);
            from = child.bodyEnd;
          }
          if (part.type === 'multipart') expect(part.parts.length).toBeGreaterThan(0);
          else if (part.type === 'message' && part.subtype === 'rfc822') {
            expect(part.parts).toHaveLength(1);
            expect(part.parts[0]!.envelope).not.toBeNull();
          } else expect(part.parts).toHaveLength(0);
        }
        expect(JSON.parse(JSON.stringify(index))).toEqual(index);
      }),
      { numRuns: 4000 },
    );
  });
});

describe('mutated De-Mails', () => {
  const folder = new URL('../../test/vectors/cases/', import.meta.url);
  const cases = readdirSync(folder).map((name) => readFileSync(new URL(name, folder)));
  const edit = fc.tuple(
    fc.nat(),
    fc.nat(30),
    fc.constantFrom('', '\r\n', '\n', '--=_b', '--=_b--\r\n', '"', '\0', ';', '\xff'),
  );
  test('give an index whose parts lie within, whatever the chunks', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...cases),
        fc.array(edit, { minLength: 1, maxLength: 4 }),
        (original, edits) => {
          let text = original.toString('latin1');
          for (const [position, length, insert] of edits) {
            const at = position % text.length;
            text = text.slice(0, at) + insert + text.slice(at + length);
          }
          const bytes = Buffer.from(text, 'latin1');
          const index = indexOf(bytes);
          expect(inChunks(bytes, [997, 64])).toEqual(index);
          for (const part of all(index.root)) expect(part.bodyEnd).toBeLessThanOrEqual(bytes.length);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

function all(part: PartIndex): PartIndex[] {
  return [part, ...part.parts.flatMap(all)];
}
