/**
 * Evidence records by Bouncy Castle, token by token, and each token by OpenSSL: after any renewal they say what we
 * say, and refuse what we refuse. They share nothing with us.
 */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { IntegrityHash } from '../../src/demail/integrity.ts';
import type { AlgorithmPolicy } from '../../src/evidence/ers/algorithm-policy.ts';
import {
  type ArchiveTimeStamp,
  type EvidenceRecord,
  printEvidenceRecord,
} from '../../src/evidence/ers/evidence-record.ts';
import {
  renewTokenOf,
  renewTreeOf,
  type Stamp,
  sealDocuments,
} from '../../src/evidence/ers/testing/renewals.ts';
import { type RecordReport, verifyEvidenceRecord } from '../../src/evidence/ers/verify-record.ts';
import { readTrustFiles, revocationMemory } from '../../src/pki/revocation-sources.ts';
import { type Identity, issue, makeCrl, newKey } from '../../src/pki/testing/test-pki.ts';
import { issueTsa } from '../../src/pki/testing/test-tsa.ts';
import { timestampVerifier } from '../../src/pki/timestamp.ts';
import { requestTimestamp } from '../../src/pki/timestamp-client.ts';
import { completeToken } from '../../src/pki/timestamp-completion.ts';
import { derToken, embedCrls } from '../../src/pki/timestamp-der.ts';
import { readTimestampResponse, timestampRequest } from '../../src/pki/timestamp-request.ts';
import { readTimestampToken } from '../../src/pki/timestamp-token.ts';
import { startTimestampAuthority, type TimestampAuthority } from '../../src/simulator/timestamp-authority.ts';

const run = promisify(execFile);
const DAY = 86_400_000;
/** In the past: Bouncy Castle looks at no revocation list as of a time to come. */
const START = Date.parse('2020-01-01T00:00:00Z');
const directory = mkdtempSync(join(tmpdir(), 'ers-'));
afterAll(() => rmSync(directory, { recursive: true }));
const jars = ['bcprov', 'bcpkix', 'bcutil'].map((name) => `/usr/share/java/${name}.jar`).join(':');
const walker = fileURLToPath(new URL('java/WalkRecords.java', import.meta.url));

const policy: AlgorithmPolicy = [
  ...(['sha256', 'sha384', 'sha512'] as const).map((name) => ({ name, purpose: 'digest' as const })),
  { name: 'ec-dsa', purpose: 'signature' as const, minBits: 256 },
  { name: 'rsa', purpose: 'signature' as const, minBits: 2048 },
].map((rule) => ({ ...rule, validUntil: new Date('2060-01-01') }));

/** Something that stamps, as of a time, and puts a list inside that is as old as the token's next cover wants it. */
interface Authority {
  readonly anchors: string;
  stamp(time: Date, coveredAt: Date): Stamp;
}

let simulators: TimestampAuthority[] = [];
afterAll(() => Promise.all(simulators.map((each) => each.close())));

/** The simulator's authority, whose clock can be moved, asked over HTTP. */
async function simulated(
  signature: 'p256' | 'rsa' | 'brainpoolP256r1',
  hash: IntegrityHash,
): Promise<Authority> {
  const options = { directory: join(directory, `tsa-${signature}`), signature, hash };
  const tsa = await startTimestampAuthority(options, { now: () => new Date(START) });
  simulators = [...simulators, tsa];
  const trust = await readTrustFiles([tsa.caFile]);
  return {
    anchors: tsa.caFile,
    stamp: (time, coveredAt) => async (hash, digest) => {
      tsa.clock.set(time);
      const servers = [{ url: tsa.url, allowPrivate: true }];
      const revocation = revocationMemory([]);
      const outcome = await requestTimestamp({ servers, hash, digest, trust, revocation, now: () => time });
      if (!outcome.ok) throw new Error(JSON.stringify(outcome.failures));
      tsa.clock.set(new Date(coveredAt.getTime() - DAY));
      const lists = revocationMemory([{ kind: 'crl', der: tsa.crl() }]);
      const completed = await completeToken(outcome.token, {
        trust,
        revocation: lists,
        time: tsa.clock.now(),
      });
      if (!completed.ok) throw new Error(completed.reason);
      return completed.token;
    },
  };
}

