/** By the index, half by it, and by reading: the answer is one. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createIndexer } from '../mime/structure.ts';
import { openSqliteStore } from '../store/sqlite/open.ts';
import type { Store } from '../store/store.ts';
import type { SearchKey } from './codec/command.ts';
import { createMailboxView, type MailboxView } from './mailbox-view.ts';
import { TEXT_EDITION, textsOf } from './message-text.ts';
import { createMatcher } from './search-match.ts';

const tenant = 'stadt';
const erika = { type: 'user', name: 'erika@stadt.example' } as const;

let directory: string;
let store: Store;
let mailbox: number;
let view: MailboxView;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'search-'));
  store = await openSqliteStore({ directory, originPrefix: 'gateway.example' });
  await store.openTenant(tenant);
  mailbox = (await store.createMailbox(tenant, erika, 'INBOX')).id;
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

const words = [
  'Straße',
  'STRASSE',
  'Müller',
  'Mu\u0308ller',
  'mueller',
  'Be',
  'scheid',
  'ß',
  'é',
  'x',
  'Akte 12/3',
  'aa',
  'a',
];
const phrase = fc
  .array(fc.constantFrom(...words, ' ', '\r\n', '\r\n '), { maxLength: 6 })
  .map((all) => all.join(''));
const headerText = phrase.map((text) => text.replace(/[\r\n]+/g, ' '));

const message = fc
  .record({
    subject: fc.option(headerText),
    encoded: fc.boolean(),
    from: fc.constantFrom(
      'Erika Müller <erika@stadt.example>',
      'jan@kreis.example',
      '',
      '"Straße, A" <a@b.example>',
    ),
    to: fc.constantFrom('max@b.example, Jan <jan@b.example>', 'leute: a@b.example;', ''),
    body: phrase,
    form: fc.constantFrom('plain', 'base64', 'qp', 'html', 'mixed', 'latin'),
  })
  .map(({ subject, encoded, from, to, body, form }) => {
    const lines: string[] = [];
    if (from !== '') lines.push(`From: ${from}`);
    if (to !== '') lines.push(`To: ${to}`);
    if (subject !== null)
      lines.push(`Subject: ${encoded ? `=?utf-8?B?${Buffer.from(subject).toString('base64')}?=` : subject}`);
    lines.push('X-Aktenzeichen: 12/3 Müller');
    return Buffer.from(
      [...lines, ...bodyLines(body, form)].join('\r\n'),
      form === 'latin' ? 'latin1' : 'utf8',
    );
  });

function bodyLines(body: string, form: string): string[] {
  const type = (value: string, encoding: string) => [
    `Content-Type: ${value}`,
    `Content-Transfer-Encoding: ${encoding}`,
    '',
  ];
  switch (form) {
    case 'base64':
      return [...type('text/plain; charset=utf-8', 'base64'), Buffer.from(body).toString('base64')];
    case 'qp':
      return [
        ...type('text/plain; charset=utf-8', 'quoted-printable'),
        body.replace(/[^\r\n -<>-~]/gu, (c) => Buffer.from(c).toString('hex').replace(/../g, '=$&')),
      ];
    case 'html':
      return [
        ...type('text/html; charset=utf-8', '8bit'),
        `<p>${body.replace('scheid', '<b>scheid</b>')}</p>`,
      ];
    case 'latin':
      return [...type('text/plain; charset=iso-8859-1', '8bit'), body];
    case 'mixed':
      return [
        ...type('multipart/mixed; boundary=b', '7bit'),
        '--b',
        '',
        body,
        '--b',
        "Content-Disposition: attachment; filename*=utf-8''M%C3%BCller.pdf",
        'Content-Type: application/pdf',
        '',
        'JVBE scheid',
        '--b',
        'Content-Type: message/rfc822',
        '',
        `Subject: enclosed ${body.replace(/[\r\n]+/g, ' ')}`,
        '',
        'x',
        '--b--',
      ];
    default:
      return [...type('text/plain; charset=utf-8', '8bit'), body];
  }
}

const envelopeField = fc.constantFrom('subject' as const, 'from' as const, 'to' as const, 'cc' as const);
const { key: query } = fc.letrec<{ key: SearchKey }>((tie) => ({
  key: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    fc.record({ key: fc.constantFrom('body' as const, 'text' as const), text: phrase }),
    fc.record({ key: fc.constant('envelope' as const), field: envelopeField, text: phrase }),
    fc.record({
      key: fc.constant('header' as const),
      field: fc.constantFrom('subject', 'x-aktenzeichen', 'x-none', 'content-type'),
      text: fc.oneof(phrase, fc.constantFrom('12/3', 'mueller', 'charset')),
    }),
    fc.record({ key: fc.constant('not' as const), operand: tie('key') }),
    fc.record({ key: fc.constant('or' as const), left: tie('key'), right: tie('key') }),
    fc.record({
      key: fc.constant('and' as const),
      keys: fc.array(tie('key'), { minLength: 1, maxLength: 3 }),
    }),
  ),
}));

async function append(bytes: Buffer): Promise<void> {
  const writer = store.stage(tenant);
  const indexer = createIndexer();
  indexer.push(bytes);
  await writer.write(bytes);
  const staged = { object: await writer.finish(), index: indexer.finish() };
  await store.appendMessage(tenant, mailbox, { message: staged, flags: [], internalDate: 0 });
}

/** One batch of what is due goes into the index. */
async function index(limit: number): Promise<boolean> {
  const due = await store.dueSearchTexts(tenant, limit);
  if (due === null) return false;
  const texts = [];
  for (const { object, index } of due.messages)
    texts.push({ object, ...(await textsOf(store, tenant, { object, index: index! }))! });
  await store.recordSearchTexts(
    tenant,
    texts,
    due.messages.map(({ object }) => object),
    due.filled,
  );
  return true;
}

