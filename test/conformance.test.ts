/** docs/conformance.md names files and tests: they exist under these names, and no clause is left out. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const root = new URL('../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');

interface Row {
  readonly clause: string;
  readonly demands: string;
  readonly status: string;
  readonly files: readonly string[];
  readonly tests: readonly { readonly path: string; readonly title: string | null }[];
  readonly note: string;
}

const page = read('docs/conformance.md');
const rows: Row[] = page
  .split('\n')
  .filter((line) => /^\| (IO|FU|GS|ACM|ID FU|PVD Si) /.test(line))
  .map((line) => {
    const [clause, demands, status, files, tests, note, ...rest] = line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim());
    if (note === undefined || rest.length > 0) throw new Error(`not six cells: ${line}`);
    return {
      clause: clause!,
      demands: demands!,
      status: status!,
      files: [...files!.matchAll(/`([^`]+)`/g)].map(([, path]) => path!),
      tests: (tests === '' ? [] : tests!.split('<br>')).map((test) => {
        const [, path, title] = /^`([^`]+)`(?: › (.+))?$/.exec(test) ?? [];
        if (path === undefined) throw new Error(`not a test: ${test}`);
        return { path, title: title ?? null };
      }),
      note,
    };
  });

/** Numbers `from` to `to` as they stand in a clause such as `FU 6.2 steps 12–14`. */
function numbers(word: 'step' | 'function'): number[] {
  return rows.flatMap(({ clause }) => {
    const [, from, to] = new RegExp(`^FU [67]\\.\\d ${word}s? (\\d+)(?:–(\\d+))?$`).exec(clause) ?? [];
    if (from === undefined) return [];
    return Array.from({ length: Number(to ?? from) - Number(from) + 1 }, (_, i) => Number(from) + i);
  });
}
const upTo = (last: number) => Array.from({ length: last }, (_, i) => i + 1);
const sections = (start: string, last: number) => upTo(last).map((n) => `${start}.${n}`);

/** Sections of the norm, version 1.8, that demand something of the message or of whoever handles it. */
const demanding = [
  ...['IO 2.1', ...sections('IO 2.1', 3), 'IO 3.1', ...sections('IO 3.1', 22), 'IO 3.2', 'IO 3.3', 'IO 3.4'],
  ...['IO 3.4.1', 'IO 3.5', ...sections('IO 3.5', 3), 'IO 3.6', 'IO 4'],
  ...['FU 3.1.1', 'FU 3.1.1.1', ...sections('FU 3.1.2', 4), ...sections('FU 3.1.3', 9)],
  ...[
    'FU 3.2.1',
    'FU 3.2.2',
    'FU 3.3',
    ...sections('FU 3.3', 5),
    ...sections('FU 4', 3),
    ...sections('FU 5', 3),
  ],
  ...['FU 8', 'GS 10', ...sections('GS 10.1', 3), 'GS 10.2.1', 'GS 10.2.2', 'GS 10.2.2.1', 'GS 10.2.2.2'],
];
/** Others that rows may speak of. */
const others = [
  ...sections('ACM 2.1', 4),
  'ACM 3.1',
  'ACM 3.6.2',
  'ID FU 3.3',
  'ID FU 3.4',
  'PVD Si 4.3',
  'PVD Si 5.2.5',
];

/** TR-01201 IO 3.1, table 1. */
const headers = [
  ...[
    'confirmation-of-dispatch',
    'confirmation-of-receipt',
    'confirmation-of-retrieve',
    'authoritative',
    'private',
  ],
  ...[
    'sender',
    'chosen-recipient',
    'actual-recipient',
    'private-id',
    'auth-level',
    'auth-mechanism',
    'message-id',
  ],
  ...[
    'originator-provider',
    'message-type',
    'integrity',
    'signature-certificate',
    'version',
    'account-holder',
  ],
  'notification-type',
].map((name) => `X-de-mail-${name}`);

describe('docs/conformance.md', () => {
  it('has a row for every section, step and function of the norm, and none for others', () => {
    const clauses = new Set(rows.map(({ clause }) => clause));
    expect(demanding.filter((clause) => !clauses.has(clause))).toEqual([]);
    const plain = [...clauses].filter((clause) => !/ (steps?|functions?) /.test(clause));
    expect(plain.filter((clause) => ![...demanding, ...others].includes(clause))).toEqual([]);
    expect(numbers('step').sort((a, b) => a - b)).toEqual(upTo(91));
    expect(numbers('function').sort((a, b) => a - b)).toEqual(upTo(14));
  });

  it.each(headers)('speaks of %s in the section about it', (header) => {
    expect(rows.filter(({ demands }) => demands.includes(`\`${header}\``))).not.toEqual([]);
  });

  it('has a status, and what the status needs, in every row', () => {
    for (const { clause, demands, status, files, tests, note } of rows) {
      expect(['fulfilled', 'partly', 'not fulfilled', 'provider', 'client'], clause).toContain(status);
      expect(demands, clause).not.toBe('');
      if (status === 'fulfilled' || status === 'partly')
        expect([files.length > 0, tests.length > 0], clause).toEqual([true, true]);
      if (status === 'partly' || status === 'not fulfilled') expect(note, clause).not.toBe('');
    }
  });

  it('names files that exist', () => {
    const named = rows.flatMap(({ files, tests }) => [...files, ...tests.map(({ path }) => path)]);
    expect(named.filter((path) => !existsSync(new URL(path, root)))).toEqual([]);
  });

  it('names tests that stand in their files', () => {
    const missing = rows
      .flatMap(({ tests }) => tests)
      .filter(({ path, title }) => {
        const source = read(path).replaceAll("\\'", "'");
        const quoted = [`'${title}'`, `"${title}"`, `\`${title}\``];
        return (
          !path.endsWith('.test.ts') || (title !== null && !quoted.some((text) => source.includes(text)))
        );
      })
      .map(({ path, title }) => `${path} › ${title}`);
    expect(missing).toEqual([]);
  });
});