/** `openssl ts -reply`, with the computer's clock. Its times are all now. */
async function byOpenssl(): Promise<Authority> {
  const root = issue('OpenSSL root', { authority: true });
  const tsa = issueTsa(root, { key: newKey('rsa') });
  const place = (name: string) => join(directory, `openssl-${name}`);
  const anchors = place('root.pem');
  writeFileSync(anchors, pem(root));
  writeFileSync(place('tsa.pem'), pem(tsa));
  writeFileSync(place('tsa.key'), tsa.key.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(
    place('tsa.cnf'),
    `[tsa]\nserial = ${place('serial')}\ncrypto_device = builtin\ndefault_policy = 1.2.3.4.1\n` +
      'digests = sha256, sha384, sha512\nsigner_digest = sha256\naccuracy = secs:1\ness_cert_id_alg = sha256\n' +
      'tsa_name = yes\nordering = yes\n',
  );
  return {
    anchors,
    stamp: () => async (hash, digest) => {
      writeFileSync(place('query'), timestampRequest({ hash, digest, nonce: randomBytes(16) }));
      await run('openssl', [
        ...['ts', '-reply', '-queryfile', place('query'), '-out', place('reply')],
        ...[
          '-config',
          place('tsa.cnf'),
          '-section',
          'tsa',
          '-signer',
          place('tsa.pem'),
          '-inkey',
          place('tsa.key'),
        ],
      ]);
      const answer = readTimestampResponse(readFileSync(place('reply')));
      if (!answer.ok) throw new Error(answer.reason);
      const issued = new Date(Date.now() + DAY).toISOString();
      const next = new Date(Date.now() + 10 * DAY).toISOString();
      return embedCrls(answer.token, [makeCrl(root, { issued, next })]);
    },
  };
}

function pem({ der }: Identity): string {
  return `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`;
}

type Renewal = 'token' | IntegrityHash;

interface Case {
  readonly name: string;
  readonly record: EvidenceRecord;
  readonly documents: readonly Buffer[];
  readonly authority: Authority;
  readonly time: Date;
}

/** A record sealed at the start and renewed every two hundred days. */
async function play(
  name: string,
  authority: Authority,
  count: number,
  digest: IntegrityHash,
  renewals: readonly Renewal[],
): Promise<Case> {
  const documents = Array.from({ length: count }, (_, index) => Buffer.from(`document ${index} of ${name}`));
  const at = (index: number) => new Date(START + index * 200 * DAY);
  let record = await sealDocuments(documents, digest, authority.stamp(at(0), at(1)));
  for (const [index, renewal] of renewals.entries()) {
    const stamp = authority.stamp(at(index + 1), at(index + 2));
    record =
      renewal === 'token'
        ? await renewTokenOf(record, stamp)
        : await renewTreeOf(record, documents, renewal, stamp);
  }
  return { name, record, documents, authority, time: at(renewals.length + 1) };
}

async function ours({ record, documents, authority, time }: Case): Promise<RecordReport> {
  return await verifyEvidenceRecord({
    record: printEvidenceRecord(record),
    objects: documents.map((bytes, index) => ({
      name: `document ${index}`,
      digest: async (hash) => createHash(hash).update(bytes).digest(),
    })),
    time,
    policy,
    verifyToken: timestampVerifier({
      trust: await readTrustFiles([authority.anchors]),
      revocation: revocationMemory([]),
    }),
  });
}

/** What Bouncy Castle says of each case, by one run. */
async function theirs(cases: readonly Case[]): Promise<Map<string, string>> {
  const lines = cases.map(({ name, record, documents, authority }, index) => {
    const files = [printEvidenceRecord(record), ...documents].map((bytes, part) => {
      const file = join(directory, `case-${index}-${part}`);
      writeFileSync(file, bytes);
      return file;
    });
    return { name, line: [files[0], authority.anchors, ...files.slice(1)].join('\t'), file: files[0]! };
  });
  const input = join(directory, 'cases');
  writeFileSync(input, lines.map(({ line }) => `${line}\n`).join(''));
  const { stdout } = await run('java', ['-cp', jars, walker, input], { maxBuffer: 1 << 24 });
  const verdicts = new Map(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split('\t') as [string, string]),
  );
  return new Map(lines.map(({ name, file }) => [name, verdicts.get(file) ?? 'no answer']));
}

