/**
 * Numbered migrations. A released one is never changed; a new version appends. Evidence tables are append-only
 * by trigger: triggers stop mistakes, the log stops attackers.
 */
import type Database from 'better-sqlite3';
import { evidenceTables } from '../../evidence/projection.ts';

/**
 * An evidence table whose rows come from entries, never change and never go. Rows lie in the order of their
 * entries, so verification reads them along the log without an index. Each index costs a random page per
 * letter: only those that a look-up needs.
 */
function evidenceTable(name: string, columns: string, indexes: readonly string[]): string {
  return `
    CREATE TABLE ${name} (tenant TEXT NOT NULL, idx INTEGER NOT NULL, ${columns}) STRICT;
    ${indexes.map((columns_, i) => `CREATE INDEX ${name}_${i} ON ${name} (${columns_});`).join('\n')}
    ${appendOnly(name)}
  `;
}

/** Tables of evidence as migration 1 made them. */
const firstEvidenceTables = [
  'message',
  'message_recipient',
  'private_id',
  'provider_id',
  'fact',
  'letter_entry',
  'verdict',
  'file_reference',
  'digest',
] as const;

/** Rows of an entry may go once an entry of kind `erased` names it, and only then. */
function erasable(name: string): string {
  return `
    DROP TRIGGER ${name}_no_delete;
    CREATE TRIGGER ${name}_no_delete BEFORE DELETE ON ${name}
      WHEN NOT EXISTS (SELECT 1 FROM erased WHERE tenant = OLD.tenant AND entry = OLD.idx)
      BEGIN SELECT RAISE(ABORT, '${name} is append-only'); END;
  `;
}

function appendOnly(name: string): string {
  return `
    CREATE TRIGGER ${name}_no_update BEFORE UPDATE ON ${name} BEGIN SELECT RAISE(ABORT, '${name} is append-only'); END;
    CREATE TRIGGER ${name}_no_delete BEFORE DELETE ON ${name} BEGIN SELECT RAISE(ABORT, '${name} is append-only'); END;
  `;
}

/**
 * SQL of an address's domain, in lower case: after its last `@`. Looked for in its end alone, which is longer than any
 * domain: the cost grows with the square. Part of indexes: it cannot be changed without making them anew.
 */
export function domainOf(column: string): string {
  const end = `substr(${column}, -256)`;
  return `lower(substr(${end}, length(rtrim(${end}, replace(${end}, '@', ''))) + 1))`;
}

/** Rows of the list of addresses that occur, kept by triggers; the last letter of an address takes it along. */
function listAddresses(table: string, column: string): string {
  return `
    CREATE TRIGGER ${table}_address AFTER INSERT ON ${table} WHEN NEW.${column} IS NOT NULL
      BEGIN INSERT OR IGNORE INTO address (tenant, address) VALUES (NEW.tenant, NEW.${column}); END;
    CREATE TRIGGER ${table}_address_gone AFTER DELETE ON ${table} WHEN OLD.${column} IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM message INDEXED BY message_sender
        WHERE tenant = OLD.tenant AND sender = OLD.${column} COLLATE NOCASE AND sender IS NOT NULL)
      AND NOT EXISTS (SELECT 1 FROM message_recipient INDEXED BY message_recipient_1
        WHERE tenant = OLD.tenant AND address = OLD.${column} COLLATE NOCASE)
      BEGIN DELETE FROM address WHERE tenant = OLD.tenant AND address = OLD.${column}; END;
  `;
}

/** A query names this condition as it stands, so that the index over it can be used. */
export const OF_NO_LETTER = `kind IN ('access', 'login-intent', 'login-outcome', 'incident', 'operation')`;

