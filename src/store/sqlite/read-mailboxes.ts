/** Reads for the facade: mailboxes, messages, their bytes. */
import type { MessageIndex } from '../../mime/types.ts';
import {
  type ByteSource,
  CorruptObject,
  type MailboxInfo,
  type MailboxOwner,
  type MessageContent,
  type MessageRow,
  type Reader,
  type Summary,
} from '../store.ts';
import type { MailboxRow } from './commands/deposit.ts';
import { type ObjectRow, openObject } from './objects.ts';
import type { ReadContext } from './read-context.ts';
import { asOctets } from './summary.ts';

type MailboxReader = Pick<
  Reader,
  | 'mailboxes'
  | 'mailbox'
  | 'mailboxById'
  | 'subscriptions'
  | 'mailboxUsage'
  | 'unseenBy'
  | 'messages'
  | 'changesSince'
  | 'contents'
  | 'summaries'
  | 'privateMessages'
  | 'byMessageId'
  | 'withoutFingerprint'
  | 'object'
  | 'readSource'
> & {
  /** Rows of single messages, as `messages` gives those of all. */
  messageRows(tenant: string, mailbox: number, uids: readonly number[], user?: string): Promise<MessageRow[]>;
};

interface Seen {
  has(uid: number): boolean;
}

interface MailRecord {
  uid: number;
  modseq: number;
  flags: string;
  size: number;
  internal_date: number;
}

type SummaryRecord = [
  uid: number,
  prefix: Buffer,
  object: string,
  from: number,
  size: number,
  envelope: string | null,
  structure: string | null,
  privateOf: number | null,
  header?: Buffer | null,
];

/**
 * `+ 0`: SQLite, built with STAT4, plans a join or a range anew for each value that is bound bare, and that costs five times
 * what the look-up does.
 */
function summarySql(withHeader: boolean, uids: string): string {
  return `SELECT m.uid, m.prefix, m.object, m.object_from, m.size, l.envelope, l.structure, p.idx${withHeader ? ', l.header' : ''}
    FROM mail m LEFT JOIN summary l ON l.tenant = m.tenant AND l.object = m.object
      LEFT JOIN private_message p ON p.tenant = m.tenant AND p.object = m.object
    WHERE m.mailbox = ? + 0 AND m.tenant = ? || '' AND m.uid ${uids}`;
}

function summary([
  uid,
  prefix,
  object,
  from,
  size,
  envelope,
  structure,
  privateOf,
  header,
]: SummaryRecord): Summary {
  return {
    uid,
    source: { prefix, object, from },
    size,
    privateOf,
    object:
      envelope === null || structure === null
        ? null
        : { envelope: asOctets(envelope), structure: asOctets(structure), header: header ?? null },
  };
}

