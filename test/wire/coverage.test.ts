/** No command, response code or capability of the facade without a transcript. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { catalogue, type ErrorCode } from '../../src/errors.ts';
import { capabilities } from '../../src/imap/capabilities.ts';
import { commands } from '../../src/imap/commands/index.ts';

const here = import.meta.dirname;
const transcripts = readdirSync(here)
  .filter((name) => name.endsWith('.txt'))
  .map((name) => ({ name, text: readFileSync(join(here, name), 'latin1') }));
const all = transcripts.map(({ text }) => text).join('\n');

/** Rights and quotas come from the configuration: these are understood, and refused. */
const refused = ['SETQUOTA', 'SETACL', 'DELETEACL'];

test('every command is said, and succeeds where it ever does', () => {
  const said = new Set<string>();
  for (const { text } of transcripts) {
    const open = new Map<string, string>();
    for (const [, side, session, tag, rest] of text.matchAll(/^([CS])(\d?): (\S+) (.*)$/gm)) {
      const words = rest!.toUpperCase().split(' ');
      if (side === 'C') open.set(`${session} ${tag}`, words[0] === 'UID' ? `UID ${words[1]}` : words[0]!);
      else {
        const name = open.get(`${session} ${tag}`) ?? '';
        if (words[0] === (refused.includes(name) ? 'NO' : 'OK')) said.add(name);
      }
    }
  }
  const wanted = [
    ...Object.keys(commands),
    'APPEND',
    ...['FETCH', 'STORE', 'SEARCH', 'COPY', 'MOVE'].map((c) => `UID ${c}`),
  ];
  expect(wanted.filter((name) => !said.has(name))).toEqual([]);
});

/** What no client can bring about by itself, and the tests that do. */
const elsewhere = new Map([
  ['CORRUPTION', 'src/imap/damage.test.ts'],
  ['SERVERBUG', 'src/imap/damage.test.ts'],
  ['UNAVAILABLE', 'src/imap/server.test.ts'],
]);

test('every response code is answered', () => {
  const sources = readdirSync(join(here, '../../src/imap'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !/\.test\.ts$|testing/.test(name))
    .map((name) => readFileSync(join(here, '../../src/imap', name), 'utf8'))
    .join('\n');
  const codes = new Set<string>();
  // An untagged `[CODE …]`, and the last argument of ok, no and bye.
  for (const [, code] of sources.matchAll(/ \[([A-Z-]{2,})[ \]]/g)) codes.add(code!);
  for (const [, code] of sources.matchAll(
    /\b(?:ok|no|bye)\((?:[^()]|\([^()]*\))*?, ['`]([A-Z][A-Z-]+)(?=[ '`])/g,
  ))
    codes.add(code!);
  for (const [, name] of sources.matchAll(/new GatewayError\('([a-z-]+)'/g)) {
    const { imap } = catalogue[name as ErrorCode] as { imap?: string };
    if (imap) codes.add(imap);
  }
  for (const code of ['READ-ONLY', 'READ-WRITE', 'APPENDUID', 'AUTHENTICATIONFAILED', 'LIMIT'])
    codes.add(code);
  expect(codes.size).toBeGreaterThan(15);
  const answered = (code: string) =>
    new RegExp(`^S\\d?: \\S+ (OK|NO|BAD|BYE) \\[${code}[ \\]]`, 'm').test(all);
  expect([...codes].filter((code) => !answered(code) && !elsewhere.has(code))).toEqual([]);
  for (const [code, file] of elsewhere)
    expect(readFileSync(join(here, '../..', file), 'utf8')).toContain(code);
});

test('every capability is named by a transcript', () => {
  const deps = { limits: { messageSize: 1 } };
  type Asking = Parameters<typeof capabilities>[0];
  const offered = [
    { principal: {}, connection: { secure: true }, deps },
    { principal: null, connection: { secure: true }, deps },
    { principal: null, connection: { secure: false }, deps },
  ].flatMap((session) => capabilities(session as unknown as Asking).split(' '));
  const described = transcripts
    .map(({ name, text }) => `${name}\n${text.match(/^#.*$/gm)?.join('\n') ?? ''}`)
    .join('\n');
  const names = new Set(offered.map((name) => name.replace(/^APPENDLIMIT=.*/, 'APPENDLIMIT')));
  expect([...names].filter((name) => !described.toLowerCase().includes(name.toLowerCase()))).toEqual([]);
});