async function look(): Promise<void> {
  const info = await store.mailboxById(tenant, mailbox);
  const rows = await store.messages(tenant, mailbox);
  view = createMailboxView(info!, rows, { readOnly: true, user: undefined });
}

async function search(key: SearchKey): Promise<number[]> {
  const contentsOf = (uids: readonly number[]) => store.contents(tenant, mailbox, uids);
  const matches = createMatcher({ store, tenant, contentsOf, turn: async () => undefined }, view, key);
  const found: number[] = [];
  for (let sequence = 1; sequence <= view.count; sequence++)
    if (await matches(sequence)) found.push(sequence);
  return found;
}

describe('a search', () => {
  it('answers the same by the index, half by it, and by reading', { timeout: 60_000 }, async () => {
    const messages = fc.sample(message, { numRuns: 24, seed: 1 });
    const queries = fc.sample(query, { numRuns: 90, seed: 2 });
    for (const bytes of messages) await append(bytes);
    await look();
    const answers = async () => {
      const all: number[][] = [];
      for (const key of queries) all.push(await search(key));
      return all;
    };
    const read = await answers();
    expect(new Set(read.map(String)).size).toBeGreaterThan(15);

    await store.openSearchText(tenant, TEXT_EDITION);
    await index(9);
    expect(await store.searchTextState(tenant)).toMatchObject({ indexed: 9, filled: false });
    expect(await answers()).toEqual(read);
    while (await index(9));
    expect(await store.searchTextState(tenant)).toMatchObject({ waiting: 0, filled: true });
    expect(await answers()).toEqual(read);
  });

  it.each<[string, SearchKey]>([
    ['a word that tags part', { key: 'body', text: 'bescheid gross' }],
    ['a name of an attachment', { key: 'body', text: 'Anträge.pdf' }],
    ['an enclosed subject', { key: 'text', text: 'INNEN' }],
    ['an entity', { key: 'text', text: 'gruesse' }],
    ['what an encoded word says', { key: 'header', field: 'x-n', text: 'größe' }],
  ])('finds %s', async (_, key) => {
    if (view.count < 25) {
      await append(manyForms);
      await look();
    }
    expect(await search(key)).toContain(25);
  });

  it('takes the words of a message along with its last copy', async () => {
    const { uidValidity, id } = await store.createMailbox(tenant, erika, 'Ablage');
    expect(uidValidity).toBeGreaterThan(0);
    await store.copyMessages(tenant, mailbox, [1], id);
    const indexed = async () => (await store.searchTextState(tenant))!.indexed;
    const before = await indexed();
    await store.changeFlags(tenant, mailbox, [1], { op: 'add', flags: ['\\Deleted'] });
    await store.expunge(tenant, mailbox, [1]);
    expect(await indexed()).toBe(before);
    await store.deleteMailbox(tenant, erika, 'Ablage');
    expect(await indexed()).toBe(before - 1);
  });
});

const manyForms = Buffer.from(
  [
    'X-N: =?utf-8?q?Gr=C3=B6=C3=9Fe?=',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: text/html',
    '',
    'Be<b>scheid</b><br>gro&szlig; Gr&uuml;&szlig;e',
    '--b',
    "Content-Disposition: attachment; filename*0*=utf-8''Antr%C3; filename*1*=%A4ge.pdf",
    '',
    '--b',
    'Content-Type: message/rfc822',
    '',
    'Subject: =?utf-8?q?innen?=',
    '',
    '--b--',
  ].join('\r\n'),
);
