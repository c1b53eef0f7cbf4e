/**
 * Bundles as strangers read them: unzip, xmllint with the schema of ETSI EN 319 162-1, Bouncy Castle, and VERIFY.md, whose
 * code blocks are run as they stand. And what an attacker does to a bundle, against them and against our own verifier.
 */
import { execFile } from 'node:child_process';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadAlgorithms } from '../../src/config/algorithms.ts';
import { openArchive, writeArchive } from '../../src/evidence/bundle/archive.ts';
import { type Bundle, type BundleFile, collectBundle } from '../../src/evidence/bundle/collect.ts';
import { exportTenant } from '../../src/evidence/bundle/export-tenant.ts';
import { bundlePath, loosePaths } from '../../src/evidence/bundle/tenant-layout.ts';
import { type BundleVerdict, verifyBundle } from '../../src/evidence/bundle/verify-bundle.ts';
import { verifyTenant } from '../../src/evidence/bundle/verify-tenant.ts';
import { createNoteSigner, type NoteSigner } from '../../src/evidence/note.ts';
import { verifyStore } from '../../src/evidence/verify.ts';
import type { Clock } from '../../src/observe/clock.ts';
import { silentLog } from '../../src/observe/log.ts';
import { revocationNetwork } from '../../src/pki/revocation-network.ts';
import { readTrustFiles, revocationMemory } from '../../src/pki/revocation-sources.ts';
import { type Authorities, createAuthorities } from '../../src/preservation/authorities.ts';
import { importTenant, verifyForImport } from '../../src/preservation/import-tenant.ts';
import { renewDue } from '../../src/preservation/renew.ts';
import { renewalWorkshop } from '../../src/preservation/renewal-work.ts';
import { seal } from '../../src/preservation/seal.ts';
import { createIncidents } from '../../src/provider/incidents.ts';
import { operatorTeller } from '../../src/provider/notices.ts';
import { createReports } from '../../src/provider/reports.ts';
import { startReverification } from '../../src/provider/reverify.ts';
import { createSettlement } from '../../src/provider/settle.ts';
import { testDirectory } from '../../src/provider/testing/tenants.ts';
import { startTimestampAuthority, type TimestampAuthority } from '../../src/simulator/timestamp-authority.ts';
import { loadTenantKeys, logKeyFile, readLogKey } from '../../src/store/keys.ts';
import { openAudit } from '../../src/store/sqlite/audit.ts';
import { openSqliteReader, storePaths } from '../../src/store/sqlite/open.ts';
import { openSimulator, openWorld, type SimulatedProvider, type World } from '../flow/provider-world.ts';

const run = promisify(execFile);
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const jars = ['bcprov', 'bcpkix', 'bcutil'].map((name) => `/usr/share/java/${name}.jar`).join(':');
const directory = mkdtempSync(join(tmpdir(), 'export-'));
const file = (name: string) => join(directory, name);

let provider: SimulatedProvider;
let w: World;
let tsa: TimestampAuthority;
let authorities: Authorities;
let signer: NoteSigner;
let logKey: string;
let letter: number;
let bundle: Bundle;
let time: Date;

