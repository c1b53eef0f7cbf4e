/** Erasing: what must be gone, what must stay, and what must not be erased. */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { leafHash } from '../evidence/merkle.ts';
import { parseProof, verifyProof } from '../evidence/proof.ts';
import { verifyStore } from '../evidence/verify.ts';
import { createIndexer } from '../mime/structure.ts';
import type { Erasure } from './retention.ts';
import { addFingerprints, withFingerprint } from './sent-copies.ts';
import { openAudit } from './sqlite/audit.ts';
import { openSqliteStore, storePaths } from './sqlite/open.ts';
import type { Fetched, StagedMessage, Store, Submission } from './store.ts';

const tenant = 'stadt';
const erika = { type: 'user', name: 'erika@stadt.example' } as const;
const anna = { type: 'user', name: 'anna@stadt.example' } as const;
const berta = { type: 'user', name: 'berta@stadt.example' } as const;
const rule: Omit<Erasure, 'letters'> = {
  class: 'schriftverkehr',
  legalBasis: '§ 1 Aktenordnung',
  actors: [{ type: 'gateway', name: 'gateway' }],
  copies: 'remove',
};
/** What is personal of the letter that goes: none of it may be found in any file afterwards. */
const traces = ['Geheimsache', 'opfer@buerger.de-mail.example', 'weg-1@stadt.example', 'p-weg-1', 'AZ-4711'];

let directory: string;
let store: Store;
let now: number;
const open = (at = directory) =>
  openSqliteStore({ directory: at, originPrefix: 'test.example', clock: () => now });

