import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseHeader } from '../mime/header.ts';
import { codePoint } from '../mime/testing/code-points.ts';
import {
  compareBinding,
  compareSentCopy,
  countsBy,
  type HandedOver,
  type OriginalStatement,
  type Statement,
} from './binding.ts';

const max = 'max@buerger.de-mail.example';
const digest = createHash('sha256').update('Guten Tag\r\n').digest();

const handedHeader = {
  'X-de-mail-sender': 'erika@stadt.de-mail.example',
  'X-de-mail-chosen-recipient': `to=${max}`,
  'X-de-mail-confirmation-of-dispatch': 'yes',
  'X-de-mail-private-id': 'az-7.0123456789abcdef',
  From: 'Erika <erika@stadt.de-mail.example>',
  'Reply-To': 'poststelle@stadt.de-mail.example',
  Subject: 'Bescheid',
  Date: 'Mon, 05 Jan 2026 08:00:00 +0100',
  'Message-ID': '<1@stadt.example>',
};
type Header = Partial<Record<keyof typeof handedHeader | string, string | undefined>>;

function fieldsOf(header: Header) {
  const lines = Object.entries(header).filter(([, value]) => value !== undefined);
  return parseHeader(Buffer.from(`${lines.map(([n, v]) => `${n}: ${v}\r\n`).join('')}\r\n`));
}

function handed(more: Partial<HandedOver> = {}): HandedOver {
  return {
    attempt: 1,
    privateId: handedHeader['X-de-mail-private-id'],
    sender: handedHeader['X-de-mail-sender'],
    fields: fieldsOf(handedHeader),
    bodyHash: digest,
    recipients: [max],
    ...more,
  };
}

type Original = Extract<OriginalStatement, { ok: true }>;

function stated(
  header: Header = {},
  more: Partial<Original> = {},
  statement: Partial<Statement> = {},
): Statement {
  return {
    original: {
      ok: true,
      algorithm: 'sha256',
      bodyHash: digest,
      headerHash: digest,
      headerFits: true,
      isSigned: false,
      covered: fieldsOf({ ...handedHeader, 'X-de-mail-message-id': '9@provider', ...header }),
      ...more,
    },
    recipients: [max],
    privateId: handedHeader['X-de-mail-private-id'],
    ...statement,
  };
}

const failures = (statement: Statement, ...attempts: HandedOver[]) =>
  compareBinding(statement, attempts).flatMap(({ name, result }) => (result === 'passed' ? [] : [name]));

