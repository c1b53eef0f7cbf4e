import { createHash } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { revocationMemory } from './revocation-sources.ts';
import type { Circumstances } from './signer.ts';
import { issue, makeCrl, newKey, sealMessage } from './testing/test-pki.ts';
import { UnusableInput, verifyDeMail, verifyXmlFile } from './verify-demail.ts';

/** More by hand: FUZZ_RUNS=50000. */
const numRuns = Number(process.env.FUZZ_RUNS ?? 800);

const root = issue('Root', { authority: true });
const list = makeCrl(root, { issued: '2026-06-03T00:00:00Z', next: '2026-06-10T00:00:00Z' });
const circumstances: Circumstances = {
  trust: { anchorsAt: () => [root.der], intermediates: [] },
  revocation: revocationMemory([{ kind: 'crl', der: list }]),
  time: new Date('2026-06-02T00:00:00Z'),
};
const fields = [
  'From: a@x.de-mail.example',
  'Date: Mon, 1 Jun 2026 12:00:00 +0000',
  'Subject: =?utf-8?Q?Gru=C3=9F?=\r\n und noch etwas',
  'X-de-mail-authoritative: yes',
  'X-de-mail-message-type: normal',
];
const body = 'Guten Tag\r\n\r\n\r\n';

async function judge(message: Buffer, changed: Partial<Circumstances> = {}) {
  const report = await verifyDeMail([message], { ...circumstances, ...changed });
  const doubts = report.checks.filter(({ result }) => result !== 'passed').map(({ code }) => code);
  return { ...report, doubts };
}

const signer = issue('Signer', { issuer: root });

