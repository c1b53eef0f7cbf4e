import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dispatchOptions } from '../evidence/entry.ts';
import { parseHeader } from '../mime/header.ts';
import { decodeWords, encodeWords } from '../mime/words.ts';
import { type ControlsInput, readControls } from './client-controls.ts';
import { optionHeaders } from './options.ts';
import { readSubjectTags, subjectAsSent } from './subject-tags.ts';

const settings = { default: [], fromReadReceipt: false, fromImportance: false };
const both = { ...settings, fromReadReceipt: true, fromImportance: true };
const fields = (...lines: string[]) => parseHeader(Buffer.from(`${lines.join('\r\n')}\r\n`));
const read = (lines: string[], more: Partial<ControlsInput> = {}) =>
  readControls({ fields: fields(...lines), deliveryReceipt: false, role: 'staff', settings, ...more });
const chosen = (lines: string[], more: Partial<ControlsInput> = {}) =>
  read(lines, more).chosen.map(({ option, by }) => `${option} ${by}`);

describe('what asks for an option', () => {
  test.each<[string, string[], Partial<ControlsInput>, string[]]>([
    ['nothing', [], {}, []],
    ['a delivery receipt', [], { deliveryReceipt: true }, ['receipt delivery-receipt']],
    ['Return-Receipt-To', ['Return-Receipt-To: a@b.example'], {}, ['receipt delivery-receipt']],
    ['Sensitivity: Personal', ['Sensitivity: Personal'], {}, ['private sensitivity']],
    ['Sensitivity: private', ['Sensitivity: private'], {}, ['private sensitivity']],
    ['confidential', ['Sensitivity: Company-Confidential'], {}, ['private sensitivity']],
    ['another sensitivity', ['Sensitivity: Normal'], {}, []],
    ['a read receipt, off', ['Disposition-Notification-To: a@b.example'], {}, []],
    [
      'a read receipt, on',
      ['Disposition-Notification-To: a@b.example'],
      { settings: both },
      ['retrieval read-receipt', 'private implied'],
    ],
    ['importance, off', ['Importance: High'], {}, []],
    ['importance, on', ['Importance: High'], { settings: both }, ['authoritative importance']],
    ['priority, on', ['X-Priority: 1 (Highest)'], { settings: both }, ['authoritative importance']],
    ['a low priority', ['X-Priority: 5', 'Importance: Low'], { settings: both }, []],
    ['a tag', ['Subject: [Abholbestaetigung] x'], {}, ['retrieval subject-tag', 'private implied']],
    ['a header of staff', ['X-de-mail-private: yes'], {}, []],
    ['a header of an application', ['X-de-mail-private: yes'], { role: 'application' }, ['private header']],
    ['a default', [], { settings: { ...settings, default: ['receipt'] } }, ['receipt default']],
  ])('%s', (_, lines, more, expected) => expect(chosen(lines, more)).toEqual(expected));

  test('the upper layer decides, yes or no, about the options it names alone', () => {
    const more = {
      role: 'application',
      deliveryReceipt: true,
      settings: { ...both, default: ['dispatch', 'receipt'] },
    } as const;
    const subject = 'Subject: [De-Mail: keine Eingangsbestaetigung, persoenlich] x';
    expect(chosen([subject], more)).toEqual(['dispatch default', 'private subject-tag']);
    expect(
      chosen([subject, 'X-de-mail-confirmation-of-receipt: yes', 'X-de-mail-private: no'], more),
    ).toEqual(['dispatch default', 'receipt header']);
  });

  test('no header of a login that is no application changes anything', () => {
    const value = fc.constantFrom('yes', 'no', 'YES', '');
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(...dispatchOptions), value)), (set) => {
        const lines = set.map(([option, said]) => `${optionHeaders[option]}: ${said}`);
        const result = read([...lines, 'Subject: x']);
        expect(result.chosen).toEqual([]);
        expect(result.ignored.length).toBe(set.length);
      }),
    );
  });
});

describe('tags in the subject', () => {
  test.each<[string, string[], string]>([
    ['[De-Mail: persönlich, absenderbestätigt] Bescheid', ['private', 'authoritative'], 'Bescheid'],
    ['[DE-MAIL: PERSÖNLICH; Absenderbestaetigt]Bescheid', ['private', 'authoritative'], 'Bescheid'],
    ['[de-mail:perso\u0308nlich] Bescheid', ['private'], 'Bescheid'],
    ['AW: [Abholbestätigung] Bescheid', ['retrieval'], 'AW: Bescheid'],
    ['Bescheid [Eingangsbestätigung] [Versandbestätigung]', ['receipt', 'dispatch'], 'Bescheid'],
    ['[EXTERN] Bescheid', [], '[EXTERN] Bescheid'],
    ['[persönlich, EXTERN]  Bescheid', [], '[persönlich, EXTERN]  Bescheid'],
    ['[De-Mail] Bescheid', [], '[De-Mail] Bescheid'],
    ['[Az: 12/2026-4] Bescheid', [], '[Az: 12/2026-4] Bescheid'],
    ['[[persönlich] x', ['private'], '[ x'],
  ])('%s', (subject, options, rest) => {
    const tags = readSubjectTags(subject);
    expect(tags.options.map(({ option }) => option)).toEqual(options);
    expect(tags.subject).toBe(rest);
    expect(tags.unknownWord).toBeUndefined();
  });

  test.each([
    ['[De-Mail: persönlich, eilig] x', 'eilig'],
    ['[De-Mail: persönlich, nicht persönlich] x', 'nicht persönlich'],
  ])('%s is refused for %s', (subject, word) => expect(readSubjectTags(subject).unknownWord).toBe(word));

  test('the file reference comes from X-Aktenzeichen, else from the tag, and stays in the subject', () => {
    expect(read(['Subject: [Az: 12/2026] x']).fileReference).toBe('12/2026');
    expect(read(['Subject: [aktenzeichen: 12/2026 ] x', 'X-Aktenzeichen: 7 C 3']).fileReference).toBe(
      '7 C 3',
    );
    expect(read(['Subject: =?utf-8?Q?[Az:_12=1B/2026]?='])).toMatchObject({ fileReference: '12 /2026' });
    expect(read(['Subject: x'])).not.toHaveProperty('fileReference');
    expect(subjectAsSent(fields('Subject: [Az: 12/2026] x'))).toBeUndefined();
  });

  test('what is sent is the subject without the tag, whatever words it was encoded in', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 60 }).filter((s) => !/[[\]\s]|=\?|\p{C}/u.test(s));
    fc.assert(
      fc.property(text, text, (before, after) => {
        const line = `Subject: ${encodeWords(`${before} [De-Mail: persönlich] ${after}`)}`;
        const sent = subjectAsSent(fields(line))!;
        expect(sent.value).toMatch(/^[ -~]*$/);
        expect(decodeWords(sent.value)).toBe(`${before} ${after}`.trim());
      }),
    );
  });

  test('any subject is read, and reading what is left finds no option word by its prefix again', () => {
    const piece = fc.constantFrom('[', ']', 'De-Mail:', 'persönlich', 'Az:', ' ', ',', 'x', '\r\n');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const tags = readSubjectTags(pieces.join(''));
        expect(tags.subject.length).toBeLessThanOrEqual(pieces.join('').length);
      }),
    );
  });
});