beforeAll(async () => {
  provider = await openSimulator();
  w = await openWorld({ provider: await provider.accounts({ revocation: { network: false } }) });
  letter = await w.submit({ options: ['dispatch', 'receipt'], subject: 'Bescheid über die Gebühr' });
  const link = await w.startLink();
  await w.until(async () => (await w.store.openTransactions('stadt')).length === 0);
  await provider.simulator.settled();
  await link.fetchNow('stadt');
  await w.until(
    async () =>
      (await w.store.timeline('stadt', letter)).filter(({ kind }) => kind === 'confirmation').length >= 2,
  );
  await link.close(1_000);
  // A list is final for a signature of an earlier second alone.
  const second = Math.floor(Date.now() / 1_000);
  await w.until(async () => Date.now() / 1_000 > second + 1);
  await lookAgain();

  let ahead = 0;
  tsa = await startTimestampAuthority(
    { directory: file('tsa') },
    { now: () => new Date(Date.now() + ahead) },
  );
  authorities = createAuthorities({
    servers: [{ name: 'tsa', url: tsa.url, allowPrivate: true }],
    trust: await readTrustFiles([tsa.caFile]),
    revocation: revocationNetwork({ allowPrivate: true }),
    now: () => Date.now() + ahead,
  });
  const sealed = await seal({ store: w.store, authorities, digest: 'sha256' });
  ahead = 2_000;
  const token = await w.store.archiveToken(sealed!.id);
  const completed = await authorities.complete(token!.token);
  if ('missing' in completed) throw new Error(completed.missing);
  await w.store.finishArchiveToken(sealed!.id, completed.token);
  time = new Date(Date.now() + ahead);

  const log = (await w.store.logs('stadt')).at(-1)!;
  logKey = log.keys.at(-1)!.key;
  signer = createNoteSigner(
    log.origin,
    readLogKey(logKeyFile(join(w.directory, 'keys'), 'stadt', null)).privateKey,
  );
  bundle = await collectBundle(w.store, { tenant: 'stadt', letter }, signer);
  await writeArchive(file('bundle.asice'), bundle.files);
  writeFileSync(file('anchors.pem'), tsa.caPem);
}, 120_000);

