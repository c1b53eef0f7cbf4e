/** Signatures of senders by a tenant's anchors and revocation data, over a real store. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TenantConfig } from '../config/schema.ts';
import { createIndexer } from '../mime/structure.ts';
import { signCms } from '../pki/testing/sign-cms.ts';
import { issue, makeCrl } from '../pki/testing/test-pki.ts';
import { testDirectory } from '../provider/testing/tenants.ts';
import { openSqliteStore } from '../store/sqlite/open.ts';
import type { StagedMessage, Store } from '../store/store.ts';
import { inspectSignatures } from './sender-signatures.ts';

const root = issue('Root', { authority: true });
const signer = issue('Erika', { issuer: root });
const content = 'Content-Type: text/plain\r\n\r\nGuten Tag\r\n';
const time = new Date('2026-06-02T00:00:00Z');
let folder: string;
let store: Store;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'signatures-'));
  store = await openSqliteStore({ directory: folder, originPrefix: 'gateway.example' });
  await store.openTenant('stadt');
  await mkdir(join(folder, 'crl'));
  await writeFile(join(folder, 'root.der'), root.der);
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

function tenant(anchors: readonly string[]): TenantConfig {
  return testDirectory({
    stadt: { senderSignatures: { anchors: anchors.map((name) => join(folder, name)) } },
    provider: { stadt: { revocation: { folder: join(folder, 'crl') } } },
  }).tenant('stadt')!;
}

async function stage(text: string): Promise<StagedMessage> {
  const writer = store.stage('stadt');
  const indexer = createIndexer();
  indexer.push(Buffer.from(text));
  await writer.write(Buffer.from(text));
  return { object: await writer.finish(), index: indexer.finish() };
}

function signed(over = content): string {
  const cms = signCms(Buffer.from(content), signer, { signedAt: '2026-06-01T12:00:00Z' });
  const part = `Content-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\n${cms.toString('base64')}`;
  return `Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n${over}\r\n--b\r\n${part}\r\n--b--\r\n`;
}

async function inspect(text: string, anchors: readonly string[]) {
  return await inspectSignatures({ store, dataDir: folder }, tenant(anchors), await stage(text), time);
}

describe('S/MIME', () => {
  it('is valid by a configured anchor and a list in the folder, with all that it rests on', async () => {
    const list = makeCrl(root, { issued: '2026-06-03T00:00:00Z', next: '2026-06-10T00:00:00Z' });
    await writeFile(join(folder, 'crl', 'root.crl'), list);
    const { signatures, material } = await inspect(signed(), ['root.der']);
    expect(signatures).toMatchObject([
      { kind: 'smime-signed', signer: 'CN=Erika', verdict: 'valid', signedAt: '2026-06-01T12:00:00.000Z' },
    ]);
    expect(signatures[0]!.object!.sha256).toBe(signatures[0]!.sha256);
    expect(material.map(({ kind }) => kind)).toEqual(['certificate', 'certificate', 'crl']);
  });

  it('is invalid over other content, undecided without lists, without anchors, with anchors that are gone', async () => {
    const verdict = async (text: string, anchors: readonly string[]) =>
      (await inspect(text, anchors)).signatures.map((signature) => signature.verdict);
    expect(await verdict(signed(content.replace('Tag', 'Abend')), ['root.der'])).toEqual(['invalid']);
    expect(await verdict(signed(), ['root.der'])).toEqual(['indeterminate']);
    expect(await verdict(signed(), [])).toEqual(['indeterminate']);
    expect(await verdict(signed(), ['absent.der'])).toEqual(['indeterminate']);
  });
});

it('mail without a part that could hold a signature is not read', async () => {
  const message = await stage(content);
  const nothing = { ...store, openStaged: () => Promise.reject(new Error('read')) as never };
  expect(
    (await inspectSignatures({ store: nothing, dataDir: folder }, tenant([]), message, time)).signatures,
  ).toEqual([]);
});
