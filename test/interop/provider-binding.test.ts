/** Verdicts at fetch, and what binds a confirmation to its letter, between a real store and a simulated provider. */
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blockLength } from '../../src/demail/block.ts';
import { findXmlPart } from '../../src/demail/confirmation.ts';
import { CONFIRMATIONS, INBOX } from '../../src/directory/mailboxes.ts';
import type { ConfirmationEntry, Entry } from '../../src/evidence/entry.ts';
import { decodeContent } from '../../src/mime/digest.ts';
import { createIndexer } from '../../src/mime/structure.ts';
import type { Clock } from '../../src/observe/clock.ts';
import { silentLog } from '../../src/observe/log.ts';
import { createIncidents } from '../../src/provider/incidents.ts';
import { operatorTeller } from '../../src/provider/notices.ts';
import { createReports } from '../../src/provider/reports.ts';
import { startReverification } from '../../src/provider/reverify.ts';
import { createSettlement } from '../../src/provider/settle.ts';
import { testDirectory } from '../../src/provider/testing/tenants.ts';
import {
  erika,
  erna,
  headerOf,
  max,
  openSimulator,
  openWorld,
  type SimulatedProvider,
  type World,
} from '../flow/provider-world.ts';

let provider: SimulatedProvider;
beforeAll(async () => {
  provider = await openSimulator();
});
afterAll(() => provider[Symbol.asyncDispose]());

type Confirmation = Entry & ConfirmationEntry;

async function world(more: object = {}): Promise<World> {
  return openWorld({ provider: await provider.accounts(more) });
}

async function confirmations(w: World, letter: number): Promise<Confirmation[]> {
  const timeline = await w.store.timeline('stadt', letter);
  return timeline.filter((e): e is Confirmation => e.kind === 'confirmation');
}

function failed(entry: Confirmation): string[] {
  return (entry.comparisons ?? []).filter((c) => c.result === 'failed').map((c) => c.name);
}

/** The provider's bytes of a letter's confirmation, as staff see them below the gateway's block. */
async function bytesOf(w: World, type: string, letter: number): Promise<Buffer> {
  const mail = (await w.mails(erika, CONFIRMATIONS)).find(
    (m) =>
      headerOf(m, 'X-Demail-Gateway-Letter') === `stadt/${letter}` &&
      headerOf(m, 'X-de-mail-message-type') === type,
  )!;
  return mail.subarray(blockLength(mail));
}

describe('a confirmation that holds', () => {
  it('counts, with every comparison, for open and blind recipients', async () => {
    await using w = await world({ sentFolder: 'Sent' });
    const letter = await w.submit({ rcpt: [max, erna], to: max, subject: 'Bescheid über Gebühren' });
    const link = await w.startLink();
    const found = await w.until(async () => {
      const list = await confirmations(w, letter);
      return list.length >= 4 && list;
    });
    for (const entry of found) {
      expect(failed(entry), JSON.stringify(entry.comparisons, null, 1)).toEqual([]);
      expect(['yes', 'provisional']).toContain(entry.counts);
      expect(entry.checks!.length).toBeGreaterThan(3);
      const names = entry.comparisons!.map((c) => c.name);
      for (const name of ['signature', 'original-body-hash', 'original-header-hash', 'original-options'])
        expect(names).toContain(name);
      for (const name of ['original-from', 'original-subject', 'account', 'private-id', 'recipient'])
        expect(names).toContain(name);
    }
    await link.fetchNow('stadt');
    const sent = (await w.store.timeline('stadt', letter)).filter((e) => e.kind === 'sent-copy');
    expect(sent.length).toBe(2);
    for (const copy of sent) {
      expect(copy.comparisons!.filter((c) => c.result === 'failed')).toEqual([]);
      expect(copy.comparisons!.map((c) => c.name)).toContain('sent-copy body');
    }
  });

  it('and without any anchor it leads to, it does not count and says why', async () => {
    const other = await openSimulator();
    await using _ = other;
    await using w = await world({ signatureAnchors: [other.simulator.caFile] });
    const letter = await w.submit();
    await w.startLink();
    const [entry] = await w.until(async () => {
      const list = await confirmations(w, letter);
      return list.length > 0 && list;
    });
    expect(entry).toMatchObject({ counts: 'no' });
    expect(failed(entry!)).toEqual(['signature']);
    const facts = (await w.store.facts('stadt', letter)).map((f) => f.fact);
    expect(facts).not.toContain('dispatched');
  });
});

/** The message with its signed XML changed, and else as it is. */
function rewriteXml(message: Buffer, edit: (xml: string) => string): Buffer {
  const indexer = createIndexer();
  indexer.push(message);
  const part = findXmlPart(indexer.finish())!;
  const body = message.subarray(part.bodyStart, part.bodyEnd);
  const xml = edit(decodeContent(body, part.encoding.toLowerCase()).toString('utf8'));
  const bytes = Buffer.from(xml);
  const encoded =
    part.encoding.toLowerCase() === 'base64'
      ? Buffer.from(`${bytes.toString('base64').replace(/.{76}/g, '$&\r\n')}\r\n`)
      : bytes;
  return Buffer.concat([message.subarray(0, part.bodyStart), encoded, message.subarray(part.bodyEnd)]);
}