describe('binding', () => {
  it('holds where all that we set stands there, whatever the provider sets itself', () => {
    const provider = { Date: 'Mon, 05 Jan 2026 09:00:00 +0000', 'Message-ID': '<2@provider>' };
    expect(failures(stated(provider), handed())).toEqual([]);
    expect(failures(stated({ 'X-de-mail-chosen-recipient': `to=<${max}>;` }), handed())).toEqual([]);
  });

  it.each<[string, Statement, string[]]>([
    ['another body', stated({}, { bodyHash: Buffer.alloc(32) }), ['original-body-hash']],
    ['a header hash that does not fit', stated({}, { headerFits: false }), ['original-header-hash']],
    [
      'a signature over other bytes',
      stated({}, { headerFits: false, isSigned: true }),
      ['original-header-hash'],
    ],
    ['another subject', stated({ Subject: 'Mahnung' }), ['original-subject']],
    ['another author', stated({ From: 'jan@stadt.de-mail.example' }), ['original-from']],
    ['a redirected answer', stated({ 'Reply-To': 'x@evil.example' }), ['original-reply-to']],
    ['an answer address that is gone', stated({ 'Reply-To': undefined }), ['original-reply-to']],
    [
      'another account',
      stated({ 'X-de-mail-sender': 'jan@dorf.de-mail.example' }),
      ['original-x-de-mail-sender', 'account'],
    ],
    ['an option that is gone', stated({ 'X-de-mail-confirmation-of-dispatch': 'no' }), ['original-options']],
    ['an option that appears', stated({ 'X-de-mail-authoritative': 'yes' }), ['original-options']],
    [
      'a further recipient',
      stated({ 'X-de-mail-chosen-recipient': `to=${max}; eve@x.de-mail.example` }),
      ['original-x-de-mail-chosen-recipient'],
    ],
    [
      'a blind recipient made open',
      stated({ 'X-de-mail-chosen-recipient': `cc=${max}` }),
      ['original-x-de-mail-chosen-recipient'],
    ],
    [
      'another private-id',
      stated({ 'X-de-mail-private-id': 'az-8.ffff' }),
      ['original-x-de-mail-private-id', 'private-id'],
    ],
    ['another private-id in its own header', stated({}, {}, { privateId: 'az-8.ffff' }), ['private-id']],
    [
      'a recipient of another letter',
      stated({}, {}, { recipients: ['eve@x.de-mail.example'] }),
      ['recipient'],
    ],
    ['no recipient', stated({}, {}, { recipients: [] }), ['recipient']],
  ])('fails by name: %s', (_name, statement, names) => {
    expect(failures(statement, handed())).toEqual(names);
    expect(countsBy(compareBinding(statement, [handed()]))).toBe('no');
  });

  it('fails as a whole without an original that can be recomputed, or a hand-over', () => {
    const unread = {
      original: { ok: false, reason: 'tag h= is missing' },
      recipients: [max],
      privateId: null,
    };
    expect(failures(unread as Statement, handed())).toEqual(['original']);
    expect(failures(stated())).toEqual(['hand-over']);
  });

  it('compares with the attempt that the provider took, whichever that was', () => {
    const both = `to=${max}; erna@buerger.de-mail.example`;
    const first = handed({
      fields: fieldsOf({ ...handedHeader, 'X-de-mail-chosen-recipient': both }),
      recipients: [max, 'erna@buerger.de-mail.example'],
    });
    const second = handed({ attempt: 2 });
    expect(failures(stated(), first, second)).toEqual([]);
    expect(failures(stated(), second, first)).toEqual([]);
    expect(failures(stated({ 'X-de-mail-chosen-recipient': both }), first, second)).toEqual([]);
    expect(failures(stated({ Subject: 'Mahnung' }), first, second)).toEqual(['original-subject']);
  });

  it('is provisional only where nothing fails', () => {
    const check = fc.record({
      name: fc.constant('x'),
      reason: fc.string(),
      result: fc.constantFrom('passed', 'failed', 'undecided'),
    });
    fc.assert(
      fc.property(fc.array(check, { minLength: 1 }), (checks) => {
        const results = checks.map((c) => c.result);
        const expected = results.includes('failed')
          ? 'no'
          : results.includes('undecided')
            ? 'provisional'
            : 'yes';
        expect(countsBy(checks)).toBe(expected);
      }),
    );
    expect(countsBy([])).toBe('no');
  });

  it('gives reasons that steer no terminal and fit a line', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 300, unit: codePoint }), (text) => {
        const subject = text.replace(/[\r\n]/g, ' ');
        for (const { reason } of compareBinding(stated({ Subject: subject }), [handed()])) {
          expect(reason.length).toBeLessThan(300);
          expect(reason).not.toMatch(/\p{Cc}/u);
        }
      }),
    );
  });
});

describe('a Sent copy', () => {
  const sent = (header: Header = {}, bodySha256 = 'aa') =>
    compareSentCopy(
      { fields: fieldsOf({ ...handedHeader, ...header }), bodySha256 },
      { fields: fieldsOf(handedHeader), bodySha256: 'aa' },
    );

  it('lists what the provider added or set, without blame', () => {
    const list = sent({ Date: 'later', 'X-de-mail-version': '1.2' });
    expect(list.map(({ name, result }) => `${name} ${result}`)).toEqual([
      'sent-copy body passed',
      'sent-copy date passed',
      'sent-copy x-de-mail-version passed',
    ]);
  });

  it.each<[string, Header, string, string]>([
    ['another body', {}, 'bb', 'sent-copy body'],
    ['another subject', { Subject: 'Mahnung' }, 'aa', 'sent-copy subject'],
    ['a header that is gone', { 'Reply-To': undefined }, 'aa', 'sent-copy reply-to'],
  ])('with %s is not what was handed over', (_name, header, body, name) => {
    expect(
      sent(header, body)
        .filter((c) => c.result === 'failed')
        .map((c) => c.name),
    ).toEqual([name]);
  });
});