afterAll(async () => {
  await tsa[Symbol.asyncDispose]();
  await w[Symbol.asyncDispose]();
  await provider[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

/** The link's second look at verdicts, with the revocation data that is published by then. */
async function lookAgain(): Promise<void> {
  const folder = mkdtempSync(file('crl-'));
  writeFileSync(join(folder, 'root.crl'), provider.simulator.crl());
  const tenants = testDirectory({
    provider: await provider.accounts({ revocation: { folder, network: false } }),
  });
  const clock: Clock = { now: () => Date.now() + 2 * 3_600_000, after: () => ({ [Symbol.dispose]() {} }) };
  const directoryNow = () => tenants;
  const base = {
    store: w.store,
    directory: directoryNow,
    tenant: 'stadt',
    clock,
    hostname: 'gateway.example',
  };
  const log = silentLog();
  const incidents = await createIncidents({ ...base, tell: operatorTeller(base), log });
  const reports = createReports({ ...base, log });
  const settlement = createSettlement({ ...base, reports, log });
  const service = startReverification({ ...base, dataDir: w.directory, incidents, reports, settlement, log });
  await service.look();
  await service.close();
  await incidents.settled();
  incidents.stop();
}

async function verdictOn(name: string, logKeys: readonly string[] = [logKey]): Promise<BundleVerdict> {
  using archive = await openArchive(file(name));
  return await verifyBundle(archive, {
    trust: await readTrustFiles([tsa.caFile, provider.simulator.caFile]),
    revocation: revocationMemory([]),
    time,
    policy: loadAlgorithms(),
    logKeys,
  });
}

/** Code blocks of VERIFY.md, run as they stand. */
async function followInstructions(name: string): Promise<{ ok: boolean; said: string }> {
  const text = (await bundle.files.find((one) => one.name === 'VERIFY.md')!.bytes()).toString();
  const script = [...text.matchAll(/^~~~sh\n([\s\S]*?)^~~~$/gm)].map(([, code]) => code).join('');
  writeFileSync(file('verify.sh'), script);
  const env = { ...process.env, BUNDLE: file(name), ANCHORS: file('anchors.pem'), LOG_KEY: logKey };
  try {
    const { stdout, stderr } = await run('sh', [file('verify.sh')], { env, cwd: directory });
    return { ok: stdout.endsWith('the bundle verifies\n'), said: stdout + stderr };
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    return { ok: false, said: stdout + stderr };
  }
}

/** The bundle with other files, written as ours is. */
async function rewritten(name: string, change: (files: BundleFile[]) => BundleFile[]): Promise<string> {
  await writeArchive(file(name), change([...bundle.files]));
  return name;
}

function made(name: string, bytes: Buffer): BundleFile {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { name, size: bytes.length, sha256, bytes: async () => bytes };
}

describe('a bundle', () => {
  it('verifies, each step of it', async () => {
    const { verdict, checks } = await verdictOn('bundle.asice');
    expect(checks.filter(({ result }) => result !== 'passed')).toEqual([]);
    expect(verdict).toBe('valid');
    expect(checks.filter(({ name }) => name === 'message').length).toBeGreaterThanOrEqual(2);
  });

  it('is the same bytes when made twice', async () => {
    const again = await collectBundle(w.store, { tenant: 'stadt', letter }, signer);
    await writeArchive(file('again.asice'), again.files);
    expect(readFileSync(file('again.asice')).equals(readFileSync(file('bundle.asice')))).toBe(true);
  });

  it('is undecided without the key of the log', async () => {
    const { verdict, checks } = await verdictOn('bundle.asice', []);
    expect(verdict).toBe('indeterminate');
    expect(new Set(checks.filter(({ result }) => result !== 'passed').map(({ code }) => code))).toEqual(
      new Set(['log-key-not-given', 'list-signature-undecided']),
    );
  });

  it('is an ASiC-E container to unzip and to the schema', async () => {
    const { stdout } = await run('unzip', ['-t', file('bundle.asice')]);
    expect(stdout).toContain('No errors detected');
    expect(readFileSync(file('bundle.asice')).subarray(0, 69).toString('latin1').slice(30)).toBe(
      'mimetypeapplication/vnd.etsi.asic-e+zip',
    );
    await run('unzip', ['-q', '-o', file('bundle.asice'), '-d', file('unzipped')]);
    const manifests = readdirSync(file('unzipped/META-INF')).filter((name) => name.endsWith('.xml'));
    expect(manifests.length).toBeGreaterThan(4);
    await run('xmllint', [
      ...['--noout', '--nonet', '--schema', here('schema/asic.xsd')],
      ...manifests.map((name) => file(`unzipped/META-INF/${name}`)),
    ]);
  });

  it('holds evidence records that Bouncy Castle takes', async () => {
    const folder = file('unzipped');
    const lines: string[] = [];
    for (const { sealed, files } of bundle.report.entries)
      lines.push(
        [sealed!.record, ...files.filter((name) => !name.endsWith('.tlog-proof'))]
          .map((name) => join(folder, name))
          .toSpliced(1, 0, file('anchors.pem'))
          .join('\t'),
      );
    writeFileSync(file('cases'), `${lines.join('\n')}\n`);
    const { stdout } = await run('java', ['-cp', jars, here('java/WalkRecords.java'), file('cases')]);
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split('\t')[1]),
    ).toEqual(lines.map(() => 'valid 1'));
  }, 120_000);

  it('verifies by its own instructions, with standard tools alone', async () => {
    const { ok, said } = await followInstructions('bundle.asice');
    expect({ ok, said }).toMatchObject({ ok: true });
    expect(said).toContain('the bundle verifies');
  }, 120_000);
});

describe('a bundle that was tampered with', () => {
  it('is found out for a changed byte in any of its files', async () => {
    for (const { name, size } of bundle.files) {
      const changed = await rewritten(`changed-${name.replaceAll('/', '-')}`, (files) =>
        files.map((one) =>
          one.name !== name
            ? one
            : {
                ...one,
                bytes: async () => {
                  const bytes = Buffer.from(await one.bytes());
                  bytes[Math.floor(size / 2)]! ^= 1;
                  return bytes;
                },
              },
        ),
      );
      expect({ name, verdict: (await verdictOn(changed)).verdict }).toEqual({ name, verdict: 'invalid' });
    }
  }, 300_000);

  it('is found out for a file that was taken out or added', async () => {
    for (const { name } of bundle.files) {
      const less = await rewritten(`less-${name.replaceAll('/', '-')}`, (files) =>
        files.filter((one) => one.name !== name),
      );
      const expected = name === 'SHA256SUMS.note' ? 'indeterminate' : 'invalid';
      expect({ name, verdict: (await verdictOn(less)).verdict }).toEqual({ name, verdict: expected });
    }
    for (const name of ['notes.txt', 'entry-000999.json', 'META-INF/ASiCEvidenceRecordManifest099.xml']) {
      const more = await rewritten(`more-${name.replaceAll('/', '-')}`, (files) => [
        ...files,
        made(name, Buffer.from('{}')),
      ]);
      expect({ name, verdict: (await verdictOn(more)).verdict }).toEqual({ name, verdict: 'invalid' });
    }
  }, 300_000);

  it('is found out, also by its instructions, for swapped records and proofs', async () => {
    const pairs = [
      ['META-INF/evidencerecord001.ers', 'META-INF/evidencerecord002.ers'],
      bundle.report.entries.slice(0, 2).map(({ files }) => files[2]!),
    ] as const;
    for (const [first, second] of pairs as readonly (readonly string[])[]) {
      const swapped = await rewritten(`swapped-${first!.replaceAll('/', '-')}`, (files) => {
        const of = (name: string) => files.find((one) => one.name === name)!;
        return files.map((one) =>
          one.name === first
            ? { ...of(second!), name: first! }
            : one.name === second
              ? { ...of(first!), name: second }
              : one,
        );
      });
      expect((await verdictOn(swapped)).verdict).toBe('invalid');
      expect((await followInstructions(swapped)).ok).toBe(false);
    }
  }, 120_000);

  it('is found out where a whole entry was left out with all that speaks of it', async () => {
    const forged = generateKeyPairSync('ed25519').privateKey;
    for (const own of [null, createNoteSigner(signer.name, forged)]) {
      const fewer = await collectBundle(
        { ...w.store, timeline: async (...place) => (await w.store.timeline(...place)).slice(0, -1) },
        { tenant: 'stadt', letter },
        own,
      );
      const { verdict, checks } = await verdictOn(
        await rewritten(`fewer-${own === null}`, () => [...fewer.files]),
      );
      expect(verdict).toBe(own === null ? 'indeterminate' : 'invalid');
      expect(checks.filter(({ result }) => result !== 'passed').map(({ name }) => name)).toContain(
        'list-signature',
      );
    }
  });

  it('is found out for bytes around and between the files', async () => {
    const bytes = readFileSync(file('bundle.asice'));
    writeFileSync(file('tail'), Buffer.concat([bytes, Buffer.from('more')]));
    writeFileSync(file('head'), Buffer.concat([Buffer.from('more'), bytes]));
    for (const name of ['tail', 'head']) {
      const said = await verdictOn(name).then(
        ({ verdict }) => verdict,
        (error: Error) => error.message,
      );
      expect(said).not.toBe('valid');
      expect(said).not.toBe('indeterminate');
    }
  });
});

describe('the export of a whole tenant', () => {
  const whole = (name: string) => {
    cpSync(file('whole'), file(name), { recursive: true });
    return file(name);
  };
  const circumstances = async () => ({
    trust: await readTrustFiles([tsa.caFile, provider.simulator.caFile]),
    revocation: revocationMemory([]),
    time,
    policy: loadAlgorithms(),
    logKeys: [logKey],
  });
  const judge = async (path: string) => await verifyTenant(path, await circumstances());

  beforeAll(async () => {
    const addressKey = loadTenantKeys(join(w.directory, 'keys'), 'stadt', false).address.export();
    await exportTenant(w.store, 'stadt', file('whole'), { signer, addressKey });
  });

  it('holds every entry of the log, and is valid: only what the seal itself made comes after it', async () => {
    const { verdict, checks, entries } = await judge(file('whole'));
    expect(entries).toBe(await w.store.entryCount('stadt'));
    expect(checks.filter(({ result }) => result !== 'passed')).toEqual([]);
    expect(checks.find(({ reason }) => reason.includes('(sealed)'))).toMatchObject({
      name: 'evidence-record',
    });
    expect(verdict).toBe('valid');
  });

  it('goes into another store with confirmations, verdicts, and what was fetched', async () => {
    const to = file('other-store');
    const verified = await verifyForImport(file('whole'), 'stadt', await circumstances());
    await importTenant(verified, {
      directory: to,
      paths: storePaths({ directory: to }),
      originPrefix: 'other.example',
      tenant: 'stadt',
      actor: { type: 'operator', name: 'erika' },
      reason: 'the office moves',
      now: () => time.getTime(),
      warn: () => undefined,
    });
    using reader = openSqliteReader(storePaths({ directory: to }));
    expect(await reader.standing('stadt', letter)).toEqual(await w.store.standing('stadt', letter));
    expect(await reader.timeline('stadt', letter)).toEqual(await w.store.timeline('stadt', letter));
    expect(await reader.openTransactions('stadt')).toEqual([]);
    const fetched = (await w.entries()).flatMap((entry) => ('source' in entry ? [entry] : []));
    expect(fetched.length).toBeGreaterThan(1);
    for (const { source, message, index } of fetched)
      expect(await reader.fetchedAs('stadt', source.account, message.sha256)).toBe(index);
    using audit = openAudit(storePaths({ directory: to }));
    expect((await verifyStore(audit, { archive: null })).findings).toEqual([]);
    // The same letter, exported from there: the same bytes but for the keys of the log that goes on.
    const { files } = await collectBundle(reader, { tenant: 'stadt', letter }, null);
    const before = new Map(bundle.files.map(({ name, sha256 }) => [name, sha256]));
    const others = files.filter(({ name, sha256 }) => before.get(name) !== sha256).map(({ name }) => name);
    expect(others).toEqual(['log-keys.txt', 'SHA256SUMS']);
  });

  it('is found out for what was taken out or changed', async () => {
    const salt = loosePaths(0).salt;
    const less = whole('whole-less');
    rmSync(join(less, salt));
    expect((await judge(less)).checks.find(({ name }) => name === 'complete')).toMatchObject({
      result: 'failed',
      reason: expect.stringContaining('left out: 0:'),
    });
    const changes = [salt, 'logs/1/tile/entries/000.p', bundlePath(letter)];
    for (const [number, name] of changes.entries()) {
      const changed = whole(`whole-${number}`);
      const path = statSync(join(changed, name)).isDirectory()
        ? join(changed, name, readdirSync(join(changed, name))[0]!)
        : join(changed, name);
      const bytes = readFileSync(path);
      bytes[Math.floor(bytes.length / 2)]! ^= 1;
      writeFileSync(path, bytes);
      expect({ name, verdict: (await judge(changed)).verdict }).toEqual({ name, verdict: 'invalid' });
    }
  });
});

describe('a bundle after a renewal of the hash tree', () => {
  it('verifies, by its own instructions as well', async () => {
    const soon = new Date(Date.now() + 86_400_000);
    const policy = loadAlgorithms().map((rule) =>
      rule.name === 'sha256' ? { ...rule, validUntil: soon } : rule,
    );
    const renewals = await renewDue({
      store: w.store,
      authorities,
      policy,
      digest: 'sha512',
      ahead: 7 * 86_400_000,
      now: () => time.getTime(),
      known: new Map(),
      workshop: renewalWorkshop(directory),
    });
    expect(renewals.map(({ kind }) => kind)).toContain('hash-tree-renewal');
    const renewed = await collectBundle(w.store, { tenant: 'stadt', letter }, signer);
    await writeArchive(file('renewed.asice'), renewed.files);
    const { ok, said } = await followInstructions('renewed.asice');
    expect({ ok, said }).toMatchObject({ ok: true });
    expect(said.match(/evidencerecord001\.ers: time-stamp of/g)).toHaveLength(2);
    const { checks } = await verdictOn('renewed.asice');
    expect(checks.filter(({ result }) => result === 'failed')).toEqual([]);
  }, 120_000);
});
