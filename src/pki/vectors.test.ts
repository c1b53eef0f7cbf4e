import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readRevocationFolder, readTrustFolder, revocationMemory } from './revocation-sources.ts';
import type { Circumstances } from './signer.ts';
import { verifyDeMail } from './verify-demail.ts';

const vectors = new URL('../../test/vectors/', import.meta.url);
const expected = JSON.parse(readFileSync(new URL('expect.json', vectors), 'utf8')) as Record<string, string>;
const directory = (name: string) => fileURLToPath(new URL(name, vectors));
const message = (name: string) => readFileSync(new URL(`cases/${name}.eml`, vectors));
const time = new Date('2026-11-24T09:00:00Z');

async function circumstances(changed: Partial<Circumstances> = {}): Promise<Circumstances> {
  const trust = await readTrustFolder(directory('trust'));
  const revocation = revocationMemory(await readRevocationFolder(directory('crl')));
  return { trust, revocation, time, ...changed };
}

describe('the vectors', () => {
  it.each(Object.entries(expected))('%s is %s', async (name, verdict) => {
    const report = await verifyDeMail([message(name)], await circumstances());
    expect(report, JSON.stringify(report.checks, null, 1)).toMatchObject({ verdict });
  });

  it.each(Object.entries(expected))('%s is %s byte by byte, too', async (name, verdict) => {
    const bytes = message(name);
    const cut = Array.from({ length: Math.ceil(bytes.length / 7) }, (_, i) =>
      bytes.subarray(i * 7, i * 7 + 7),
    );
    expect(await verifyDeMail(cut, await circumstances())).toMatchObject({ verdict });
  });

  it('name what failed', async () => {
    const codes = async (name: string) =>
      (await verifyDeMail([message(name)], await circumstances())).checks
        .filter(({ result }) => result !== 'passed')
        .map(({ code }) => code);
    expect(await codes('bad-body')).toEqual(['body-hash-differs']);
    expect(await codes('bad-duplicate-subject-on-top')).toEqual(['signature-broken']);
    expect(await codes('confirm-bad-xml-time')).toEqual(['xml-signature-broken']);
  });

  it('are undecided where something is missing, and never valid then', async () => {
    const bytes = message('signed-rsa-sha256');
    const noAnchor = { anchorsAt: () => [], intermediates: [] };
    expect(await verifyDeMail([bytes], await circumstances({ trust: noAnchor }))).toMatchObject({
      verdict: 'indeterminate',
      integrity: 'signed',
    });
    const noData = await verifyDeMail([bytes], await circumstances({ revocation: revocationMemory([]) }));
    expect(noData.verdict).toBe('indeterminate');
    expect(noData.checks.find(({ name }) => name === 'revocation')?.code).toBe('revocation-unknown');
    const before = await verifyDeMail([bytes], await circumstances({ time: new Date('2026-01-01') }));
    expect(before.verdict).toBe('indeterminate');
  });

  it('can be judged again from the material of their verdict alone', async () => {
    const first = await verifyDeMail([message('confirm-header-pss-xml-rsa')], await circumstances());
    expect(first.material.map(({ kind }) => kind).sort()).toEqual([
      'certificate',
      'certificate',
      'certificate',
      'crl',
    ]);
    const certificates = first.material.filter(({ kind }) => kind === 'certificate').map(({ der }) => der);
    const lists = first.material.filter(({ kind }) => kind === 'crl').map(({ der }) => der);
    const again = await verifyDeMail([message('confirm-header-pss-xml-rsa')], {
      trust: { anchorsAt: () => certificates.slice(1, 2), intermediates: certificates },
      revocation: revocationMemory(lists.map((der) => ({ kind: 'crl' as const, der }))),
      time,
    });
    expect(again).toEqual(first);
  });

  it('says so where a message without signature had to have one', async () => {
    const text = message('hash-sha256').toString('latin1');
    const authoritative = text.replace('X-de-mail-authoritative: no', 'X-de-mail-authoritative: yes');
    const report = await verifyDeMail([Buffer.from(authoritative, 'latin1')], await circumstances());
    expect(report).toMatchObject({ verdict: 'invalid', integrity: 'hash-only' });
    expect(report.checks.find(({ name }) => name === 'signing-duty')?.result).toBe('failed');
  });

  it('without any integrity header are undecided', async () => {
    const report = await verifyDeMail([Buffer.from('Subject: x\r\n\r\ny\r\n')], await circumstances());
    expect(report).toMatchObject({ verdict: 'indeterminate', integrity: 'absent', signedBytes: null });
  });
});