export function mailboxReader(context: ReadContext): MailboxReader {
  const { sql } = context;

  function info(row: MailboxRow): MailboxInfo {
    return {
      id: row.id,
      owner: { type: row.owner_type, name: row.owner_name },
      name: row.name,
      specialUse: row.special_use,
      uidValidity: row.uidvalidity,
      uidNext: row.uidnext,
      highestModseq: row.modseq,
      messages: row.messages,
      unseen: row.unseen,
      bytes: row.bytes,
    };
  }

  function rowOf(tenant: string, mailbox: number): MailboxRow | undefined {
    return sql('SELECT * FROM mailbox WHERE id = ? AND tenant = ?').get(mailbox, tenant) as
      | MailboxRow
      | undefined;
  }

  /** Users' own \Seen in a shared mailbox, of all messages at once. */
  function seenBy(row: MailboxRow, user: string | undefined): Seen | null {
    if (row.owner_type !== 'shared' || user === undefined) return null;
    return new Set(
      sql('SELECT uid FROM mail_seen WHERE mailbox = ? AND user = ?').pluck().all(row.id, user) as number[],
    );
  }

  /** The same, asked message by message: for few of many. */
  function eachSeenBy(row: MailboxRow, user: string | undefined): Seen | null {
    if (row.owner_type !== 'shared' || user === undefined) return null;
    const statement = sql('SELECT 1 FROM mail_seen WHERE mailbox = ? AND uid = ? AND user = ?');
    return { has: (uid) => statement.get(row.id, uid, user) !== undefined };
  }

  function messageRow(mail: MailRecord, seen: Seen | null): MessageRow {
    const stored = mail.flags === '' ? [] : mail.flags.split(' ');
    const flags =
      seen === null
        ? stored
        : [...stored.filter((f) => f !== '\\Seen'), ...(seen.has(mail.uid) ? ['\\Seen'] : [])];
    return { uid: mail.uid, modseq: mail.modseq, flags, size: mail.size, internalDate: mail.internal_date };
  }

  function changesSince(tenant: string, mailbox: number, since: number, user: string | undefined) {
    const row = rowOf(tenant, mailbox);
    if (row === undefined) return { changed: [], expunged: [], highestModseq: since, uidNext: 0 };
    const all = since < 0;
    const seen = all ? seenBy(row, user) : eachSeenBy(row, user);
    const columns = 'SELECT uid, modseq, flags, size, internal_date FROM mail WHERE mailbox = ? + 0';
    const mails = all
      ? sql(`${columns} ORDER BY uid`).all(mailbox)
      : sql(`${columns} AND modseq > ? + 0 ORDER BY uid`).all(mailbox, since);
    const expunged = all
      ? []
      : sql('SELECT uid FROM expunged WHERE mailbox = ? + 0 AND modseq > ? + 0 ORDER BY uid')
          .pluck()
          .all(mailbox, since);
    return {
      changed: (mails as MailRecord[]).map((mail) => messageRow(mail, seen)),
      expunged: expunged as number[],
      highestModseq: row.modseq,
      uidNext: row.uidnext,
    };
  }
  const changesOfOneMoment = context.db.transaction(changesSince);

  async function object(tenant: string, name: string) {
    const row = sql('SELECT object, uid, size, key, inline FROM object WHERE tenant = ? AND object = ?').get(
      tenant,
      name,
    ) as ObjectRow | undefined;
    return row === undefined ? null : openObject(context.objectsDirectory, context.keys(tenant), row);
  }

  return {
    object,

    async mailboxes(tenant, owner) {
      const rows = sql(
        'SELECT * FROM mailbox WHERE tenant = ? AND owner_type = ? AND owner_name = ? ORDER BY id',
      ).all(tenant, owner.type, owner.name);
      return (rows as MailboxRow[]).map(info);
    },
    async mailbox(tenant, owner, name) {
      const row = sql(
        'SELECT * FROM mailbox WHERE tenant = ? AND owner_type = ? AND owner_name = ? AND name = ?',
      ).get(tenant, owner.type, owner.name, name) as MailboxRow | undefined;
      return row === undefined ? null : info(row);
    },
    async mailboxById(tenant, mailbox) {
      const row = rowOf(tenant, mailbox);
      return row === undefined ? null : info(row);
    },
    async subscriptions(tenant, user) {
      const rows = sql(
        'SELECT owner_type, owner_name, name FROM subscription WHERE tenant = ? AND user = ?',
      ).all(tenant, user) as { owner_type: MailboxOwner['type']; owner_name: string; name: string }[];
      return rows.map((r) => ({ owner: { type: r.owner_type, name: r.owner_name }, name: r.name }));
    },

    async mailboxUsage(tenant, owner) {
      return sql(
        'SELECT COALESCE(SUM(messages), 0) AS messages, COALESCE(SUM(bytes), 0) AS bytes FROM mailbox WHERE tenant = ? AND owner_type = ? AND owner_name = ?',
      ).get(tenant, owner.type, owner.name) as { messages: number; bytes: number };
    },
    async unseenBy(tenant, mailbox, user) {
      return sql(
        'SELECT messages - (SELECT COUNT(*) FROM mail_seen WHERE mailbox = id AND user = ?) FROM mailbox WHERE id = ? AND tenant = ?',
      )
        .pluck()
        .get(user, mailbox, tenant) as number;
    },
    async messages(tenant, mailbox, user) {
      const row = rowOf(tenant, mailbox);
      if (row === undefined) return [];
      const seen = seenBy(row, user);
      return (
        sql('SELECT uid, modseq, flags, size, internal_date FROM mail WHERE mailbox = ? ORDER BY uid').all(
          mailbox,
        ) as MailRecord[]
      ).map((m) => messageRow(m, seen));
    },
    async messageRows(tenant, mailbox, uids, user) {
      const row = rowOf(tenant, mailbox);
      if (row === undefined) return [];
      const seen = eachSeenBy(row, user);
      const one = sql(
        'SELECT uid, modseq, flags, size, internal_date FROM mail WHERE mailbox = ? AND uid = ?',
      );
      return uids
        .map((uid) => one.get(mailbox, uid) as MailRecord | undefined)
        .filter((mail) => mail !== undefined)
        .map((mail) => messageRow(mail, seen));
    },
    async changesSince(tenant, mailbox, since, user) {
      return changesOfOneMoment(tenant, mailbox, since, user);
    },
    async contents(tenant, mailbox, uids) {
      if (rowOf(tenant, mailbox) === undefined) return [];
      const statement = sql(
        `SELECT m.uid, m.prefix, m.object, m.object_from, o.structure, p.idx AS private_of
         FROM mail m JOIN object o ON o.tenant = m.tenant AND o.object = m.object
         LEFT JOIN private_message p ON p.tenant = m.tenant AND p.object = m.object
         WHERE m.mailbox = ? AND m.uid = ?`,
      );
      const contents: MessageContent[] = [];
      for (const uid of uids) {
        const mail = statement.get(mailbox, uid) as
          | {
              uid: number;
              prefix: Buffer;
              object: string;
              object_from: number;
              structure: string | null;
              private_of: number | null;
            }
          | undefined;
        if (mail === undefined) continue;
        if (mail.structure === null)
          throw new CorruptObject(`object ${tenant}/${mail.object}: structure index is missing`);
        contents.push({
          uid,
          source: { prefix: mail.prefix, object: mail.object, from: mail.object_from },
          index: JSON.parse(mail.structure) as MessageIndex,
          privateOf: mail.private_of,
        });
      }
      return contents;
    },
    async summaries(tenant, mailbox, uids, withHeader) {
      if (uids.length === 0) return [];
      const first = uids[0]!;
      const last = uids.at(-1)!;
      // Where most of a range is wanted, one walk over it costs less than a look-up of each.
      if (last - first < 2 * uids.length) {
        const wanted = last - first + 1 === uids.length ? null : new Set(uids);
        const rows = sql(`${summarySql(withHeader, 'BETWEEN ? + 0 AND ? + 0')} ORDER BY m.uid`)
          .raw()
          .all(mailbox, tenant, first, last) as SummaryRecord[];
        return (wanted === null ? rows : rows.filter(([uid]) => wanted.has(uid))).map(summary);
      }
      const one = sql(summarySql(withHeader, '= ? + 0')).raw();
      return uids
        .map((uid) => one.get(mailbox, tenant, uid) as SummaryRecord | undefined)
        .filter((row) => row !== undefined)
        .map(summary);
    },
    async privateMessages(tenant, mailbox) {
      if (rowOf(tenant, mailbox) === undefined) return new Map();
      const rows = sql(
        `SELECT m.uid, p.idx FROM private_message p JOIN mail m ON m.tenant = p.tenant AND m.object = p.object
         WHERE p.tenant = ? AND m.mailbox = ?`,
      ).all(tenant, mailbox) as { uid: number; idx: number }[];
      return new Map(rows.map(({ uid, idx }) => [uid, idx]));
    },
    async byMessageId(tenant, mailbox, messageId) {
      if (rowOf(tenant, mailbox) === undefined) return [];
      return sql('SELECT uid FROM mail WHERE mailbox = ? AND message_id = ? ORDER BY uid')
        .pluck()
        .all(mailbox, messageId) as number[];
    },
    async withoutFingerprint(tenant, mailbox, uids) {
      if (rowOf(tenant, mailbox) === undefined) return [];
      const lacks = sql(
        `SELECT 1 FROM mail m WHERE m.mailbox = ? AND m.uid = ? AND m.message_id IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM fingerprint f WHERE f.tenant = m.tenant AND f.object = m.object)`,
      );
      return uids.filter((uid) => lacks.get(mailbox, uid) !== undefined);
    },

    async *readSource(
      tenant: string,
      source: ByteSource,
      from = 0,
      to = Number.MAX_SAFE_INTEGER,
    ): AsyncGenerator<Buffer> {
      const prefix = source.prefix.length;
      if (from < prefix) {
        const part = Buffer.from(source.prefix).subarray(from, Math.min(to, prefix));
        if (part.length > 0) yield part;
      }
      if (to <= prefix) return;
      const opened = await object(tenant, source.object);
      if (opened === null) throw new CorruptObject(`object ${tenant}/${source.object} is missing`);
      yield* opened.read(
        Math.max(0, from - prefix) + source.from,
        Math.min(opened.size, to - prefix + source.from),
      );
    },
  };
}
