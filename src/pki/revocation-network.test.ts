import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { afterEach, describe, expect, it } from 'vitest';
import { isPublicAddress } from './guarded-http.ts';
import { type NetworkOptions, revocationNetwork } from './revocation-network.ts';
import { extension, issue, makeCrl } from './testing/test-pki.ts';

const root = issue('Root', { authority: true });
const list = makeCrl(root, { issued: '2026-06-02T00:00:00Z', next: '2026-06-09T00:00:00Z' });
let server: Server | null = null;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = null;
});

async function serve(listener: Parameters<typeof createServer>[1]): Promise<string> {
  server = createServer(listener!);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function uri(text: string): asn1js.Primitive {
  const bytes = Buffer.from(text, 'latin1');
  return new asn1js.Primitive({
    idBlock: { tagClass: 3, tagNumber: 6 },
    valueHex: Uint8Array.from(bytes).buffer,
  });
}

/** A certificate that names where to ask: a list, a responder. */
function signer(urls: { readonly crl?: string; readonly ocsp?: string }) {
  const wrap = (tagNumber: number, value: asn1js.BaseBlock) =>
    new asn1js.Constructed({ idBlock: { tagClass: 3, tagNumber }, value: [value as never] });
  const extra = [];
  if (urls.crl !== undefined) {
    const point = new asn1js.Sequence({ value: [wrap(0, wrap(0, uri(urls.crl)))] });
    extra.push(extension('2.5.29.31', false, new asn1js.Sequence({ value: [point] })));
  }
  if (urls.ocsp !== undefined) {
    const method = new asn1js.ObjectIdentifier({ value: '1.3.6.1.5.5.7.48.1' });
    const access = new asn1js.Sequence({ value: [method, uri(urls.ocsp)] });
    extra.push(extension('1.3.6.1.5.5.7.1.1', false, new asn1js.Sequence({ value: [access] })));
  }
  return issue('Signer', { issuer: root, extra });
}

async function ask(urls: Parameters<typeof signer>[0], options: NetworkOptions = { allowPrivate: true }) {
  const failures: string[] = [];
  const source = revocationNetwork({ ...options, onFailure: (_, reason) => failures.push(reason) });
  const leaf = signer(urls);
  return { found: await source.find({ certificate: leaf.der, issuer: root.der }), failures, leaf };
}

describe('asking the network', () => {
  it('fetches a list by GET', async () => {
    const seen: string[] = [];
    const host = await serve((incoming, response) => {
      seen.push(`${incoming.method} ${incoming.url} ${incoming.headers.host}`);
      response.end(list);
    });
    const { found } = await ask({ crl: `http://${host}/root.crl?x=1` });
    expect(found).toEqual([{ kind: 'crl', der: list }]);
    expect(seen).toEqual([`GET /root.crl?x=1 ${host}`]);
  });

  it('asks a responder about that certificate', async () => {
    const bodies: Buffer[] = [];
    const host = await serve((incoming, response) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.once('end', () => {
        bodies.push(Buffer.concat(chunks));
        expect(incoming.headers['content-type']).toBe('application/ocsp-request');
        response.end('answer');
      });
    });
    const { found, leaf } = await ask({ ocsp: `http://${host}/ocsp` });
    expect(found).toEqual([{ kind: 'ocsp', der: Buffer.from('answer') }]);
    const asked = pkijs.OCSPRequest.fromBER(Uint8Array.from(bodies[0]!).buffer).tbsRequest.requestList;
    const { serialNumber } = pkijs.Certificate.fromBER(Uint8Array.from(leaf.der).buffer);
    expect(asked.map(({ reqCert }) => reqCert.serialNumber.isEqual(serialNumber))).toEqual([true]);
  });

  it('never asks a private address unless that is configured', async () => {
    let asked = 0;
    const host = await serve((_, response) => {
      asked += 1;
      response.end(list);
    });
    const port = host.split(':')[1];
    for (const name of ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]', '0x7f.1', '2130706433']) {
      const { found, failures } = await ask({ crl: `http://${name}:${port}/` }, {});
      expect(found, name).toEqual([]);
      expect(failures.join(), name).toMatch(/is no public address/);
    }
    expect(asked).toBe(0);
  });

  it.each([
    'https://example.org/x',
    'file:///etc/passwd',
    'ftp://example.org/',
    'http://u:p@example.org/',
    '//x',
    '',
  ])('does not follow %j', async (url) => {
    const { found, failures } = await ask({ crl: url });
    expect(found).toEqual([]);
    expect(failures).toHaveLength(1);
  });

  it('follows redirects, a few, and not into another protocol', async () => {
    const host = await serve((incoming, response) => {
      const hops = Number(incoming.url!.slice(1));
      if (hops === 0) response.end(list);
      else if (hops === 99) response.writeHead(302, { location: 'file:///etc/passwd' }).end();
      else response.writeHead(302, { location: `/${hops - 1}` }).end();
    });
    expect((await ask({ crl: `http://${host}/3` })).found).toHaveLength(1);
    expect((await ask({ crl: `http://${host}/4` })).failures).toEqual(['more than 3 redirects']);
    expect((await ask({ crl: `http://${host}/99` })).failures).toEqual(['not an http URL']);
  });

  it('gives up on answers that are too long, no answers, errors', async () => {
    const host = await serve((incoming, response) => {
      if (incoming.url === '/404') response.writeHead(404).end();
      else if (incoming.url === '/long') {
        const chunk = Buffer.alloc(64 * 1024);
        const more = () => {
          while (response.write(chunk));
          response.once('drain', more);
        };
        more();
      }
    });
    expect((await ask({ crl: `http://${host}/404` })).failures).toEqual(['status 404']);
    expect((await ask({ ocsp: `http://${host}/long` })).failures).toEqual(['longer than 262144 bytes']);
    const silent = await ask({ crl: `http://${host}/silent` }, { allowPrivate: true, timeoutMs: 100 });
    expect(silent.failures).toHaveLength(1);
  });

  it.each([
    ['93.184.216.34', true],
    ['2a00:1450:4001::1', true],
    ['10.1.2.3', false],
    ['100.64.0.1', false],
    ['127.0.0.1', false],
    ['169.254.169.254', false],
    ['172.31.255.255', false],
    ['172.32.0.1', true],
    ['192.168.0.1', false],
    ['0.0.0.0', false],
    ['255.255.255.255', false],
    ['::1', false],
    ['::', false],
    ['::ffff:10.0.0.1', false],
    ['::ffff:93.184.216.34', false],
    ['64:ff9b::a00:1', false],
    ['2002:a00:1::', false],
    ['fe80::1', false],
    ['fd00::1', false],
    ['ff02::1', false],
    ['not an address', false],
  ])('%s is public: %s', (address, expected) => {
    expect(isPublicAddress(address)).toBe(expected);
  });
});