async function make(): Promise<void> {
  now = Date.parse('2026-03-01T08:00:00Z');
  directory = mkdtempSync(join(tmpdir(), 'erase-'));
  store = await open();
  await store.openTenant(tenant);
}
async function drop(): Promise<void> {
  await store[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
}

async function stage(text: string | Buffer): Promise<StagedMessage> {
  const writer = store.stage(tenant);
  const indexer = createIndexer();
  const bytes = Buffer.from(text);
  indexer.push(bytes);
  await writer.write(bytes);
  return { object: await writer.finish(), index: indexer.finish() };
}

async function submit(of: { to: string; id: string; subject: string; pad?: number }): Promise<number> {
  const messageId = `<${of.id}@stadt.example>`;
  const text = `Message-ID: ${messageId}\r\nSubject: ${of.subject}\r\n\r\n${'x'.repeat(of.pad ?? 10)}\r\n`;
  const submission: Submission = {
    actor: { type: 'user', name: erika.name },
    listener: 'submission',
    envelope: { from: erika.name, recipients: [{ address: of.to }] },
    sender: 'erika@stadt.de-mail.example',
    header: { messageId, subject: of.subject, from: erika.name, date: null },
    attachments: [
      {
        name: `${of.subject}.pdf`,
        type: 'application/pdf',
        size: 3,
        sha256: createHash('sha256').update(of.id).digest('hex'),
      },
    ],
    options: ['dispatch'],
    ...(of.id === 'weg-1' ? { fileReference: 'AZ-4711' } : {}),
    removedHeaders: [],
    transactions: [{ id: 0, privateId: `p-${of.id}`, to: [of.to], cc: [], bcc: [] }],
    message: await stage(text),
    deposits: [{ owner: erika, mailbox: 'Gesendet', reason: 'sender', prefix: Buffer.alloc(0), flags: [] }],
  };
  return (await store.acceptSubmission(tenant, submission)).letter;
}

async function handOver(letter: number, to: string): Promise<void> {
  const writer = store.stage(tenant);
  await writer.write(Buffer.from(`To: ${to}\r\n`));
  const header = await writer.finish();
  const common = { letter, transaction: 0, attempt: 1, recipients: [to] };
  const { message } = (await store.submissionOf(tenant, letter))!;
  const whole = createHash('sha256').update(`To: ${to}\r\n`);
  let size = header.size;
  for await (const chunk of (await store.object(tenant, message.object))!.read()) {
    whole.update(chunk);
    size += chunk.length;
  }
  await store.recordHandoverIntent(tenant, {
    ...common,
    endpoint: 'provider',
    handed: { sha256: whole.digest('hex'), size, header, bodyFrom: 0 },
    edits: [],
  });
  await store.recordHandoverOutcome(tenant, {
    letter,
    transaction: 0,
    attempt: 1,
    result: 'done',
    recipients: [{ address: to, result: 'accepted', reply: `250 ok ${to}` }],
    reply: '250',
    peer: { endpoint: 'provider' },
  });
}

/** The letter that goes: handed over, confirmed, judged. */
async function letterToErase(pad?: number): Promise<number> {
  const letter = await submit({
    to: 'opfer@buerger.de-mail.example',
    id: 'weg-1',
    subject: 'Geheimsache',
    ...(pad === undefined ? {} : { pad }),
  });
  await handOver(letter, 'opfer@buerger.de-mail.example');
  await store.recordFetched(tenant, await confirmation(letter));
  return letter;
}

async function confirmation(letter: number): Promise<Fetched> {
  return {
    kind: 'confirmation',
    confirmation: 'dispatch',
    letter,
    transaction: 0,
    recipients: ['opfer@buerger.de-mail.example'],
    statedTime: null,
    matchedBy: 'private-id',
    source: { account: 'a', folder: 'INBOX', uidValidity: '1', uid: 7 + letter },
    staged: await stage(
      `Subject: Versandbestaetigung Geheimsache ${letter}

opfer@buerger.de-mail.example
`,
    ),
    header: { messageId: '<c@provider>', subject: 'Geheimsache', from: null, date: null },
    demail: {
      messageType: 'confirmation-of-dispatch',
      messageId: '<c@provider>',
      privateId: 'p-weg-1',
      sender: 'provider@de-mail.example',
      authLevel: null,
      originatorProvider: null,
      options: [],
      chosenRecipients: [],
      envelopeTo: [],
    },
    attachments: [],
    verdict: 'valid',
    deposits: [{ owner: erika, mailbox: 'INBOX', reason: 'r', prefix: Buffer.alloc(0), flags: [] }],
  };
}

async function findings(at = directory): Promise<readonly unknown[]> {
  // The checkpoint is written after the commit.
  await vi.waitFor(() => expect(existsSync(join(at, 'checkpoints', tenant))).toBe(true), { timeout: 10_000 });
  using audit = openAudit(storePaths({ directory: at }));
  return (await verifyStore(audit)).findings;
}

/** Traces found in the database, its write-ahead log, and whatever else lies in the store's folder. */
function found(wanted: readonly (string | Buffer)[], at = directory): string[] {
  const files = readdirSync(at, { recursive: true, withFileTypes: true }).filter((f) => f.isFile());
  return files.flatMap((file) => {
    const path = join(file.parentPath, file.name);
    // A checkpoint is being put in its place just now.
    if (!existsSync(path)) return [];
    const bytes = readFileSync(path);
    return wanted.filter((one) => bytes.includes(one)).map((one) => `${file.name}: ${String(one)}`);
  });
}

/** The write-ahead log is emptied as soon as no reader holds it. */
const traceless = (wanted: readonly (string | Buffer)[]) =>
  vi.waitFor(() => expect(found(wanted)).toEqual([]), { timeout: 10_000 });

describe('in a store that goes on', () => {
  beforeAll(make);
  afterAll(drop);

  it('never lets what the provider still holds come back as new', async () => {
    const letter = await letterToErase();
    await store.erase(tenant, { letters: [letter], ...rule });
    const again = await confirmation(letter);
    expect(await store.recordFetched(tenant, again)).toBeNull();
    // Also under another UID, after a change of UIDVALIDITY.
    const elsewhere = await confirmation(letter);
    expect(
      await store.recordFetched(tenant, {
        ...elsewhere,
        source: { ...elsewhere.source, uidValidity: '2', uid: 1 },
      }),
    ).toBeNull();
    expect(await findings()).toEqual([]);
  });

  it('leaves copies in mailboxes to their users, and the object until they are gone', async () => {
    const letter = await letterToErase();
    const object = (await store.submissionOf(tenant, letter))!.message.object;
    await store.erase(tenant, { letters: [letter], ...rule, copies: 'stay' });
    expect(await store.object(tenant, object)).not.toBeNull();
    expect(await findings()).toEqual([]);
    const sent = (await store.mailbox(tenant, erika, 'Gesendet'))!;
    const { uid } = (await store.messages(tenant, sent.id)).at(-1)!;
    await store.changeFlags(tenant, sent.id, [uid], { op: 'add', flags: ['\\Deleted'] });
    await store.expunge(tenant, sent.id, null);
    expect(await store.object(tenant, object)).toBeNull();
  });

  it('removes copies as an expunge where the rule says so', async () => {
    const letter = await letterToErase();
    const sent = (await store.mailbox(tenant, erika, 'Gesendet'))!;
    await store.erase(tenant, { letters: [letter], ...rule });
    expect((await store.changesSince(tenant, sent.id, sent.highestModseq)).expunged).toEqual([
      sent.uidNext - 1,
    ]);
  });

  it('removes with them what a client filed of the letter in another Sent mailbox', async () => {
    const of = { to: 'max@buerger.de-mail.example', id: 'anders', subject: 'Anders' };
    const letter = await submit(of);
    await handOver(letter, of.to);
    const poststelle = { type: 'shared', name: 'Poststelle' } as const;
    await store.ensureMailboxes(tenant, poststelle, [{ name: 'Gesendet', specialUse: '\\Sent' }]);
    const { id } = (await store.mailbox(tenant, poststelle, 'Gesendet'))!;
    const submitted = await store.object(tenant, (await store.submissionOf(tenant, letter))!.message.object);
    const text = Buffer.concat(await Array.fromAsync(submitted!.read())).toString();
    for (const extra of ['X-Copy: 1\r\n', 'X-Copy: 2\r\nFrom: another@stadt.example\r\n']) {
      const message = await withFingerprint(store, await stage(extra + text));
      await store.appendMessage(tenant, id, { message, flags: [], internalDate: 0 });
    }
    const sent = (await store.mailbox(tenant, erika, 'Gesendet'))!;
    const { uid } = (await store.messages(tenant, sent.id)).at(-1)!;
    await addFingerprints(store, tenant, sent.id, [uid]);
    await store.erase(tenant, { letters: [letter], ...rule });
    expect((await store.messages(tenant, id)).map((row) => row.uid)).toEqual([2]);
  });

  it('keeps an object that another letter names', async () => {
    const same = { to: 'max@buerger.de-mail.example', id: 'gleich', subject: 'Gleich' };
    const first = await submit(same);
    const second = await submit(same);
    await handOver(first, same.to);
    await handOver(second, same.to);
    const object = (await store.submissionOf(tenant, second))!.message.object;
    await store.erase(tenant, { letters: [first], ...rule });
    expect(await store.object(tenant, object)).not.toBeNull();
    expect(await findings()).toEqual([]);
    await store.erase(tenant, { letters: [second], ...rule });
    expect(await store.object(tenant, object)).toBeNull();
  });

  it('refuses what is open, held, erased, or no letter', async () => {
    const waiting = await submit({ to: 'max@buerger.de-mail.example', id: 'offen', subject: 'Offen' });
    const letter = await letterToErase();
    const { entries } = { entries: await store.entriesOf(tenant, letter) };
    const refused = async (one: number) =>
      (await store.erase(tenant, { letters: [one], ...rule })).refused[0]?.obstacle ?? null;
    expect(await refused(waiting)).toBe('handover-open');
    expect(await refused(0)).toBe('no-letter');
    expect(await refused(entries.at(-1)!)).toBe('no-letter');
    const reason = 'Klage';
    expect(await store.holdLetters(tenant, { letter, held: true, actor: anna, reason })).toBe(true);
    expect(await store.holdLetters(tenant, { letter, held: true, actor: anna, reason })).toBe(false);
    expect(await refused(letter)).toBe('held');
    await store.holdLetters(tenant, { letter, held: false, actor: anna, reason });
    await store.holdLetters(tenant, { fileReference: 'AZ-4711', held: true, actor: anna, reason });
    expect(await refused(letter)).toBe('held');
    expect(await store.retentionHolds(tenant, letter)).toMatchObject([{ fileReference: 'AZ-4711' }]);
    await store.holdLetters(tenant, { fileReference: 'AZ-4711', held: false, actor: anna, reason });
    expect(await store.retentionHolds(tenant)).toEqual([]);
    expect(await refused(letter)).toBeNull();
    expect(await refused(letter)).toBe('no-letter');
    expect(await findings()).toEqual([]);
  });

  it('erases on demand only when a second person agrees', async () => {
    const letter = await letterToErase();
    const proposal = {
      letter,
      actor: anna,
      legalBasis: 'Art. 17 DSGVO',
      copies: 'remove',
      reason: 'Antrag',
    } as const;
    const { index } = await store.proposeErasure(tenant, proposal);
    expect(await store.proposals(tenant)).toMatchObject([{ index, letter, actor: anna }]);
    await expect(store.approveErasure(tenant, { proposal: index, actor: anna })).rejects.toThrow(
      'second person',
    );
    await expect(store.approveErasure(tenant, { proposal: letter, actor: berta })).rejects.toThrow(
      'nothing is proposed',
    );
    expect(await store.withdrawErasure(tenant, { proposal: index, actor: anna, reason: 'Irrtum' })).toBe(
      true,
    );
    await expect(store.approveErasure(tenant, { proposal: index, actor: berta })).rejects.toThrow(
      'nothing is proposed',
    );
    const second = await store.proposeErasure(tenant, proposal);
    const result = await store.approveErasure(tenant, { proposal: second.index, actor: berta });
    expect(await store.erasure(tenant, letter)).toMatchObject({
      index: result.index,
      class: 'on-demand',
      legalBasis: 'Art. 17 DSGVO',
      actors: [anna, berta],
    });
    // Why it was asked for is as personal as the letter.
    expect(await store.entry(tenant, second.index)).toBeNull();
    expect(await store.proposals(tenant)).toEqual([]);
    expect(await findings()).toEqual([]);
  });
});

describe('entries of no letter', () => {
  beforeAll(make);
  afterAll(drop);
  const erase = (...letters: number[]) =>
    store.erase(tenant, { letters, ...rule, class: 'records-access', copies: 'stay' });
  const last = async () => (await store.head(tenant)).size - 1;

  it('go like letters, a login together with its outcome, and no proof suffers', async () => {
    await store.recordAccess(tenant, { actor: anna, action: 'search', query: 'opfer@buerger.example' });
    const access = await last();
    const login = { account: 'a', protocol: 'imap', level: 'high', reason: 'Abruf', actor: anna } as const;
    const { index: intent } = await store.recordLoginIntent(tenant, login);
    expect((await erase(intent)).refused).toEqual([{ letter: intent, obstacle: 'in-force' }]);
    const outcome = { account: 'a', protocol: 'imap', intent, result: 'logged-in', detail: '' } as const;
    await store.recordLoginOutcome(tenant, outcome);
    expect((await erase(intent + 1)).refused).toEqual([{ letter: intent + 1, obstacle: 'no-letter' }]);
    expect(await store.recordCandidates(tenant, 'login', -1, '9999', 9)).toMatchObject([{ index: intent }]);
    expect(await erase(access, intent)).toMatchObject({ erased: [access, intent], entries: 3 });
    for (const gone of [access, intent, intent + 1]) expect(await store.entry(tenant, gone)).toBeNull();
    expect(await store.recordCandidates(tenant, 'access', -1, '9999', 9)).toEqual([]);
    expect(await findings()).toEqual([]);
  });

  it('stay while they say what is still so, or are held', async () => {
    const by = { actor: anna, reason: 'x' };
    await store.setLock(tenant, { locked: true, ...by });
    const lock = await last();
    await store.recordIncident(tenant, { incident: 'account', state: 'opened', text: 'x' });
    const incident = await last();
    const refusals = async () => (await erase(lock, incident)).refused.map(({ obstacle }) => obstacle);
    expect(await refusals()).toEqual(['in-force', 'in-force']);
    await store.setLock(tenant, { locked: false, ...by });
    await store.recordIncident(tenant, { incident: 'account', state: 'closed', text: 'x' });
    await store.holdLetters(tenant, { letter: lock, held: true, ...by });
    await store.holdLetters(tenant, { letter: incident, held: true, ...by });
    expect(await refusals()).toEqual(['held', 'held']);
    await store.holdLetters(tenant, { letter: lock, held: false, ...by });
    await store.holdLetters(tenant, { letter: incident, held: false, ...by });
    expect(await refusals()).toEqual([]);
    // What the log itself rests on is nobody's to erase.
    expect((await erase(0)).refused).toEqual([{ letter: 0, obstacle: 'no-letter' }]);
    expect(await findings()).toEqual([]);
  });
});

describe('in a store of its own', () => {
  beforeEach(make);
  afterEach(drop);

  it('leaves no trace of a letter in any file, and every other proof whole', async () => {
    const stays = await submit({ to: 'max@buerger.de-mail.example', id: 'da-1', subject: 'Bescheid' });
    await handOver(stays, 'max@buerger.de-mail.example');
    const letter = await letterToErase(200_000);
    const files = await Promise.all(
      (await store.entriesOf(tenant, letter)).map((index) => store.entryFiles(tenant, index)),
    );
    const salts = files.map((file) => file!.salt);
    const object = (await store.submissionOf(tenant, letter))!.message.object;
    expect(found(traces).length).toBeGreaterThanOrEqual(5);
    const { key } = (await store.logs(tenant))[0]!.keys[0]!;

    const result = await store.erase(tenant, { letters: [letter], ...rule });

    expect(result).toMatchObject({ erased: [letter], entries: 4, refused: [] });
    await traceless([...traces, ...salts]);
    expect(await store.object(tenant, object)).toBeNull();
    expect(
      readdirSync(join(directory, 'objects'), { recursive: true, withFileTypes: true }).filter((f) =>
        f.isFile(),
      ),
    ).toEqual([]);
    for (const { entry } of files.map((file) => file!)) {
      expect(await store.entry(tenant, entry.index)).toBeNull();
      expect(await store.entryFiles(tenant, entry.index)).toBeNull();
      expect((await store.erasure(tenant, entry.index))!.index).toBe(result.index);
    }
    expect(await store.timeline(tenant, letter)).toEqual([]);
    expect(await store.facts(tenant, letter)).toEqual([]);
    expect(await store.search({ address: 'opfer' })).toEqual([]);
    expect(await store.resolve(`${tenant}/${letter}`)).toEqual([]);
    expect((await store.search({ tenant })).map((l) => l.index)).toEqual([stays]);
    expect(await findings()).toEqual([]);
    for (let index = 0; index <= result.index!; index++) {
      const [commitment] = await store.commitments(tenant, index, index + 1);
      const proof = (await store.proof(tenant, index))!;
      expect(() => verifyProof(parseProof(proof), leafHash(commitment!), [key])).not.toThrow();
    }
    const erased = (await store.entry(tenant, result.index!))!;
    expect(JSON.stringify(erased)).not.toMatch(/opfer|Geheim|erika/);
  });

  it('does not let content go that no entry says was erased', async () => {
    const letter = await letterToErase();
    const { index } = await store.erase(tenant, { letters: [letter], ...rule });
    const kept = await submit({ to: 'max@buerger.de-mail.example', id: 'da-2', subject: 'Da' });
    const file = join(directory, 'store.sqlite');
    {
      using db = withDispose(new Database(file));
      const gone = "UPDATE entry SET kind = '', time = '', key = x'', sealed = x'' WHERE idx = ?";
      expect(() => db.prepare(gone).run(kept)).toThrow('append-only');
      expect(() => db.prepare('DELETE FROM fact WHERE idx = ?').run(kept)).toThrow('append-only');
      expect(() => db.prepare('DELETE FROM erased').run()).toThrow('append-only');
      expect(() =>
        db.prepare('UPDATE entry SET commitment = ? WHERE idx = ?').run(Buffer.alloc(32), letter),
      ).toThrow('append-only');
      db.exec('DROP TRIGGER entry_no_update; DROP TRIGGER erased_no_delete');
      db.prepare(gone).run(kept);
      db.prepare('DELETE FROM erased WHERE entry = ?').run(letter);
      db.prepare("UPDATE entry SET kind = 'inbound' WHERE idx = ?").run(letter + 1);
    }
    const texts = (await findings()).map((f) => JSON.stringify(f)).join('\n');
    expect(texts).toContain(
      `entry ${kept}","problem":"its content is gone, and no entry says that it was erased`,
    );
    expect(texts).toContain(`erased of entry ${index}`);
    expect(texts).toContain(
      `entry ${letter + 1}","problem":"its content was erased, but a column still says`,
    );
  });

  it('erases again what an older database brings back', async () => {
    const first = await letterToErase();
    await store[Symbol.asyncDispose]();
    const backup = mkdtempSync(join(tmpdir(), 'erase-backup-'));
    cpSync(directory, backup, { recursive: true });
    store = await open();
    await store.erase(tenant, { letters: [first], ...rule });
    await store[Symbol.asyncDispose]();
    const journal = join(directory, 'checkpoints', `${tenant}.erasures`);
    expect(found(traces)).toEqual([]);

    // The older database, and what lies on the other host: the newest checkpoint, and the journal.
    rmSync(join(backup, 'checkpoints'), { recursive: true });
    cpSync(join(directory, 'checkpoints'), join(backup, 'checkpoints'), { recursive: true });
    expect(existsSync(journal)).toBe(true);
    rmSync(directory, { recursive: true });
    cpSync(backup, directory, { recursive: true });
    rmSync(backup, { recursive: true });
    store = await open();
    expect(await store.holds(tenant)).toHaveLength(1);
    expect(await store.entry(tenant, first)).not.toBeNull();
    await store.closeLog(tenant, { actor: anna, reason: 'restored' });
    expect(await store.entry(tenant, first)).toBeNull();
    expect(await store.erasure(tenant, first)).toMatchObject({ again: true, class: rule.class });
    await traceless(traces);
    // Nothing is left to do at the next start.
    const { size } = await store.head(tenant);
    await store[Symbol.asyncDispose]();
    expect(await findings()).toEqual([]);
    store = await open();
    expect((await store.head(tenant)).size).toBe(size);
  });

  it('writes into the journal what a crash kept from it', async () => {
    const letter = await letterToErase();
    await store.erase(tenant, { letters: [letter], ...rule });
    await store[Symbol.asyncDispose]();
    const journal = join(directory, 'checkpoints', `${tenant}.erasures`);
    const written = readFileSync(journal, 'utf8');
    rmSync(journal);
    store = await open();
    await vi.waitFor(() => expect(readFileSync(journal, 'utf8')).toBe(written));
  });
});

function withDispose(db: Database.Database): Database.Database & Disposable {
  return Object.assign(db, { [Symbol.dispose]: () => void db.close() });
}