const migrations: readonly string[] = [
  `
  CREATE TABLE entry (
    tenant TEXT NOT NULL,
    idx INTEGER NOT NULL,
    kind TEXT NOT NULL,
    time TEXT NOT NULL,
    commitment BLOB NOT NULL,
    key BLOB NOT NULL,
    sealed BLOB NOT NULL,
    UNIQUE (tenant, idx)
  ) STRICT;
  -- REPLACE deletes without firing the delete trigger: the guard is on INSERT, and makes the log dense too.
  CREATE TRIGGER entry_dense BEFORE INSERT ON entry
    WHEN NEW.idx <> COALESCE((SELECT MAX(idx) + 1 FROM entry WHERE tenant = NEW.tenant), 0)
    BEGIN SELECT RAISE(ABORT, 'entry index is not the next one'); END;
  ${appendOnly('entry')}

  CREATE TABLE tile (
    tenant TEXT NOT NULL, level INTEGER NOT NULL, n INTEGER NOT NULL, hashes BLOB NOT NULL,
    PRIMARY KEY (tenant, level, n)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER tile_grows BEFORE UPDATE ON tile
    WHEN length(NEW.hashes) < length(OLD.hashes) OR substr(NEW.hashes, 1, length(OLD.hashes)) <> OLD.hashes
    BEGIN SELECT RAISE(ABORT, 'tile only grows'); END;
  CREATE TRIGGER tile_no_delete BEFORE DELETE ON tile BEGIN SELECT RAISE(ABORT, 'tile is append-only'); END;

  CREATE TABLE checkpoint (tenant TEXT PRIMARY KEY, origin TEXT NOT NULL, size INTEGER NOT NULL, note TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TRIGGER checkpoint_grows BEFORE UPDATE ON checkpoint WHEN NEW.size < OLD.size
    BEGIN SELECT RAISE(ABORT, 'checkpoint only grows'); END;

  ${evidenceTable('message', 'kind TEXT NOT NULL, time TEXT NOT NULL, letter INTEGER, message_id TEXT, sender TEXT, subject TEXT, verdict TEXT', ['tenant, idx', 'tenant, message_id'])}
  ${evidenceTable('message_recipient', 'address TEXT NOT NULL, private_id TEXT', ['tenant, idx', 'tenant, address'])}
  ${evidenceTable('private_id', 'private_id TEXT NOT NULL, letter INTEGER NOT NULL, tx INTEGER', ['private_id'])}
  ${evidenceTable('provider_id', 'message_id TEXT NOT NULL, letter INTEGER NOT NULL, tx INTEGER', ['tenant, message_id'])}
  ${evidenceTable('fact', 'letter INTEGER NOT NULL, recipient TEXT NOT NULL, fact TEXT NOT NULL, time TEXT NOT NULL, detail TEXT', ['tenant, letter'])}
  ${evidenceTable('letter_entry', 'letter INTEGER NOT NULL', ['tenant, letter'])}
  ${evidenceTable('verdict', 'about INTEGER NOT NULL, verdict TEXT NOT NULL', ['tenant, about'])}
  ${evidenceTable('file_reference', 'reference TEXT NOT NULL', ['tenant, reference'])}
  ${evidenceTable('digest', 'digest TEXT NOT NULL, name TEXT', ['tenant, digest'])}

  CREATE TABLE object (
    tenant TEXT NOT NULL,
    object TEXT NOT NULL,
    uid BLOB NOT NULL,
    size INTEGER NOT NULL,
    key BLOB NOT NULL,
    -- sealed bytes; NULL: they lie in the file named by uid
    inline BLOB,
    -- structure index (JSON) of a message, NULL for what is none
    structure TEXT,
    UNIQUE (tenant, object)
  ) STRICT;
  CREATE TRIGGER object_once BEFORE INSERT ON object
    WHEN EXISTS (SELECT 1 FROM object WHERE tenant = NEW.tenant AND object = NEW.object)
    BEGIN SELECT RAISE(ABORT, 'object exists'); END;
  CREATE TRIGGER object_no_update BEFORE UPDATE OF tenant, object, uid, size, key, inline ON object
    BEGIN SELECT RAISE(ABORT, 'object is append-only'); END;
  CREATE TRIGGER object_evidence_stays BEFORE DELETE ON object
    WHEN EXISTS (SELECT 1 FROM digest WHERE tenant = OLD.tenant AND digest = OLD.object)
    BEGIN SELECT RAISE(ABORT, 'object is evidence'); END;

  CREATE TABLE outbox (
    tenant TEXT NOT NULL, letter INTEGER NOT NULL, tx INTEGER NOT NULL, private_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'attempting', 'in-doubt')),
    attempts INTEGER NOT NULL, accepted_at INTEGER NOT NULL, next_attempt INTEGER NOT NULL, last_reply TEXT,
    PRIMARY KEY (tenant, letter, tx)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX outbox_due ON outbox (tenant, state, next_attempt);
  CREATE TABLE outbox_recipient (
    tenant TEXT NOT NULL, letter INTEGER NOT NULL, tx INTEGER NOT NULL, address TEXT NOT NULL,
    PRIMARY KEY (tenant, letter, tx, address)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE forward (
    tenant TEXT NOT NULL, letter INTEGER NOT NULL, recipients TEXT NOT NULL,
    prefix BLOB NOT NULL, object TEXT NOT NULL, size INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'attempting')),
    attempts INTEGER NOT NULL, accepted_at INTEGER NOT NULL, next_attempt INTEGER NOT NULL, last_reply TEXT,
    PRIMARY KEY (tenant, letter)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE fetched (
    tenant TEXT NOT NULL, account TEXT NOT NULL, folder TEXT NOT NULL, uidvalidity TEXT NOT NULL, uid INTEGER NOT NULL,
    object TEXT NOT NULL, idx INTEGER NOT NULL,
    PRIMARY KEY (tenant, account, folder, uidvalidity, uid)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX fetched_object ON fetched (tenant, account, object);

  -- What was asked for and has not come; since is NULL until the hand-over, told once silence was an event.
  CREATE TABLE awaited (
    tenant TEXT NOT NULL, letter INTEGER NOT NULL, recipient TEXT NOT NULL, confirmation TEXT NOT NULL,
    since INTEGER, told INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, letter, recipient, confirmation)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX awaited_since ON awaited (tenant, confirmation, since) WHERE told = 0 AND since IS NOT NULL;
  CREATE TABLE reverify (tenant TEXT NOT NULL, idx INTEGER NOT NULL, next_attempt INTEGER NOT NULL,
    PRIMARY KEY (tenant, idx)) STRICT, WITHOUT ROWID;
  CREATE TABLE tenant_lock (tenant TEXT PRIMARY KEY, since TEXT NOT NULL, reason TEXT NOT NULL, actor TEXT NOT NULL) STRICT, WITHOUT ROWID;

  CREATE TABLE notice_once (tenant TEXT NOT NULL, letter INTEGER NOT NULL, name TEXT NOT NULL, idx INTEGER NOT NULL,
    PRIMARY KEY (tenant, letter, name)) STRICT, WITHOUT ROWID;
  CREATE TABLE incident (tenant TEXT NOT NULL, incident TEXT NOT NULL, since TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (tenant, incident)) STRICT, WITHOUT ROWID;

  CREATE TABLE mailbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL, owner_type TEXT NOT NULL, owner_name TEXT NOT NULL, name TEXT NOT NULL,
    special_use TEXT, uidvalidity INTEGER NOT NULL, uidnext INTEGER NOT NULL, modseq INTEGER NOT NULL,
    UNIQUE (tenant, owner_type, owner_name, name)
  ) STRICT;
  CREATE TABLE mail (
    mailbox INTEGER NOT NULL REFERENCES mailbox (id), uid INTEGER NOT NULL,
    tenant TEXT NOT NULL, object TEXT NOT NULL, prefix BLOB NOT NULL, object_from INTEGER NOT NULL,
    size INTEGER NOT NULL, internal_date INTEGER NOT NULL,
    flags TEXT NOT NULL, seen INTEGER NOT NULL, modseq INTEGER NOT NULL, message_id TEXT,
    PRIMARY KEY (mailbox, uid)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX mail_modseq ON mail (mailbox, modseq);
  CREATE INDEX mail_message_id ON mail (mailbox, message_id);
  CREATE INDEX mail_object ON mail (tenant, object);
  CREATE TABLE mail_seen (mailbox INTEGER NOT NULL, uid INTEGER NOT NULL, user TEXT NOT NULL,
    PRIMARY KEY (mailbox, uid, user)) STRICT, WITHOUT ROWID;
  CREATE TABLE expunged (mailbox INTEGER NOT NULL, uid INTEGER NOT NULL, modseq INTEGER NOT NULL,
    PRIMARY KEY (mailbox, modseq, uid)) STRICT, WITHOUT ROWID;
  CREATE TABLE subscription (tenant TEXT NOT NULL, user TEXT NOT NULL, owner_type TEXT NOT NULL, owner_name TEXT NOT NULL,
    name TEXT NOT NULL, PRIMARY KEY (tenant, user, owner_type, owner_name, name)) STRICT, WITHOUT ROWID;
  `,
  `
  -- Seals and renewals (RFC 4998), of all tenants together. The token changes once: when the revocation list that was
  -- issued after it comes in. Then it is final, and only then may another one cover it.
  CREATE TABLE archive_timestamp (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('seal', 'timestamp-renewal', 'hash-tree-renewal')),
    digest TEXT NOT NULL, gen_time TEXT NOT NULL, authority TEXT NOT NULL, leaves INTEGER NOT NULL,
    token BLOB NOT NULL, response BLOB NOT NULL, final INTEGER NOT NULL
  ) STRICT;
  CREATE TRIGGER archive_timestamp_dense BEFORE INSERT ON archive_timestamp
    WHEN NEW.id <> COALESCE((SELECT MAX(id) + 1 FROM archive_timestamp), 1)
    BEGIN SELECT RAISE(ABORT, 'number of the archive timestamp is not the next one'); END;
  CREATE TRIGGER archive_timestamp_once BEFORE UPDATE ON archive_timestamp
    WHEN OLD.final = 1 OR NEW.id <> OLD.id OR NEW.kind <> OLD.kind OR NEW.digest <> OLD.digest OR NEW.gen_time <> OLD.gen_time
      OR NEW.authority <> OLD.authority OR NEW.leaves <> OLD.leaves OR NEW.response <> OLD.response
    BEGIN SELECT RAISE(ABORT, 'archive timestamp is final'); END;
  CREATE TRIGGER archive_timestamp_no_delete BEFORE DELETE ON archive_timestamp
    BEGIN SELECT RAISE(ABORT, 'archive_timestamp is append-only'); END;

  -- Entries [from_idx, to_idx) lie at position and after; the checkpoint of size to_idx after them.
  CREATE TABLE archive_range (
    id INTEGER NOT NULL, tenant TEXT NOT NULL, from_idx INTEGER NOT NULL, to_idx INTEGER NOT NULL,
    position INTEGER NOT NULL, note TEXT NOT NULL,
    PRIMARY KEY (tenant, from_idx)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER archive_range_dense BEFORE INSERT ON archive_range
    WHEN NEW.from_idx <> COALESCE((SELECT MAX(to_idx) FROM archive_range WHERE tenant = NEW.tenant), 0)
    BEGIN SELECT RAISE(ABORT, 'seal does not begin where the last one ended'); END;
  CREATE INDEX archive_range_id ON archive_range (id);
  ${appendOnly('archive_range')}

  -- What a renewal renews, and where that stands in its tree: a token, or the first group of a seal.
  CREATE TABLE archive_cover (
    id INTEGER NOT NULL, covers INTEGER NOT NULL, position INTEGER NOT NULL,
    PRIMARY KEY (covers, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX archive_cover_id ON archive_cover (id);
  ${appendOnly('archive_cover')}

  -- Whole leaf lists of logs under the digest of a hash-tree renewal: order and completeness outlive SHA-256.
  CREATE TABLE archive_leaves (
    id INTEGER NOT NULL, tenant TEXT NOT NULL, size INTEGER NOT NULL, position INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
  ) STRICT, WITHOUT ROWID;
  ${appendOnly('archive_leaves')}
  CREATE TABLE archive_excluded (
    id INTEGER NOT NULL, tenant TEXT NOT NULL, idx INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (tenant, idx, id)
  ) STRICT, WITHOUT ROWID;
  ${appendOnly('archive_excluded')}
  CREATE TABLE archive_tile (
    id INTEGER NOT NULL, level INTEGER NOT NULL, n INTEGER NOT NULL, hashes BLOB NOT NULL,
    PRIMARY KEY (id, level, n)
  ) STRICT, WITHOUT ROWID;
  ${appendOnly('archive_tile')}
  `,
  `
  -- Fetched messages whose copies wait for the malware scanner; copies and forward as JSON.
  CREATE TABLE held (
    tenant TEXT NOT NULL, idx INTEGER NOT NULL, object TEXT NOT NULL, copies TEXT NOT NULL, forward TEXT,
    next_attempt INTEGER NOT NULL,
    PRIMARY KEY (tenant, idx)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- Intents (login, deletion at the provider) that have no outcome yet: after a kill each gets one.
  CREATE TABLE open_intent (tenant TEXT NOT NULL, idx INTEGER NOT NULL, PRIMARY KEY (tenant, idx)) STRICT, WITHOUT ROWID;
  `,
  `
  -- Rotation of a tenant's key wraps the keys of entries and objects anew; what they encrypt stays as it is.
  DROP TRIGGER entry_no_update;
  CREATE TRIGGER entry_no_update BEFORE UPDATE OF tenant, idx, kind, time, commitment, sealed ON entry
    BEGIN SELECT RAISE(ABORT, 'entry is append-only'); END;
  DROP TRIGGER object_no_update;
  CREATE TRIGGER object_no_update BEFORE UPDATE OF tenant, object, uid, size, inline ON object
    BEGIN SELECT RAISE(ABORT, 'object is append-only'); END;
  `,
  `
  CREATE TABLE private_message (tenant TEXT NOT NULL, object TEXT NOT NULL, idx INTEGER NOT NULL,
    PRIMARY KEY (tenant, object)) STRICT, WITHOUT ROWID;
  CREATE TABLE waiting_private (tenant TEXT NOT NULL, idx INTEGER NOT NULL, address TEXT NOT NULL, object TEXT NOT NULL,
    PRIMARY KEY (tenant, idx, address)) STRICT, WITHOUT ROWID;
  `,
  `
  -- A tenant may have several logs, one after the other: a log that no longer continues what was seen of it is
  -- closed, and the next one begins. \`base\` is the index of a log's first entry.
  ALTER TABLE checkpoint ADD COLUMN log INTEGER NOT NULL DEFAULT 1;
  ALTER TABLE checkpoint ADD COLUMN base INTEGER NOT NULL DEFAULT 0;
  DROP TRIGGER checkpoint_grows;
  CREATE TRIGGER checkpoint_grows BEFORE UPDATE ON checkpoint
    WHEN NEW.log < OLD.log OR NEW.base < OLD.base
      OR (NEW.log = OLD.log AND (NEW.size < OLD.size OR NEW.base <> OLD.base))
    BEGIN SELECT RAISE(ABORT, 'checkpoint only grows'); END;
  CREATE TABLE closed_log (
    tenant TEXT NOT NULL, log INTEGER NOT NULL, origin TEXT NOT NULL, base INTEGER NOT NULL,
    size INTEGER NOT NULL, note TEXT NOT NULL,
    PRIMARY KEY (tenant, log)
  ) STRICT, WITHOUT ROWID;
  ${appendOnly('closed_log')}

  -- Keys that sign a log for checkpoints of more than \`after\` entries. The first key of a tenant's first log has
  -- no row. \`until\`: epoch ms up to which the key before signs beside it.
  CREATE TABLE log_key (
    tenant TEXT NOT NULL, log INTEGER NOT NULL, after INTEGER NOT NULL, key TEXT NOT NULL, until INTEGER NOT NULL,
    PRIMARY KEY (tenant, log, after)
  ) STRICT, WITHOUT ROWID;
  ${appendOnly('log_key')}

  -- Why nothing is signed for a tenant: who says so, and the checkpoint that its log does not continue.
  CREATE TABLE log_hold (
    tenant TEXT NOT NULL, source TEXT NOT NULL, since TEXT NOT NULL, reason TEXT NOT NULL,
    known_size INTEGER NOT NULL, known_note TEXT,
    PRIMARY KEY (tenant, source)
  ) STRICT, WITHOUT ROWID;

  -- The newest checkpoint that witnesses have cosigned, with their lines.
  CREATE TABLE cosigned (
    tenant TEXT NOT NULL, log INTEGER NOT NULL, size INTEGER NOT NULL, note TEXT NOT NULL,
    PRIMARY KEY (tenant, log)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER cosigned_grows BEFORE UPDATE ON cosigned WHEN NEW.size < OLD.size
    BEGIN SELECT RAISE(ABORT, 'cosigned only grows'); END;

  CREATE TABLE tile_by_log (
    tenant TEXT NOT NULL, log INTEGER NOT NULL, level INTEGER NOT NULL, n INTEGER NOT NULL, hashes BLOB NOT NULL,
    PRIMARY KEY (tenant, log, level, n)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO tile_by_log SELECT tenant, 1, level, n, hashes FROM tile;
  DROP TABLE tile;
  ALTER TABLE tile_by_log RENAME TO tile;
  CREATE TRIGGER tile_grows BEFORE UPDATE ON tile
    WHEN length(NEW.hashes) < length(OLD.hashes) OR substr(NEW.hashes, 1, length(OLD.hashes)) <> OLD.hashes
    BEGIN SELECT RAISE(ABORT, 'tile only grows'); END;
  CREATE TRIGGER tile_no_delete BEFORE DELETE ON tile BEGIN SELECT RAISE(ABORT, 'tile is append-only'); END;

  -- Finds the row of an object file without reading the table: the sweep at start must not grow with the store.
  CREATE INDEX object_file ON object (tenant, uid) WHERE inline IS NULL;
  `,
  `
  -- Tenants whose entries are read once more (rebuild.ts): tables that came after them lack their rows.
  CREATE TABLE rebuild (tenant TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
  INSERT INTO rebuild SELECT tenant FROM checkpoint;
  `,
  `
  -- A token is covered with the newest revocation list that there is, so it may change up to then, and never after.
  DROP TRIGGER archive_timestamp_once;
  CREATE TRIGGER archive_timestamp_once BEFORE UPDATE ON archive_timestamp
    WHEN EXISTS (SELECT 1 FROM archive_cover WHERE covers = OLD.id) OR NEW.final < OLD.final
      OR NEW.id <> OLD.id OR NEW.kind <> OLD.kind OR NEW.digest <> OLD.digest OR NEW.gen_time <> OLD.gen_time
      OR NEW.authority <> OLD.authority OR NEW.leaves <> OLD.leaves OR NEW.response <> OLD.response
    BEGIN SELECT RAISE(ABORT, 'archive timestamp is covered'); END;
  `,
  `
  -- Commits are counted, so that a copy of them can be told to be whole; epoch names the copy they go to.
  CREATE TABLE commit_count (one INTEGER PRIMARY KEY CHECK (one = 1), n INTEGER NOT NULL, epoch TEXT) STRICT;
  INSERT INTO commit_count (one, n) VALUES (1, 0);

  -- Tenants whose queue came out of a backup and must not be sent before it was compared with the provider.
  CREATE TABLE restored (tenant TEXT PRIMARY KEY, reason TEXT NOT NULL) STRICT;
  `,
  `
  -- Search: each index ends in idx, so that a page of results is read in the order of the log and sorted by nothing.
  DROP INDEX message_recipient_1;
  CREATE INDEX message_recipient_1 ON message_recipient (tenant, address COLLATE NOCASE, idx);
  CREATE INDEX message_recipient_domain ON message_recipient (tenant, ${domainOf('address')}, idx);
  CREATE INDEX message_sender ON message (tenant, sender COLLATE NOCASE, idx) WHERE sender IS NOT NULL;
  CREATE INDEX message_sender_domain ON message (tenant, ${domainOf('sender')}, idx) WHERE sender IS NOT NULL;
  CREATE INDEX message_kind ON message (tenant, kind, idx);
  CREATE INDEX letter_entry_1 ON letter_entry (tenant, idx, letter);

  -- Every address that occurs, once: a part of one is looked for here.
  CREATE TABLE address (
    tenant TEXT NOT NULL, address TEXT NOT NULL COLLATE NOCASE, PRIMARY KEY (tenant, address)
  ) STRICT, WITHOUT ROWID;
  INSERT OR IGNORE INTO address SELECT tenant, address FROM message_recipient;
  INSERT OR IGNORE INTO address SELECT tenant, sender FROM message WHERE sender IS NOT NULL;
  ${listAddresses('message', 'sender')}
  ${listAddresses('message_recipient', 'address')}

  -- Between which entries the messages of a day lie (UTC).
  CREATE TABLE message_day (
    tenant TEXT NOT NULL, day TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (tenant, day)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO message_day SELECT tenant, substr(time, 1, 10), MIN(idx), MAX(idx) FROM message GROUP BY 1, 2;
  CREATE TRIGGER message_day AFTER INSERT ON message BEGIN
    INSERT INTO message_day (tenant, day, first, last) VALUES (NEW.tenant, substr(NEW.time, 1, 10), NEW.idx, NEW.idx)
      ON CONFLICT (tenant, day) DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last);
  END;
  `,
  `
  -- Erasure: the row of an entry keeps its index and its commitment, and nothing else; what was derived from it goes.
  ${evidenceTable('erased', 'entry INTEGER NOT NULL', ['tenant, entry', 'tenant, idx'])}
  ${evidenceTable('retention_hold', 'letter INTEGER, reference TEXT, held INTEGER NOT NULL', ['tenant, letter', 'tenant, reference'])}
  ${[...firstEvidenceTables, 'retention_hold'].map(erasable).join('')}
  DROP TRIGGER entry_no_update;
  CREATE TRIGGER entry_no_update BEFORE UPDATE OF tenant, idx, kind, time, commitment, sealed ON entry
    WHEN NEW.tenant <> OLD.tenant OR NEW.idx <> OLD.idx OR NEW.commitment <> OLD.commitment
      OR NEW.kind <> '' OR NEW.time <> '' OR length(NEW.key) > 0 OR length(NEW.sealed) > 0
      OR NOT EXISTS (SELECT 1 FROM erased WHERE tenant = OLD.tenant AND entry = OLD.idx)
    BEGIN SELECT RAISE(ABORT, 'entry is append-only'); END;

  -- Letters whose erasure was announced to the operators, and when (epoch ms).
  CREATE TABLE retention_review (
    tenant TEXT NOT NULL, letter INTEGER NOT NULL, class TEXT NOT NULL, announced INTEGER NOT NULL,
    PRIMARY KEY (tenant, letter)
  ) STRICT, WITHOUT ROWID;
  -- Proposed erasures that nobody has agreed to yet: the entry that proposes, and its letter.
  CREATE TABLE erasure_proposal (
    tenant TEXT NOT NULL, idx INTEGER NOT NULL, letter INTEGER NOT NULL,
    PRIMARY KEY (tenant, idx)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- Search text: a derivative of the messages in mailboxes, for tenants that have it switched on. Sealed and keyed
  -- (search-text.ts); whatever takes a message away takes its rows along. \`filled\`: existing messages are in it, in
  -- the order of their objects, up to this one; NULL: all.
  CREATE TABLE search_tenant (tenant TEXT PRIMARY KEY, edition INTEGER NOT NULL, filled TEXT) STRICT, WITHOUT ROWID;
  CREATE TABLE search_filter (
    id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, object TEXT NOT NULL, filter BLOB NOT NULL, UNIQUE (tenant, object)
  ) STRICT;
  CREATE TABLE search_text (id INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
  CREATE TABLE search_queue (tenant TEXT NOT NULL, object TEXT NOT NULL, PRIMARY KEY (tenant, object)) STRICT, WITHOUT ROWID;
  CREATE TRIGGER search_arrives AFTER INSERT ON mail
    WHEN EXISTS (SELECT 1 FROM search_tenant WHERE tenant = NEW.tenant)
      AND NOT EXISTS (SELECT 1 FROM search_filter WHERE tenant = NEW.tenant AND object = NEW.object)
    BEGIN INSERT OR IGNORE INTO search_queue (tenant, object) VALUES (NEW.tenant, NEW.object); END;
  CREATE TRIGGER search_leaves AFTER DELETE ON mail
    WHEN NOT EXISTS (SELECT 1 FROM mail WHERE tenant = OLD.tenant AND object = OLD.object)
    BEGIN
      DELETE FROM search_filter WHERE tenant = OLD.tenant AND object = OLD.object;
      DELETE FROM search_queue WHERE tenant = OLD.tenant AND object = OLD.object;
    END;
  CREATE TRIGGER search_private AFTER INSERT ON private_message
    BEGIN
      DELETE FROM search_filter WHERE tenant = NEW.tenant AND object = NEW.object;
      DELETE FROM search_queue WHERE tenant = NEW.tenant AND object = NEW.object;
    END;
  CREATE TRIGGER search_text_leaves AFTER DELETE ON search_filter
    BEGIN DELETE FROM search_text WHERE id = OLD.id; END;
  `,
  `
  -- By which copies of one message are told in a Sent mailbox (mime/fingerprint.ts), keyed like the names of objects.
  CREATE TABLE fingerprint (
    tenant TEXT NOT NULL, object TEXT NOT NULL, fingerprint TEXT NOT NULL, PRIMARY KEY (tenant, object)
  ) STRICT, WITHOUT ROWID;
  CREATE TRIGGER object_fingerprint AFTER DELETE ON object
    BEGIN DELETE FROM fingerprint WHERE tenant = OLD.tenant AND object = OLD.object; END;
  `,
  `
  -- Entries of no letter, which are erased by their age: found without reading the log.
  CREATE INDEX entry_record ON entry (tenant, kind, idx, time) WHERE ${OF_NO_LETTER};
  `,
  `
  -- What a mailbox holds, counted as messages come and go: neither STATUS nor a quota reads the messages.
  ALTER TABLE mailbox ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE mailbox ADD COLUMN unseen INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE mailbox ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
  UPDATE mailbox SET (messages, unseen, bytes) =
    (SELECT COUNT(*), COALESCE(SUM(seen = 0), 0), COALESCE(SUM(size), 0) FROM mail WHERE mailbox = mailbox.id);
  CREATE TRIGGER mail_comes AFTER INSERT ON mail BEGIN
    UPDATE mailbox SET messages = messages + 1, unseen = unseen + (NEW.seen = 0), bytes = bytes + NEW.size
      WHERE id = NEW.mailbox;
  END;
  CREATE TRIGGER mail_goes AFTER DELETE ON mail BEGIN
    UPDATE mailbox SET messages = messages - 1, unseen = unseen - (OLD.seen = 0), bytes = bytes - OLD.size
      WHERE id = OLD.mailbox;
  END;
  CREATE TRIGGER mail_is_seen AFTER UPDATE OF seen ON mail WHEN NEW.seen <> OLD.seen BEGIN
    UPDATE mailbox SET unseen = unseen + (NEW.seen = 0) - (OLD.seen = 0) WHERE id = NEW.mailbox;
  END;
  CREATE INDEX mail_seen_by ON mail_seen (mailbox, user);

  -- The highest UIDVALIDITY ever given: also those of deleted mailboxes are given to no other (RFC 3501 2.3.1.1).
  CREATE TABLE uidvalidity (one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL) STRICT;
  INSERT INTO uidvalidity SELECT 1, COALESCE(MAX(uidvalidity), 0) FROM mailbox;

  -- What the gateway deposits into is found by its use: names are in the language of the user.
  UPDATE mailbox SET special_use = 'confirmations' WHERE name = 'De-Mail-Bestätigungen' AND special_use IS NULL;
  UPDATE mailbox SET special_use = 'quarantine' WHERE name = 'Quarantäne' AND special_use IS NULL;
  `,
  `
  -- Of a tree that came with a tenant out of another store, what that tenant's proofs need: runs of nodes by binary level.
  CREATE TABLE archive_node (
    id INTEGER NOT NULL, level INTEGER NOT NULL, first INTEGER NOT NULL, hashes BLOB NOT NULL,
    PRIMARY KEY (id, level, first)
  ) STRICT, WITHOUT ROWID;
  ${appendOnly('archive_node')}
  `,
  `
  -- What lists of messages show (summary.ts), made at ingest. Messages of earlier releases have no row: theirs comes from
  -- the structure index and the object. \`header\` NULL: too long.
  CREATE TABLE summary (
    tenant TEXT NOT NULL, object TEXT NOT NULL, envelope TEXT NOT NULL, structure TEXT NOT NULL, header BLOB,
    UNIQUE (tenant, object)
  ) STRICT;
  CREATE TRIGGER summary_leaves AFTER DELETE ON object
    BEGIN DELETE FROM summary WHERE tenant = OLD.tenant AND object = OLD.object; END;
  `,
  `
  -- Copies that clients filed of a letter are found by what they have in common.
  CREATE INDEX fingerprint_1 ON fingerprint (tenant, fingerprint);
  `,
];