describe('a signed message', () => {
  it.each([
    ['p256', 'ec-dsa', 'sha256'],
    ['p256', 'ec-dsa', 'sha512'],
    ['brainpoolP256r1', 'ec-dsa', 'sha256'],
    ['brainpoolP384r1', 'ec-dsa', 'sha384'],
    ['brainpoolP512r1', 'ec-dsa', 'sha512'],
    ['rsa', 'rsa', 'sha256'],
    ['rsa', 'rsa', 'sha512'],
    ['rsa', 'rsassa-pss', 'sha384'],
    ['rsa-pss', 'rsassa-pss', 'sha256'],
  ] as const)('by a key of kind %s with %s and %s is valid', async (kind, scheme, hash) => {
    const by = issue('Signer', { issuer: root, key: newKey(kind) });
    expect(await judge(sealMessage(fields, body, by, { scheme, hash }))).toMatchObject({
      verdict: 'valid',
      integrity: 'signed',
      doubts: [],
      signedAt: '2026-06-01T12:00:00.000Z',
      signer: { subject: 'CN=Signer', issuer: 'CN=Root' },
    });
  });

  it('is valid with any salt, and with r||s in the place of DER', async () => {
    const rsa = issue('Signer', { issuer: root, key: newKey('rsa') });
    for (const saltLength of [0, 20, 32, 64]) {
      const message = sealMessage(fields, body, rsa, { scheme: 'rsassa-pss', saltLength });
      expect(await judge(message), `salt of ${saltLength}`).toMatchObject({ verdict: 'valid' });
    }
    expect(await judge(sealMessage(fields, body, signer, { form: 'ieee-p1363' }))).toMatchObject({
      verdict: 'valid',
    });
  });

  it('is invalid under an algorithm that is not the one of its key', async () => {
    const rsa = issue('Signer', { issuer: root, key: newKey('rsa') });
    const pkcs1 = sealMessage(fields, body, rsa, { scheme: 'rsa' }).toString('latin1');
    for (const claimed of ['ec-dsa', 'rsassa-pss']) {
      const message = Buffer.from(pkcs1.replace('a=sha256/rsa;', `a=sha256/${claimed};`), 'latin1');
      expect(await judge(message)).toMatchObject({ verdict: 'invalid', doubts: ['signature-broken'] });
    }
  });

  it('with the certificate of another is invalid, and with none undecided', async () => {
    const message = sealMessage(fields, body, signer).toString('latin1');
    const other = issue('Other', { issuer: root }).der.toString('base64');
    const header = /X-de-mail-signature-certificate: (\S+)\r\n/;
    const replaced = Buffer.from(
      message.replace(header, `X-de-mail-signature-certificate: ${other}\r\n`),
      'latin1',
    );
    expect(await judge(replaced)).toMatchObject({ verdict: 'invalid', doubts: ['signature-broken'] });
    const removed = Buffer.from(message.replace(header, ''), 'latin1');
    expect(await judge(removed)).toMatchObject({
      verdict: 'indeterminate',
      doubts: ['signature-no-certificate'],
    });
    const junk = Buffer.from(message.replace(header, 'X-de-mail-signature-certificate: AAAA\r\n'), 'latin1');
    expect(await judge(junk)).toMatchObject({
      verdict: 'indeterminate',
      doubts: ['signature-no-certificate'],
    });
  });

  it('by a key that nobody vouches for is undecided, however good the signature', async () => {
    const self = issue('Root', { authority: true });
    const forged = sealMessage(fields, body, issue('Signer', { issuer: self }));
    expect(await judge(forged)).toMatchObject({ verdict: 'indeterminate', doubts: ['chain-no-anchor'] });
  });

  it('that leaves out a header of the norm is invalid', async () => {
    const names = ['From', 'Date', 'X-de-mail-authoritative', 'X-de-mail-message-type'];
    expect(await judge(sealMessage(fields, body, signer, { names }))).toMatchObject({
      verdict: 'invalid',
      doubts: ['covered-headers-missing'],
    });
  });

  it('is invalid once one of the listed headers is added that was not there', async () => {
    const message = sealMessage(fields, body, signer, {
      names: [...fields.map((field) => field.slice(0, field.indexOf(':'))), 'Reply-To'],
    });
    expect(await judge(message)).toMatchObject({ verdict: 'valid' });
    const added = Buffer.concat([Buffer.from('reply-to: thief@x.de-mail.example\r\n'), message]);
    expect(await judge(added)).toMatchObject({ verdict: 'invalid' });
  });

  it('covers the topmost of two headers: one below changes nothing, one on top everything', async () => {
    const message = sealMessage(fields, body, signer);
    const text = message.toString('latin1');
    const below = Buffer.from(text.replace('\r\n\r\n', '\r\nSubject: other\r\n\r\n'), 'latin1');
    expect(await judge(below)).toMatchObject({ verdict: 'valid' });
    for (const onTop of ['Subject: other\r\n', 'SUBJECT : other\r\n', 'x: y\nsubject: other\r\n']) {
      expect(await judge(Buffer.concat([Buffer.from(onTop), message])), onTop).toMatchObject({
        verdict: 'invalid',
      });
    }
  });

  it('is judged at the time that its Date claims, with doubts about what came between', async () => {
    const at = (time: string) => judge(sealMessage(fields, body, signer), { time: new Date(time) });
    expect((await at('2026-06-01T11:58:00Z')).doubts).toEqual([]);
    expect((await at('2026-06-01T10:00:00Z')).doubts).toEqual(['signing-time-ahead']);
    expect((await at('2026-07-01T00:00:00Z')).doubts).toEqual(['revocation-stale']);
    const undated = sealMessage(
      fields.filter((field) => !field.startsWith('Date')),
      body,
      signer,
    );
    expect((await judge(undated)).doubts).toContain('signing-time-undecided');
  });
});

describe('a message without signature', () => {
  it('is intact where its hashes fit, and invalid where it had to be signed', async () => {
    const plain = fields.filter((field) => !field.includes('authoritative'));
    expect(await judge(sealMessage(plain, body, null))).toMatchObject({
      verdict: 'valid',
      integrity: 'hash-only',
    });
    expect(await judge(sealMessage(fields, body, null))).toMatchObject({
      verdict: 'invalid',
      doubts: ['signing-duty-unsigned'],
    });
    for (const type of ['confirmation of receipt', 'malware-acknowledge', 'identification']) {
      const message = sealMessage([...plain.slice(0, 3), `X-de-mail-message-type: ${type}`], body, null);
      expect((await judge(message)).doubts, type).toContain('signing-duty-unsigned');
    }
  });

  it('as a confirmation also lacks its XML', async () => {
    const type = 'X-de-mail-message-type: confirmation-of-receipt';
    const { verdict, doubts } = await judge(sealMessage([...fields.slice(0, 3), type], body, signer));
    expect([verdict, doubts]).toEqual(['invalid', ['xml-missing']]);
  });
});