const plans: [string, 'p256' | 'rsa' | 'brainpoolP256r1' | 'openssl', number, IntegrityHash, Renewal[]][] = [
  ['one document', 'p256', 1, 'sha256', []],
  ['a group', 'rsa', 3, 'sha384', []],
  ['a group, brainpool', 'brainpoolP256r1', 3, 'sha512', []],
  ['one document, token', 'rsa', 1, 'sha384', ['token']],
  ['a group, token', 'p256', 3, 'sha256', ['token']],
  ['a group, tree', 'rsa', 3, 'sha256', ['sha512']],
  ['token, token', 'p256', 3, 'sha512', ['token', 'token']],
  ['token, tree', 'brainpoolP256r1', 3, 'sha256', ['token', 'sha384']],
  ['tree, token', 'p256', 3, 'sha256', ['sha384', 'token']],
  ['tree, tree', 'rsa', 2, 'sha256', ['sha384', 'sha512']],
  ['token, token, token', 'p256', 2, 'sha256', ['token', 'token', 'token']],
  ['token, tree, token', 'rsa', 4, 'sha256', ['token', 'sha512', 'token']],
  ['tree, token, tree', 'p256', 1, 'sha256', ['sha384', 'token', 'sha512']],
  ['tree, tree, tree', 'brainpoolP256r1', 3, 'sha256', ['sha384', 'sha512', 'sha256']],
  ['openssl ts: token, tree, token', 'openssl', 3, 'sha256', ['token', 'sha512', 'token']],
];

let cases: readonly Case[] = [];
let spoilt: readonly Case[] = [];
let answers: ReadonlyMap<string, string> = new Map();

beforeAll(async () => {
  const authorities = {
    p256: await simulated('p256', 'sha256'),
    rsa: await simulated('rsa', 'sha384'),
    brainpoolP256r1: await simulated('brainpoolP256r1', 'sha512'),
    openssl: await byOpenssl(),
  };
  const played: Case[] = [];
  for (const [name, by, count, digest, renewals] of plans) {
    const made = await play(name, authorities[by], count, digest, renewals);
    played.push(by === 'openssl' ? { ...made, time: new Date(Date.now() + 2 * DAY) } : made);
  }
  cases = played;
  const whole = cases.find(({ name }) => name === 'token, tree, token')!;
  const other = cases.find(({ name }) => name === 'tree, tree')!;
  const stranger = await play('a stranger', authorities.p256, 4, 'sha256', []);
  spoilt = [
    {
      ...whole,
      name: 'a changed document',
      documents: [Buffer.from('changed'), ...whole.documents.slice(1)],
    },
    { ...whole, name: 'a missing document', documents: whole.documents.slice(1) },
    { ...whole, name: 'a document too many', documents: [...whole.documents, Buffer.from('more')] },
    { ...stranger, name: 'a stranger’s anchor', authority: authorities.rsa },
    change(whole, 'a sibling changed', 0, 0, ({ reducedHashTree }) => ({
      reducedHashTree: [reducedHashTree![0]!, [Buffer.alloc(32, 1)], ...reducedHashTree!.slice(2)],
    })),
    change(whole, 'a newest sibling changed', 1, 1, ({ reducedHashTree }) => ({
      reducedHashTree: [reducedHashTree![0]!, [Buffer.alloc(64, 1)], ...reducedHashTree!.slice(2)],
    })),
    change(whole, 'the first token exchanged', 0, 0, () => ({
      timeStamp: other.record.chains[0]![0]!.timeStamp,
    })),
    change(whole, 'the newest token exchanged', 1, 1, () => ({
      timeStamp: other.record.chains[1]![0]!.timeStamp,
    })),
    change(whole, 'the list in a covered token exchanged', 0, 1, ({ timeStamp }) => ({
      timeStamp: embedCrls(timeStamp, []),
    })),
    change(whole, 'the newest token’s signature spoilt', 1, 1, ({ timeStamp }) => ({
      timeStamp: spoiltSignature(timeStamp),
    })),
    await forgedBelow(authorities.p256),
    { ...whole, name: 'an archive time-stamp left out', record: without(whole.record, 0, 1) },
    { ...whole, name: 'a chain left out', record: { ...whole.record, chains: whole.record.chains.slice(1) } },
  ];
  answers = await theirs([...cases, ...spoilt]);
});

function change(
  made: Case,
  name: string,
  chain: number,
  place: number,
  by: (stamp: ArchiveTimeStamp) => Partial<ArchiveTimeStamp>,
): Case {
  const chains = made.record.chains.map((each, i) =>
    each.map((stamp, j) => (i === chain && j === place ? { ...stamp, ...by(stamp) } : stamp)),
  );
  return { ...made, name, record: { ...made.record, chains } };
}