export const SCHEMA_VERSION = migrations.length;

/** The first migration that is counted as a commit itself: the table is there. */
const COUNTED_FROM = migrations.findIndex((sql) => sql.includes('CREATE TABLE commit_count')) + 1;

/** Part of every transaction. */
export const countCommit = 'UPDATE commit_count SET n = n + 1';

/** Pragmas of every write connection: an acknowledged commit survives power loss. */
export function configure(db: Database.Database): void {
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.pragma('foreign_keys = ON');
  db.pragma('recursive_triggers = ON');
  db.pragma('secure_delete = ON');
  db.pragma('busy_timeout = 10000');
  db.pragma('wal_autocheckpoint = 0'); // wal-keeper.ts does it beside the writer
  db.pragma('temp_store = MEMORY');
  db.pragma('cache_size = -32768');
}

/**
 * Brings the schema to this version. @throws Error for a store made by a later release.
 */
export function migrate(db: Database.Database): void {
  const version = db.pragma('user_version', { simple: true }) as number;
  if (version > SCHEMA_VERSION) {
    throw new Error(
      `the store has schema ${version}, this release knows ${SCHEMA_VERSION}: use a newer release`,
    );
  }
  for (let next = version; next < SCHEMA_VERSION; next++) {
    db.transaction(() => {
      db.exec(migrations[next]!);
      db.pragma(`user_version = ${next + 1}`);
      if (next >= COUNTED_FROM) db.exec(countCommit);
    })();
  }
}

/** For readers, which cannot bring a store forward. @throws Error where it is of another release. */
export function requireSchema(db: Database.Database): void {
  const version = db.pragma('user_version', { simple: true }) as number;
  if (version === SCHEMA_VERSION) return;
  db.close();
  throw new Error(
    version > SCHEMA_VERSION
      ? `the store has schema ${version}, this release knows ${SCHEMA_VERSION}: use a newer release`
      : `the store has schema ${version}, this release works with ${SCHEMA_VERSION}: start the gateway once, which brings it forward`,
  );
}

/** INSERT statement of an evidence table. */
export function insertSql(table: keyof typeof evidenceTables): string {
  const columns = ['tenant', ...evidenceTables[table]];
  return `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`;
}