describe('whatever comes', () => {
  const signed = sealMessage(fields, body, signer);
  const statement = sealMessage(
    [
      ...fields.slice(0, 3),
      'Content-Type: multipart/mixed; boundary=b',
      'X-de-mail-message-type: confirmation of receipt',
    ],
    '--b\r\nContent-Type: application/xml\r\n\r\n<a xmlns="urn:de-mail"><b/></a>\r\n--b--\r\n',
    signer,
  );

  it('a changed byte that is covered never leaves it valid', async () => {
    const original = (await verifyDeMail([signed], circumstances)).signedBytes!;
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: signed.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        async (at, flip) => {
          const changed = Buffer.from(signed);
          changed[at] = changed[at]! ^ flip;
          const report = await verifyDeMail([changed], circumstances).catch((error) => {
            expect(error).toBeInstanceOf(UnusableInput);
            return null;
          });
          if (report?.verdict !== 'valid') return;
          // Still valid: then the covered bytes are the same, and what changed is another, uncovered header.
          if (report.integrity === 'signed') expect(report.signedBytes!.equals(original)).toBe(true);
        },
      ),
      { numRuns },
    );
  });

  it('gives a verdict or is unusable, and never another error', async () => {
    const insert = fc.uint8Array({ maxLength: 12 });
    const edits = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 20 }), insert), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(signed, statement),
        edits,
        fc.integer({ min: 1, max: 999 }),
        async (bytes, list, cut) => {
          let changed: Buffer = bytes;
          for (const [place, removed, added] of list) {
            const at = place % (changed.length + 1);
            changed = Buffer.concat([changed.subarray(0, at), added, changed.subarray(at + removed)]);
          }
          const chunks: Buffer[] = [];
          for (let at = 0; at < changed.length; at += cut) chunks.push(changed.subarray(at, at + cut));
          const outcome = await verifyDeMail(chunks, circumstances).catch((error: unknown) => error);
          if (outcome instanceof UnusableInput) return;
          expect(outcome).toMatchObject({
            verdict: expect.stringMatching(/^(valid|invalid|indeterminate)$/),
          });
        },
      ),
      { numRuns },
    );
  });

  it.each([
    ['nothing', ''],
    ['an empty line', '\r\n\r\nbody'],
    ['prose', 'Guten Tag\r\n'],
    ['a header without end', `X: ${'x'.repeat(1_100_000)}`],
  ])('%s is unusable', async (_, text) => {
    const chunks =
      Buffer.from(text)
        .toString('latin1')
        .match(/[\s\S]{1,65536}/g) ?? [];
    await expect(
      verifyDeMail(
        chunks.map((chunk) => Buffer.from(chunk)),
        circumstances,
      ),
    ).rejects.toThrow(UnusableInput);
  });

  it('XML without signature, or that is none', async () => {
    const unsigned = await verifyXmlFile(Buffer.from('<a xmlns="urn:de-mail"/>'), circumstances);
    expect(unsigned.verdict).toBe('indeterminate');
    await expect(verifyXmlFile(Buffer.from('<a'), circumstances)).rejects.toThrow(UnusableInput);
    await expect(verifyXmlFile(Buffer.from('<!DOCTYPE a><a/>'), circumstances)).rejects.toThrow(
      UnusableInput,
    );
  });
});

describe('a message of 45 MiB', () => {
  it('is verified without being kept', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const line = Buffer.from(`${'x'.repeat(76)}\r\n`);
    const chunk = () => Buffer.from(Buffer.concat(Array(800).fill(line)));
    const count = Math.ceil((45 * 1024 * 1024) / (800 * line.length));
    const hash = createHash('sha256');
    for (let i = 0; i < count; i++) hash.update(chunk());
    const header = sealMessage(fields, '', signer, { bodyHash: hash.digest('base64') });
    collect();
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    async function* message() {
      yield header;
      for (let i = 0; i < count; i++) {
        yield chunk();
        if (i % 20 !== 0) continue;
        collect();
        most = Math.max(most, process.memoryUsage().arrayBuffers - before);
      }
    }
    expect(await verifyDeMail(message(), circumstances)).toMatchObject({ verdict: 'valid' });
    // Collected buffers are given back with a delay of a round or two.
    expect(most).toBeLessThan(8 * 1024 * 1024);
  });
});
