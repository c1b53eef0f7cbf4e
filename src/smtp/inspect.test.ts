/** What the listener does with malware and with sender's signatures, over the wire and in the store. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { SubmissionEntry } from '../evidence/entry.ts';
import { createScanner } from '../inspection/scanner.ts';
import { FOUND, MALWARE, startClamdPeer } from '../inspection/testing/clamd-peer.ts';
import { ERIKA, letter, MAX, startGateway, type TestGateway } from './testing/gateway.ts';
import { dial } from './testing/wire.ts';

const fixture = (name: string) => readFileSync(new URL(`../../test/fixtures/cms/${name}`, import.meta.url));

async function send({ ports }: TestGateway, text: string): Promise<string> {
  await using wire = await dial(ports.relay);
  await wire.say('EHLO mta.stadt.example');
  expect(await wire.open(ERIKA, MAX)).toMatch(/^354 /);
  return await wire.data(text);
}

async function lastEntry({ store }: TestGateway) {
  const { size } = await store.head('stadt');
  return await store.entry('stadt', size - 1);
}

const scannerFor = (peer: { address: { host: string; port: number; timeout: number } }, tooLarge = 'hold') =>
  createScanner({ clamd: peer.address, tooLarge: tooLarge as 'hold' | 'pass' });

describe('a scanner', () => {
  it('lets through what is clean, and the entry says so', async () => {
    await using clamd = await startClamdPeer();
    await using gateway = await startGateway({ scanner: scannerFor(clamd) });
    expect(await send(gateway, letter())).toMatch(/^250 2\.0\.0 Accepted as stadt\/1/);
    expect(await lastEntry(gateway)).toMatchObject({
      kind: 'submission',
      scan: { result: 'clean', scanner: expect.stringMatching(/^ClamAV 1/) },
    });
  });

  it('refuses malware, keeps its bytes, and hands nothing over', async () => {
    await using clamd = await startClamdPeer();
    await using gateway = await startGateway({ scanner: scannerFor(clamd) });
    // More than lies inline: the object is a file, which an abort would have taken away.
    const text = letter([], `${`${'x'.repeat(70)}\r\n`.repeat(3_000)}${MALWARE}`);
    expect(await send(gateway, text)).toMatch(/^550 5\.7\.1 Message contains malware .*\(Test\.Malware\)/);
    const entry = await lastEntry(gateway);
    expect(entry).toMatchObject({
      kind: 'refused',
      actor: { type: 'relay', name: 'mta' },
      scan: { result: 'infected', detail: FOUND },
    });
    const { store } = gateway;
    expect(await store.openTransactions('stadt')).toEqual([]);
    const object = await store.object('stadt', (entry as unknown as SubmissionEntry).message.object);
    const kept: Buffer[] = [];
    for await (const chunk of object!.read()) kept.push(chunk);
    expect(Buffer.concat(kept).toString()).toBe(text);
  });

  it('that is away holds mail up for the time being, and leaves nothing behind', async () => {
    const clamd = await startClamdPeer();
    await using gateway = await startGateway({ scanner: scannerFor(clamd) });
    await clamd[Symbol.asyncDispose]();
    expect(await send(gateway, letter())).toMatch(/^451 4\.7\.1 /);
    expect((await gateway.store.head('stadt')).size).toBe(1);
    await using _again = await startClamdPeer(clamd.address.port);
    expect(await send(gateway, letter())).toMatch(/^250 /);
  });

  it('whose limit is too small refuses, or lets through unscanned where that is configured', async () => {
    await using clamd = await startClamdPeer();
    clamd.behaviour.limit = 10;
    await using strict = await startGateway({ scanner: scannerFor(clamd) });
    expect(await send(strict, letter())).toMatch(/^552 5\.3\.4 /);
    await using lax = await startGateway({ scanner: scannerFor(clamd, 'pass') });
    expect(await send(lax, letter())).toMatch(/^250 /);
    expect(await lastEntry(lax)).toMatchObject({ scan: { result: 'not-scanned' } });
  });
});

describe('signatures of the sender', () => {
  const cms = fixture('brainpool.p7s');
  const base64 = cms.toString('base64').replace(/.{76}/g, '$&\r\n');
  const signed = [
    `From: Erika <${ERIKA}>`,
    `To: ${MAX}`,
    'Subject: Bescheid',
    'Message-ID: <2@stadt.example>',
    'MIME-Version: 1.0',
    'Content-Type: multipart/signed; boundary=b; protocol="application/pkcs7-signature"',
    '',
    '--b',
    `${fixture('content.txt')}`,
    '--b',
    'Content-Type: application/pkcs7-signature; name=smime.p7s',
    'Content-Transfer-Encoding: base64',
    '',
    base64,
    '--b--',
    '',
  ].join('\r\n');

  it('are evidence of their own: signer, verdict, checks, and the CMS structure as an object', async () => {
    await using gateway = await startGateway();
    expect(await send(gateway, signed)).toMatch(/^250 /);
    const entry = (await lastEntry(gateway)) as unknown as SubmissionEntry;
    expect(entry.signatures).toMatchObject([
      {
        kind: 'smime-signed',
        part: '2',
        signer: 'C=DE, O=Stadt Waren, CN=Erika Mustermann brainpool',
        // Intact; without configured anchors nobody vouches for the signer.
        verdict: 'indeterminate',
      },
    ]);
    const [{ object, checks }] = entry.signatures as [NonNullable<SubmissionEntry['signatures']>[0]];
    expect(checks!.map(({ name, result }) => `${name} ${result}`)).toEqual([
      'cms-attributes passed',
      'cms-content passed',
      'cms-signature passed',
      'certificate-chain undecided',
    ]);
    const { store } = gateway;
    expect((await store.search({ sha256: object!.sha256 })).map(({ index }) => index)).toEqual([1]);
    const kept: Buffer[] = [];
    for await (const chunk of (await store.object('stadt', object!.object))!.read()) kept.push(chunk);
    expect(Buffer.concat(kept)).toEqual(cms);
  });

  it('cost an ordinary mail nothing: no more than its text is read again', async () => {
    const read: number[] = [];
    await using gateway = await startGateway({
      around: (store) => ({
        ...store,
        openStaged(staged) {
          const object = store.openStaged(staged);
          return {
            ...object,
            read(from = 0, to = object.size) {
              read.push(to - from);
              return object.read(from, to);
            },
          };
        },
      }),
    });
    expect(await send(gateway, letter([], 'Guten Tag'))).toMatch(/^250 /);
    expect(read).toEqual([Buffer.byteLength('Guten Tag\r\n')]);
  });
});
