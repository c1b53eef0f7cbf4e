/** Real and broken mails on their way out: the provider gets them with the edits that evidence names, and no others. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Entry, HandoverIntentEntry } from '../../src/evidence/entry.ts';
import { headerEnd, parseHeader } from '../../src/mime/header.ts';
import { createAuthority } from '../../src/pki/authority.ts';
import { type SubmissionPeer, startSubmissionPeer } from '../../src/provider/testing/submission-peer.ts';
import { max, openWorld, sha256 } from '../flow/provider-world.ts';

let folder: string;
let peer: SubmissionPeer;

beforeAll(async () => {
  const authority = await createAuthority({ name: 'Provider CA' });
  folder = await mkdtemp(join(tmpdir(), 'provider-corpus-'));
  await writeFile(join(folder, 'ca.pem'), authority.certificate);
  peer = await startSubmissionPeer({ authority });
});
afterAll(async () => {
  await peer[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** What the listener demands: CRLF everywhere, the last line end included. */
function canonical(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1').replace(/\r\n|\r|\n/g, '\r\n');
  return Buffer.from(text.endsWith('\r\n') ? text : `${text}\r\n`, 'latin1');
}

it('every mail of the corpus is handed over with the documented edits alone, or given up with a reason', async () => {
  const corpus = process.env.DEMAIL_CORPUS ?? '../shared/corpus';
  const files = (await readdir(corpus, { recursive: true })).filter((name) => /\.(eml|txt|msg)$/i.test(name));
  expect(files.length).toBeGreaterThan(50);
  const smtp = { host: 'localhost', port: peer.port };
  const provider = { stadt: { account: 'stadt', smtp, trustAnchors: [join(folder, 'ca.pem')] } };
  await using world = await openWorld({ provider });
  const letters = new Map<number, Buffer>();
  for (const file of files) {
    const bytes = canonical(await readFile(join(corpus, file)));
    letters.set(await world.submit({ bytes, rcpt: [max] }), bytes);
  }
  await world.startLink();
  await world.until(async () => (await world.store.openTransactions('stadt')).length === 0);

  let handed = 0;
  for (const [letter, bytes] of letters) {
    const timeline = await world.store.timeline('stadt', letter);
    const intent = timeline.find((e): e is Entry & HandoverIntentEntry => e.kind === 'handover-intent');
    if (intent === undefined) {
      const settled = timeline.find((e) => e.kind === 'handover-settled');
      expect(settled).toMatchObject({
        decision: 'abandoned',
        by: 'policy',
        reason: expect.stringMatching(/^5\d\d /),
      });
      continue;
    }
    handed += 1;
    const got = peer.received.find((r) => r.sha256 === intent.handed.sha256);
    expect(got, `letter ${letter}`).toBeDefined();
    // The body is the submitted one, byte for byte.
    const end = headerEnd(bytes);
    expect(intent.handed.bodyFrom).toBe(end);
    expect(sha256(got!.bytes.subarray(headerEnd(got!.bytes)))).toBe(sha256(bytes.subarray(end)));
    // Every field is there as it was, unless an edit says otherwise, and nothing is new without an edit.
    const before = parseHeader(bytes).map((f) => ({
      name: f.name,
      raw: f.raw.toString('latin1'),
      value: f.value,
    }));
    const after = parseHeader(got!.bytes).map((f) => ({
      name: f.name,
      raw: f.raw.toString('latin1'),
      value: f.value,
    }));
    const { edits } = intent;
    const added = edits.filter((e) => e.op === 'add');
    expect(after.slice(0, added.length).map((f) => f.name)).toEqual(added.map((e) => e.name));
    const kept = after.slice(added.length);
    let at = 0;
    for (const field of before) {
      const edit = edits.find((e) => e.op !== 'add' && e.name === field.name && e.before === field.value);
      if (edit?.op === 'remove') continue;
      if (edit === undefined) expect(kept[at]!.raw).toBe(field.raw);
      else expect(kept[at]!.value).toBe(edit.after);
      at += 1;
    }
    expect(kept.length).toBe(at);
  }
  expect(handed).toBeGreaterThan(50);
}, 120_000);