describe('a confirmation that does not hold', () => {
  async function twoLetters(w: World) {
    const first = await w.submit({ subject: 'Erster', body: 'Eins\r\n' });
    const link = await w.startLink();
    await w.until(async () => (await confirmations(w, first)).length >= 2);
    const genuine = await bytesOf(w, 'confirmation of dispatch', first);
    const second = await w.submit({ subject: 'Zweiter', body: 'Zwei\r\n', options: [] });
    await w.until(async () => (await w.store.facts('stadt', second)).some((f) => f.fact === 'handed-over'));
    const ids = await Promise.all(
      [first, second].map(async (l) => (await w.store.submissionOf('stadt', l))!.transactions[0]!.privateId),
    );
    const moved = (message: Buffer) => message.toString('latin1').replaceAll(ids[0]!, ids[1]!);
    return { link, genuine, first, second, ids, moved };
  }

  it('moves nothing where it was made out to another letter, in header and XML', async () => {
    await using w = await world();
    const { link, genuine, second, ids, moved } = await twoLetters(w);
    const swapped = Buffer.from(
      moved(rewriteXml(genuine, (xml) => xml.replaceAll(ids[0]!, ids[1]!))),
      'latin1',
    );
    await provider.simulator.deposit('stadt', swapped);
    await link.fetchNow('stadt');
    const [entry, ...more] = await confirmations(w, second);
    expect(more).toEqual([]);
    expect(entry).toMatchObject({ counts: 'no', verdict: 'invalid', matchedBy: 'private-id' });
    expect(entry).not.toHaveProperty('originalMessageId');
    expect(failed(entry!)).toEqual(
      expect.arrayContaining(['signature', 'original-body-hash', 'original-header-hash', 'original-subject']),
    );
    expect((await w.store.facts('stadt', second)).map((f) => f.fact)).not.toContain('dispatched');
    const shown = (await w.mails(erika, CONFIRMATIONS)).find(
      (m) => headerOf(m, 'X-Demail-Gateway-Letter') === `stadt/${second}`,
    )!;
    expect(headerOf(shown, 'X-Demail-Gateway-Counts')).toBe('no');
    expect(headerOf(shown, 'X-Demail-Gateway-Verdict')).toBe('invalid');
    expect(headerOf(shown, 'X-Demail-Gateway-Verdict-Reason')).toBeTruthy();
    const box = (await w.store.mailbox('stadt', erika, CONFIRMATIONS))!;
    const flags = (await w.store.messages('stadt', box.id)).flatMap((row) => row.flags);
    expect(flags).toEqual(expect.arrayContaining(['$DeMailInvalid', '$DeMailNotCounted']));
    await w.until(async () =>
      (await w.entries()).some(
        (e) => e.kind === 'incident' && e.state === 'opened' && e.text.includes(`stadt/${entry!.index}`),
      ),
    );
    // Told once; nobody can mend it, so it does not stay open for ever.
    await link.fetchNow('stadt');
    await link.fetchNow('stadt');
    await w.until(
      async () =>
        !(await w.store.incidents('stadt')).some((i) => i.incident.startsWith('confirmation-does-not-hold')),
    );
  });

  it('fits nothing where header and XML are of different letters, and changes nothing when it comes again', async () => {
    await using w = await world();
    const { link, genuine, first, second, moved } = await twoLetters(w);
    await provider.simulator.deposit('stadt', Buffer.from(moved(genuine), 'latin1'));
    const before = (await w.store.facts('stadt', first)).map((f) => `${f.recipient} ${f.fact}`);
    await provider.simulator.deposit('stadt', Buffer.concat([Buffer.from('X-Again: yes\r\n'), genuine]));
    await link.fetchNow('stadt');
    expect(await confirmations(w, second)).toEqual([]);
    expect((await w.store.facts('stadt', second)).map((f) => f.fact)).not.toContain('dispatched');
    const after = (await w.store.facts('stadt', first)).map((f) => `${f.recipient} ${f.fact}`);
    expect(new Set(after)).toEqual(new Set(before));
  });

  it('moves nothing where one character of the signed XML was changed', async () => {
    await using w = await world();
    const { link, genuine, first } = await twoLetters(w);
    await provider.simulator.deposit(
      'stadt',
      rewriteXml(genuine, (xml) => xml.replace('Erster', 'Ersten')),
    );
    await link.fetchNow('stadt');
    const changed = (await confirmations(w, first)).filter((c) => c.counts === 'no');
    expect(changed).toHaveLength(1);
    expect(failed(changed[0]!)).toContain('signature');
  });
});

