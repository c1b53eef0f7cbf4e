/** Every answer that c2sp.org/tlog-witness knows, over HTTP, and what the witness remembers after each. */
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { signCheckpoint } from '../evidence/checkpoint.ts';
import { cosignaturesOf } from '../evidence/cosignature.ts';
import {
  appendLeaves,
  consistencyProof,
  EMPTY_ROOT,
  edgeRoot,
  emptyEdge,
  leafHash,
} from '../evidence/merkle.ts';
import {
  createNoteSigner,
  parseNote,
  parseSignatures,
  parseVerifierKey,
  verifierKey,
} from '../evidence/note.ts';
import { formatAddCheckpoint } from '../evidence/witness-request.ts';
import { silentLog } from '../observe/log.ts';
import { type RunningWitness, startWitness } from './witness.ts';
import { originHash } from './witness-state.ts';

const origin = 'district.example/stadt';
const { privateKey } = generateKeyPairSync('ed25519');
const signer = createNoteSigner(origin, privateKey);
const stranger = createNoteSigner(origin, generateKeyPairSync('ed25519').privateKey);
let directory: string;
let witness: RunningWitness;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'witness-'));
  const config = {
    name: 'neighbour.example/witness',
    directory,
    listen: { address: '127.0.0.1', port: 0 },
    logs: [{ origin, keys: [verifierKey(origin, createPublicKey(privateKey))] }],
  };
  witness = await startWitness(config, silentLog());
});
afterAll(async () => {
  await witness[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

/** The log as it is, and one that differs in its third entry. */
function logOf(size: number, fork = '') {
  const leaves = Array.from({ length: size }, (_, i) =>
    leafHash(Buffer.from(i < 2 ? `${i}` : `${i}${fork}`)),
  );
  const { edge, changed } = appendLeaves(emptyEdge(), leaves);
  const read = (level: number, n: number) => changed.find((t) => t.level === level && t.n === n)!.hashes;
  return { size, root: edgeRoot(edge), proof: (from: number) => consistencyProof(from, size, read) };
}
const note = (of: { size: number; root: Buffer }, by = signer, name = origin) =>
  signCheckpoint({ origin: name, size: of.size, root: of.root }, by);
const request = (
  oldSize: number,
  of: ReturnType<typeof logOf>,
  checkpoint = note(of),
  proof = of.proof(oldSize),
) => formatAddCheckpoint({ oldSize, proof, checkpoint });

const [three, five, forked] = [logOf(3), logOf(5), logOf(6, 'x')];
const empty = { size: 0, root: EMPTY_ROOT };
const broken = note(three).replace(/(stadt \S{20})(.)/, (_, a, b) => a + (b === 'A' ? 'B' : 'A'));
const LONG = 150_000;

async function post(body: string) {
  const response = await fetch(`http://127.0.0.1:${witness.port}/add-checkpoint`, { method: 'POST', body });
  return { status: response.status, type: response.headers.get('content-type'), body: await response.text() };
}
const seen = (name = origin) => fetch(`http://127.0.0.1:${witness.port}/${originHash(name)}/checkpoint`);

/** In this order; the size that it has seen afterwards. */
it.each<[string, string, number, number]>([
  ['no request', 'nonsense', 400, 0],
  ['a size that is none', request(0, three).replace('old 0', 'old 00'), 400, 0],
  ['a proof that is no hash', `old 0\nAAAA\n\n${note(three)}`, 400, 0],
  [
    'more than 63 hashes',
    `old 0\n${`${three.root.toString('base64')}\n`.repeat(64)}\n${note(three)}`,
    400,
    0,
  ],
  ['no checkpoint', 'old 0\n\nno note', 400, 0],
  [
    'an old size above its checkpoint',
    formatAddCheckpoint({ oldSize: 4, proof: [], checkpoint: note(three) }),
    400,
    0,
  ],
  [
    'an unknown origin',
    formatAddCheckpoint({ oldSize: 0, proof: [], checkpoint: note(three, signer, 'other.example/x') }),
    404,
    0,
  ],
  ['no signature of a known key', request(0, three, note(three, stranger)), 403, 0],
  ['a signature that does not verify', request(0, three, broken), 403, 0],
  ['more than it reads', `old 0\n\n${'x'.repeat(LONG)}`, 413, 0],
  ['a size that it has not seen', request(2, three), 409, 0],
  [
    'an empty tree of another root',
    formatAddCheckpoint({ oldSize: 0, proof: [], checkpoint: note({ ...empty, root: three.root }) }),
    422,
    0,
  ],
  ['a proof where none belongs', request(0, three, note(three), [three.root]), 422, 0],
  ['the first checkpoint', request(0, three), 200, 3],
  ['the same again', request(3, three), 200, 3],
  ['the same size with another root', request(3, logOf(3, 'x')), 422, 3],
  ['a size that it has passed', request(0, five), 409, 3],
  ['growth without a proof', request(3, five, note(five), []), 422, 3],
  ['growth', request(3, five), 200, 5],
  ['a rollback', request(3, three), 409, 5],
  ['a fork, proven from its own past', request(5, forked), 422, 5],
])('answers to %s', async (_, body, status, size) => {
  const before = await seen();
  const known = before.status === 200 ? Number((await before.text()).split('\n')[1]) : 0;
  const answer = await post(body);
  expect(answer.status, answer.body).toBe(status);
  if (status === 409) expect(answer).toMatchObject({ type: 'text/x.tlog.size', body: `${known}\n` });
  if (status === 200) {
    const { text } = parseNote(body.slice(body.indexOf('\n\n') + 2));
    const [cosignature] = cosignaturesOf(text, parseSignatures(answer.body), [parseVerifierKey(witness.key)]);
    expect(cosignature).toMatchObject({ witness: 'neighbour.example/witness' });
  }
  const after = await seen();
  expect(after.status).toBe(size === 0 ? 404 : 200);
  if (size > 0) {
    const kept = await after.text();
    expect(kept.split('\n')[1]).toBe(String(size));
    // What it shows carries the log's own signature: a log cannot deny it.
    expect(kept).toContain(signer.sign(parseNote(kept).text));
  }
});

it('knows nothing else', async () => {
  const at = (path: string, method: string) =>
    fetch(`http://127.0.0.1:${witness.port}${path}`, { method }).then(({ status }) => status);
  expect(await at('/add-checkpoint', 'GET')).toBe(405);
  expect(await at(`/${originHash(origin)}/checkpoint`, 'POST')).toBe(405);
  expect(await at('/witness.key', 'GET')).toBe(404);
  expect((await seen('other.example/x')).status).toBe(404);
  expect((await readdir(directory)).filter((name) => name.endsWith('.checkpoint'))).toHaveLength(1);
});