function without(record: EvidenceRecord, chain: number, place: number): EvidenceRecord {
  const chains = record.chains.map((each, i) => (i === chain ? each.filter((_, j) => j !== place) : each));
  return { ...record, chains };
}

/** The last octet of a token without unsigned attributes is the signature's. */
function spoiltSignature(token: Buffer): Buffer {
  const changed = Buffer.from(token);
  changed[changed.length - 1]! ^= 1;
  return changed;
}

/** A token that was spoilt before a good renewal covered it: validate() of the newest token alone does not see it. */
async function forgedBelow(authority: Authority): Promise<Case> {
  const spoil = {
    ...authority,
    stamp: (time: Date, coveredAt: Date) => spoiling(authority, time, coveredAt),
  };
  return await play('an old signature broken under a good renewal', spoil, 2, 'sha256', ['token']);
}

function spoiling(authority: Authority, time: Date, coveredAt: Date): Stamp {
  const isFirst = time.getTime() === START;
  return async (digest, value) => {
    const token = await authority.stamp(time, coveredAt)(digest, value);
    return isFirst ? spoiltSignature(token) : token;
  };
}

describe('records that hold', () => {
  it.each(plans.map(([name]) => name))('%s', async (name) => {
    const made = cases.find((each) => each.name === name)!;
    const tokens = made.record.chains.flat().length;
    const report = await ours(made);
    expect(report.checks.filter(({ result }) => result !== 'passed')).toEqual([]);
    expect(answers.get(name)).toBe(`valid ${tokens}`);
  });

  it.each(plans.map(([name]) => name))('%s: each token by openssl ts and openssl cms', async (name) => {
    const { record, authority } = cases.find((each) => each.name === name)!;
    for (const { timeStamp } of record.chains.flat()) {
      expect(derToken(timeStamp).equals(timeStamp)).toBe(true);
      const read = readTimestampToken(timeStamp);
      if (!read.ok) throw new Error(read.reason);
      const { genTime, imprint } = read.token;
      const file = join(directory, 'token');
      writeFileSync(file, timeStamp);
      const at = ['-attime', String(Math.floor(genTime.getTime() / 1000)), '-CAfile', authority.anchors];
      const digest = ['-digest', imprint.digest.toString('hex')];
      const verified = await run('openssl', ['ts', '-verify', '-in', file, '-token_in', ...digest, ...at]);
      expect(verified.stdout).toContain('Verification: OK');
      const out = join(directory, 'content');
      const cms = ['cms', '-verify', '-inform', 'DER', '-in', file, '-purpose', 'timestampsign', '-out', out];
      expect((await run('openssl', [...cms, ...at])).stderr).toContain('successful');
    }
  });
});

describe('records that do not are refused by both, for the same reason', () => {
  it.each<[string, string, RegExp]>([
    ['a changed document', 'record-object-differs', /object hash not found/],
    ['a missing document', 'record-object-missing', /object hash not found/],
    ['a document too many', 'record-object-differs', /object hash not found/],
    ['a stranger’s anchor', 'chain-no-anchor', /Unable to find certificate chain|No issuer certificate/],
    ['a sibling changed', 'record-hash-tree-failed', /hash does not match root/],
    ['a newest sibling changed', 'record-hash-tree-failed', /not match root|invalid timestamp renewal/],
    ['the first token exchanged', 'record-link-failed', /hash does not match root/],
    ['the newest token exchanged', 'record-tree-digest', /not match root|invalid timestamp renewal/],
    ['the list in a covered token exchanged', 'record-object-differs', /list|CRL|hash not found/i],
    ['the newest token’s signature spoilt', 'cms-signature-failed', /signature not created by certificate/],
    [
      'an old signature broken under a good renewal',
      'cms-signature-failed',
      /signature not created by certificate/,
    ],
    ['an archive time-stamp left out', 'record-object-differs', /object hash not found/],
    ['a chain left out', 'record-object-differs', /object hash not found/],
  ])('%s', async (name, code, reason) => {
    const report = await ours(spoilt.find((each) => each.name === name)!);
    expect(report.verdict).toBe(name === 'a stranger’s anchor' ? 'indeterminate' : 'invalid');
    expect(report.checks.filter(({ result }) => result !== 'passed').map((each) => each.code)).toContain(
      code,
    );
    expect(answers.get(name)).toMatch(reason);
    expect(answers.get(name)).toMatch(/^invalid /);
  });
});