describe('an indeterminate verdict', () => {
  /** Looks again an hour later, with what the folder says by then. */
  async function reverify(w: World, folder: string): Promise<void> {
    const accounts = await provider.accounts({ revocation: { folder, network: false } });
    const tenants = testDirectory({ provider: accounts });
    const directory = () => tenants;
    const clock: Clock = { now: () => Date.now() + 2 * 3_600_000, after: () => ({ [Symbol.dispose]() {} }) };
    const base = { store: w.store, directory, tenant: 'stadt', clock, hostname: 'gateway.example' };
    const log = silentLog();
    const tell = operatorTeller(base);
    const incidents = await createIncidents({ ...base, tell, log });
    const reports = createReports({ ...base, log });
    const settlement = createSettlement({ ...base, reports, log });
    const service = startReverification({ ...base, dataDir: folder, incidents, reports, settlement, log });
    await service.look();
    await service.close();
    await incidents.settled();
    incidents.stop();
  }

  async function confirmed(w: World) {
    const letter = await w.submit({ options: ['dispatch'] });
    const link = await w.startLink();
    const [entry] = await w.until(async () => {
      const list = await confirmations(w, letter);
      return list.length === 1 && list;
    });
    await link.close();
    return { letter, entry: entry! };
  }

  it('is final once a CRL issued after the signing is there, with all that it rests on', async () => {
    await using w = await world();
    const { entry } = await confirmed(w);
    expect(entry).toMatchObject({ verdict: 'indeterminate', counts: 'provisional' });
    const empty = await mkdtemp(join(w.directory, 'crl-'));
    await reverify(w, empty);
    expect((await w.store.latestVerdict('stadt', entry.index))!.verdict).toBe('indeterminate');
    await writeCrl(empty, []);
    await reverify(w, empty);
    // The wait grew; what is not due is not looked at.
    await w.store.planReverification('stadt', entry.index, 0);
    await reverify(w, empty);
    expect((await w.store.latestVerdict('stadt', entry.index))!.verdict).toBe('valid');
    const judged = (await w.entries()).filter((e) => e.kind === 'verdict' && e.about === entry.index);
    const last = judged.at(-1)!;
    expect(last).toMatchObject({ kind: 'verdict', verdict: 'valid' });
    expect(last.kind === 'verdict' && last.material.map((m) => m.type)).toEqual(
      expect.arrayContaining(['certificate', 'crl']),
    );
    expect(await w.store.dueReverifications('stadt', Number.MAX_SAFE_INTEGER, 10)).not.toContain(entry.index);
    const box = (await w.store.mailbox('stadt', erika, CONFIRMATIONS))!;
    const rows = await w.store.messages('stadt', box.id);
    expect(rows[0]!.flags).toContain('$DeMailValid');
    expect(rows[0]!.flags).not.toContain('$DeMailIndeterminate');
  });

  it('that turns invalid disputes the confirmation, and the sender hears of it', async () => {
    await using w = await world();
    const { letter, entry } = await confirmed(w);
    const folder = await mkdtemp(join(w.directory, 'crl-'));
    await writeCrl(folder, await signerSerials(await bytesOf(w, 'confirmation of dispatch', letter)));
    await reverify(w, folder);
    expect((await w.store.latestVerdict('stadt', entry.index))!.verdict).toBe('invalid');
    const facts = (await w.store.facts('stadt', letter)).map((f) => f.fact);
    expect(facts).toEqual(expect.arrayContaining(['dispatched', 'disputed']));
    expect((await w.mails(erika, INBOX)).map((m) => headerOf(m, 'In-Reply-To'))).toContain(
      (await w.store.submissionOf('stadt', letter))!.header.messageId,
    );
    const incidents = (await w.store.incidents('stadt')).map((i) => i.incident);
    expect(incidents).toContain(`confirmation-disputed ${entry.index}`);
  });
});

/** A CRL of the simulator's root, issued in a minute: after whatever was signed so far. */
async function writeCrl(folder: string, serials: readonly string[]): Promise<void> {
  const root = join(dirname(provider.simulator.caFile), 'root');
  const config = join(folder, 'openssl.cnf');
  const lines = serials.map((serial) => `R\t400101000000Z\t260101000000Z\t${serial}\tunknown\t/CN=x`);
  await writeFile(join(folder, 'index.txt'), lines.map((line) => `${line}\n`).join(''));
  await writeFile(
    config,
    `[ca]\ndefault_ca=c\n[c]\ndatabase=${folder}/index.txt\ndefault_md=sha256\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n`,
  );
  const last = new Date(Date.now() + 60_000)
    .toISOString()
    .replace(/[-:T]|\..*/g, '')
    .slice(2);
  const args = ['ca', '-config', config, '-gencrl', '-crldays', '30', '-crl_lastupdate', `20${last}Z`];
  await promisify(execFile)('openssl', [
    ...args,
    ...['-keyfile', `${root}.key`, '-cert', `${root}.pem`, '-out', join(folder, 'root.crl')],
  ]);
}

async function signerSerials(message: Buffer): Promise<string[]> {
  const der = Buffer.from(headerOf(message, 'X-de-mail-signature-certificate')!.replace(/\s/g, ''), 'base64');
  return [new X509Certificate(der).serialNumber];
}
