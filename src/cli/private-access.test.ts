import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Entry } from '../evidence/entry.ts';
import { createIndexer } from '../mime/structure.ts';
import { openSqliteStore } from '../store/sqlite/open.ts';
import { withoutContent } from './private-access.ts';
import { runCommandLine } from './program.ts';

const secret = 'Kuendigung wegen Krankheit';
let dir: string;
let data: string;
let letter: number;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'private-access-'));
  data = join(dir, 'data');
  await using store = await openSqliteStore({ directory: data, originPrefix: 'gateway.example' });
  await store.openTenant('stadt');
  for (const [uid, isPrivate] of [
    [1, true],
    [2, false],
  ] as const) {
    const bytes = Buffer.from(`Subject: ${secret}\r\nMessage-ID: <${uid}@x>\r\n\r\n${secret}\r\n`);
    const writer = store.stage('stadt');
    const indexer = createIndexer();
    indexer.push(bytes);
    await writer.write(bytes);
    const recorded = await store.recordFetched('stadt', {
      kind: 'inbound',
      source: { account: 'a', folder: 'INBOX', uidValidity: '1', uid },
      staged: { object: await writer.finish(), index: indexer.finish() },
      header: { messageId: `<${uid}@x>`, subject: secret, from: null, date: null },
      demail: {
        messageType: 'normal',
        messageId: null,
        privateId: null,
        sender: 'max@buerger.de-mail.example',
        authLevel: 'high',
        originatorProvider: null,
        options: isPrivate ? ['private'] : [],
        chosenRecipients: [],
        envelopeTo: [],
      },
      attachments: [
        { name: `${secret}.pdf`, type: 'application/pdf', sha256: 'ab'.repeat(32), size: 9 },
      ] as never,
      verdict: 'valid',
      checks: [{ name: 'integrity', result: 'passed', reason: `Subject: ${secret}` }],
      ...(isPrivate ? { private: true, waitsFor: ['poststelle@stadt.de-mail.example'] } : {}),
      deposits: [],
    });
    letter ??= recorded!.index;
  }
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function config(operators: readonly string[]): string {
  const file = join(dir, 'gateway.yaml');
  writeFileSync(file, JSON.stringify({ tenants: [{ id: 'stadt', privateMail: { operators } }] }));
  return file;
}

async function run(operators: readonly string[], ...args: string[]) {
  let stdout = '';
  let stderr = '';
  const out = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  const err = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    stderr += String(text);
    return true;
  });
  try {
    const code = await runCommandLine([...args, '--data', data, '--config', config(operators)]);
    return { code, stdout, stderr };
  } finally {
    out.mockRestore();
    err.mockRestore();
  }
}

const me = [userInfo().username];
const others = ['somebody-else'];

describe('a private De-Mail', () => {
  it.each([[['--json']], [[]]])('is shown without subject and content: show %j', async (more) => {
    const shown = await run(others, 'evidence', 'show', `stadt/${letter}`, ...more);
    expect(shown.code).toBe(0);
    expect(shown.stdout).toContain('max@buerger.de-mail.example');
    expect(shown.stdout).not.toContain('Kuendigung');
    expect((await run(me, 'evidence', 'show', `stadt/${letter}`, '--json')).stdout).toContain(secret);
  });

  it('is saved only by those whom the configuration names', async () => {
    const to = join(dir, 'saved');
    const refused = await run(others, 'evidence', 'show', `stadt/${letter}`, '--save', to);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toContain('privateMail.operators of stadt does not name');
    expect((await run(me, 'evidence', 'show', `stadt/${letter}`, '--save', to)).code).toBe(0);
  });

  it('is listed without subject, and not found by it', async () => {
    const all = await run(others, 'evidence', 'search', '--json');
    const lines = all.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.filter((l) => l.kind === 'inbound')).toMatchObject([
      { private: true, subject: null },
      { private: false, subject: secret },
    ]);
    const found = async (who: readonly string[]) =>
      (await run(who, 'evidence', 'search', '--subject', 'Krankheit', '--json')).stdout.trim().split('\n')
        .length;
    expect(await found(others)).toBe(1);
    expect(await found(me)).toBe(2);
  });

  it('that waits is listed without subject', async () => {
    const { stdout } = await run(others, 'private', 'list', '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      tenant: 'stadt',
      index: letter,
      addresses: ['poststelle@stadt.de-mail.example'],
    });
    expect(stdout).not.toContain('Kuendigung');
  });

  it('leaves a record of every look, also of a refused one', async () => {
    await using store = await openSqliteStore({ directory: data, originPrefix: 'gateway.example' });
    const { size } = await store.head('stadt');
    const queries: string[] = [];
    for (let i = 0; i < size; i++) {
      const entry = await store.entry('stadt', i);
      if (entry?.kind === 'access') queries.push(`${entry.action} ${entry.query}`);
    }
    expect(queries).toContain(`show stadt/${letter} (private, content hidden)`);
    expect(queries).toContain(`show stadt/${letter} (private, content shown)`);
    expect(queries).toContain(`export stadt/${letter} (private, content hidden)`);
  });
});

it('what was changed in the header of a private letter is told by name alone', () => {
  const edits = [
    { op: 'replace', name: 'Subject', before: '[persönlich] Kündigung', after: 'Kündigung' },
    { op: 'add', name: 'X-de-mail-private', after: 'yes' },
  ];
  const shown = withoutContent({ kind: 'handover-intent', edits } as unknown as Entry);
  expect(JSON.stringify(shown)).not.toContain('Kündigung');
  expect(shown).toMatchObject({ edits: [{ op: 'replace', name: 'Subject' }, edits[1]] });
});
