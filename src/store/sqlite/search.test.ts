import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EntryBody } from '../../evidence/entry.ts';
import type { SearchQuery } from '../store.ts';
import { createReadContext, type ReadContext } from './read-context.ts';
import { configure, migrate } from './schema.ts';
import { matches } from './search.ts';
import { createWriteContext } from './write-context.ts';

const tenant = 'stadt';
const file = 'ef'.repeat(32);
const object = { object: 'ab'.repeat(32), sha256: 'cd'.repeat(32), size: 1 };

interface Letter {
  readonly day: number;
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly kind: 'inbound' | 'notification';
  readonly subject: string;
}

const addresses = ['max@a.de', 'Max@A.de', 'erika.max@a.de', 'max@b.a.de', '"x@y"@a.de', 'odd', 'max@ab.de'];
const letters = fc.array(
  fc.record<Letter>({
    // Days go back as well as on: a clock may be set back.
    day: fc.integer({ min: 1, max: 9 }),
    sender: fc.constantFrom(...addresses),
    recipients: fc.uniqueArray(fc.constantFrom(...addresses), { maxLength: 3 }),
    kind: fc.constantFrom('inbound', 'notification'),
    subject: fc.constantFrom('Bescheid', 'Antrag', '100 %'),
  }),
  { minLength: 1, maxLength: 260 },
);
const day = fc.integer({ min: 0, max: 10 }).map((n) => `2026-03-${String(n).padStart(2, '0')}T12:00:00Z`);
const queries = fc.record<SearchQuery>(
  {
    address: fc.constantFrom(...addresses, 'ax@', '@a.de', '@A.DE', '@', '%', 'nobody', '@b.a'),
    kind: fc.constantFrom('inbound', 'notification'),
    since: day,
    until: day,
    subject: fc.constantFrom('besch', '%'),
    messageId: fc.constantFrom('1@x', '<2@x>'),
    sha256: fc.constantFrom(file, '00'),
  },
  { requiredKeys: [] },
);

describe('search', () => {
  let directory: string;
  let db: Database.Database;
  let reader: ReadContext;
  let write: ReturnType<typeof createWriteContext>;

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'search-'));
    db = new Database(join(directory, 'store.sqlite'));
    configure(db);
    db.pragma('synchronous = OFF');
    migrate(db);
    write = createWriteContext(db, { keysDirectory: join(directory, 'keys'), originPrefix: 'x' });
    reader = createReadContext(db, directory, join(directory, 'keys'));
  });
  afterAll(() => {
    db.close();
    rmSync(directory, { recursive: true });
  });

  function body({ sender, recipients, kind, subject }: Letter, n: number): EntryBody {
    return {
      kind,
      source: { account: 'a', folder: 'INBOX', uidValidity: '1', uid: n },
      message: object,
      header: { messageId: `<${n % 5}@x>`, subject, from: null, date: null },
      demail: {
        ...{ messageType: null, messageId: null, privateId: null, sender, authLevel: null },
        ...{ originatorProvider: null, options: [], chosenRecipients: recipients, envelopeTo: [] },
      },
      attachments: n % 2 === 0 ? [{ sha256: file, name: 'a.pdf', type: 'application/pdf', size: 1 }] : [],
      verdict: 'valid',
      delivered: [],
      ...(kind === 'notification'
        ? { notification: 'x', letter: null, transaction: null, recipients, matchedBy: null }
        : {}),
    } as EntryBody;
  }

  /** The letters are there while `work` runs. */
  function having(list: readonly Letter[], work: () => void): void {
    db.exec('BEGIN');
    try {
      for (const [n, letter] of list.entries()) {
        write.now = Date.parse(`2026-03-0${letter.day}T12:00:00Z`);
        write.append(tenant, body(letter, n));
      }
      write.commitTrees();
      work();
    } finally {
      db.exec('ROLLBACK');
      write.rollbackTrees();
    }
  }

  function lower(list: readonly string[]): string[] {
    return list.map((address) => address.toLowerCase());
  }

  /** What is asked of an address, said without any index. */
  function finds(list: readonly Letter[], text: string): (letter: Letter) => boolean {
    const wanted = text.toLowerCase();
    const all = list.map(({ sender, recipients }) => lower([sender, ...recipients]));
    const occurs = (test: (address: string) => boolean) => all.some((each) => each.some(test));
    const domain = (address: string) => `@${address.slice(address.lastIndexOf('@') + 1)}` === wanted;
    const test = occurs((address) => address === wanted)
      ? (address: string) => address === wanted
      : occurs(domain)
        ? domain
        : (address: string) => address.includes(wanted);
    return ({ sender, recipients }) => lower([sender, ...recipients]).some(test);
  }

  it('finds what a look at every letter finds, in the order of the log', () => {
    fc.assert(
      fc.property(letters, queries, (list, query) => {
        const byAddress = query.address === undefined ? () => true : finds(list, query.address);
        const expected = list.flatMap((letter, n) => {
          const time = `2026-03-0${letter.day}T12:00:00.000Z`;
          return byAddress(letter) &&
            (query.kind === undefined || letter.kind === query.kind) &&
            (query.since === undefined || time >= query.since) &&
            (query.until === undefined || time <= query.until) &&
            (query.subject === undefined || letter.subject.toLowerCase().includes(query.subject)) &&
            (query.messageId === undefined || query.messageId.replace(/[<>]/g, '') === `${n % 5}@x`) &&
            (query.sha256 === undefined || (query.sha256 === file && n % 2 === 0))
            ? [n]
            : [];
        });
        having(list, () => {
          expect([...matches(reader, { tenant, ...query })].map(({ idx }) => idx)).toEqual(expected);
        });
      }),
      { numRuns: 60 },
    );
  });

  it('lists an address as long as a letter has it', () => {
    const list: Letter[] = [
      { day: 1, sender: 'max@a.de', recipients: ['eva@b.de'], kind: 'inbound', subject: '' },
      { day: 1, sender: 'eva@b.de', recipients: ['MAX@a.de'], kind: 'inbound', subject: '' },
    ];
    const listed = () => db.prepare('SELECT address FROM address ORDER BY 1').pluck().all();
    having(list, () => {
      expect(listed()).toEqual(['eva@b.de', 'max@a.de']);
      for (const table of ['message', 'message_recipient']) db.exec(`DROP TRIGGER ${table}_no_delete`);
      db.exec('DELETE FROM message WHERE idx = 0');
      expect(listed()).toEqual(['eva@b.de', 'max@a.de']);
      db.exec('DELETE FROM message_recipient WHERE idx = 1');
      expect(listed()).toEqual(['eva@b.de']);
      db.exec('DELETE FROM message; DELETE FROM message_recipient');
      expect(listed()).toEqual([]);
    });
    expect(
      db.prepare('SELECT name FROM sqlite_master WHERE name LIKE ?').all('%_no_delete').length,
    ).toBeGreaterThan(3);
  });

  it('takes a domain from the end of an address, however long that is', () => {
    having(
      [
        {
          day: 1,
          sender: `${'a'.repeat(40_000)}${'b'.repeat(40_000)}@c.de`,
          recipients: [],
          kind: 'inbound',
          subject: '',
        },
      ],
      () => {
        expect([...matches(reader, { tenant, address: '@c.de' })]).toHaveLength(1);
      },
    );
  });
});
