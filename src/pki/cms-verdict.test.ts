import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { verifyCms } from './cms.ts';
import { judgeCms } from './cms-verdict.ts';
import { revocationMemory } from './revocation-sources.ts';
import type { Circumstances } from './signer.ts';
import { signCms } from './testing/sign-cms.ts';
import { issue, makeCrl } from './testing/test-pki.ts';

const content = Buffer.from('Content-Type: text/plain\r\n\r\nGuten Tag\r\n');
const root = issue('Root', { authority: true });
const middle = issue('Middle', { issuer: root, authority: true });
const signer = issue('Erika', { issuer: middle });
const signedAt = '2026-06-01T12:00:00Z';
const fresh = { issued: '2026-06-03T00:00:00Z', next: '2026-06-10T00:00:00Z' };
const lists = [makeCrl(root, fresh), makeCrl(middle, fresh)];
const circumstances: Circumstances = {
  trust: { anchorsAt: () => [root.der], intermediates: [] },
  revocation: revocationMemory(lists.map((der) => ({ kind: 'crl', der }))),
  time: new Date('2026-06-02T00:00:00Z'),
};
const nothing = revocationMemory([]);

async function judge(cms: Buffer, changed: Partial<Circumstances> = {}, over = content) {
  const report = await verifyCms({
    cms,
    contentDigest: async (hash) => createHash(hash).update(over).digest(),
  });
  const { verdict, checks, material } = await judgeCms(report, { ...circumstances, ...changed });
  const doubts = checks.filter(({ result }) => result !== 'passed').map(({ code }) => code);
  return { verdict, doubts, kinds: material.map(({ kind }) => kind) };
}

describe('a signer in CMS', () => {
  const good = signCms(content, signer, { signedAt, others: [middle] });

  it('is valid with a path to an anchor and fresh lists; what that rests on is kept', async () => {
    expect(await judge(good)).toEqual({
      verdict: 'valid',
      doubts: [],
      kinds: ['certificate', 'certificate', 'certificate', 'crl', 'crl'],
    });
  });

  it('is valid by the lists that it brings along, which are verified like any other', async () => {
    const own = signCms(content, signer, { signedAt, others: [middle], crls: lists });
    expect(await judge(own, { revocation: nothing })).toMatchObject({ verdict: 'valid' });
    const stranger = issue('Middle', { issuer: root, authority: true });
    const forged = [lists[0]!, makeCrl(stranger, fresh)];
    const other = signCms(content, signer, { signedAt, others: [middle], crls: forged });
    expect((await judge(other, { revocation: nothing })).verdict).not.toBe('valid');
  });

  it('that is revoked is invalid, though the message brings an older list', async () => {
    const revoked = makeCrl(middle, {
      ...fresh,
      revoked: [{ certificate: signer.der, at: '2026-05-01T00:00:00Z' }],
    });
    const own = signCms(content, signer, { signedAt, others: [middle], crls: lists });
    const revocation = revocationMemory([lists[0]!, revoked].map((der) => ({ kind: 'crl', der })));
    expect(await judge(own, { revocation })).toMatchObject({ verdict: 'invalid' });
  });

  it.each<[string, Partial<Circumstances>, string]>([
    ['without an anchor', { trust: { anchorsAt: () => [], intermediates: [] } }, 'chain-no-anchor'],
    ['without revocation data', { revocation: nothing }, 'revocation-undecided'],
  ])('%s is undecided, never valid', async (_, changed) => {
    expect((await judge(good, changed)).verdict).toBe('indeterminate');
  });

  it('that claims no time is undecided, one that claims a time after the judgement too', async () => {
    const timeless = signCms(content, signer, { signedAt: null, others: [middle] });
    expect((await judge(timeless)).doubts).toContain('signing-time-undecided');
    const ahead = signCms(content, signer, { signedAt: '2026-06-04T00:00:00Z', others: [middle] });
    expect((await judge(ahead)).doubts).toContain('signing-time-ahead');
  });

  it('with a certificate for servers is invalid', async () => {
    const server = issue('www', { issuer: middle, purposes: ['1.3.6.1.5.5.7.3.1'] });
    const cms = signCms(content, server, { signedAt, others: [middle] });
    expect((await judge(cms)).doubts).toContain('certificate-purpose');
  });

  it('over other content is invalid, however good the certificate', async () => {
    expect((await judge(good, {}, Buffer.from('Guten Abend'))).doubts).toEqual(['cms-content-failed']);
  });

  it('that is no CMS is invalid', async () => {
    expect(await judge(Buffer.from('junk'))).toMatchObject({ verdict: 'invalid', kinds: [] });
  });
});
