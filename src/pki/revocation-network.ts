/** CRLs and OCSP responses over HTTP. The addresses stand in certificates that anyone may have made: so few rights. */
import { lookup } from 'node:dns/promises';
import { type IncomingMessage, request } from 'node:http';
import { BlockList, isIP } from 'node:net';
import type { InfoAccess } from 'pkijs';
import { type Certificate, OID, readCertificate } from './certificate.ts';
import { distributionUrls } from './crl.ts';
import { ocspRequest } from './ocsp.ts';
import { MAX_CRL_BYTES } from './revocation-sources.ts';
import type { RevocationData, RevocationSource } from './types.ts';

const OCSP_ACCESS = '1.3.6.1.5.5.7.48.1';
const MAX_OCSP_BYTES = 256 * 1024;
const MAX_REDIRECTS = 3;
const MAX_URLS = 4;

export interface NetworkOptions {
  /** For everything that one URL takes: name, connection, redirects, body. Milliseconds. */
  readonly timeoutMs?: number;
  /** Whether loopback, private and link-local addresses may be asked: only where the tenant's PKI is in-house. */
  readonly allowPrivate?: boolean;
  /** Told of every URL that gave no answer, with the reason. */
  readonly onFailure?: (url: string, reason: string) => void;
}

/** IANA special-purpose registries: whatever is not the public internet. */
const special = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const) {
  special.addSubnet(network, prefix, 'ipv4');
}
const publicV6 = new BlockList();
publicV6.addSubnet('2000::', 3, 'ipv6');
const tunnelled = new BlockList();
for (const [network, prefix] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
] as const) {
  tunnelled.addSubnet(network, prefix, 'ipv6');
}

/** Whether an address is one of the public internet. IPv6 forms that carry an IPv4 address inside are not. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !special.check(address, 'ipv4');
  return family === 6 && publicV6.check(address, 'ipv6') && !tunnelled.check(address, 'ipv6');
}

/** Asks the distribution points and OCSP responders that certificates name. Never rejects. */
export function revocationNetwork(options: NetworkOptions = {}): RevocationSource {
  return {
    async find(query) {
      const certificate = readCertificate(query.certificate);
      const issuer = readCertificate(query.issuer);
      if (certificate === null || issuer === null) return [];
      const found: RevocationData[] = [];
      const attempt = async (url: string, kind: RevocationData['kind'], body: Buffer | null) => {
        try {
          found.push({ kind, der: await download(url, body, options) });
        } catch (error) {
          options.onFailure?.(url, (error as Error).message);
        }
      };
      for (const url of distributionUrls(certificate).slice(0, MAX_URLS)) await attempt(url, 'crl', null);
      for (const url of responderUrls(certificate).slice(0, MAX_URLS)) {
        await attempt(url, 'ocsp', ocspRequest(certificate, issuer));
      }
      return found;
    },
  };
}

function responderUrls(certificate: Certificate): string[] {
  const access = certificate.extensions.get(OID.authorityInfoAccess)?.parsedValue as InfoAccess | undefined;
  const list = access?.accessDescriptions ?? [];
  return list
    .filter(({ accessMethod, accessLocation }) => accessMethod === OCSP_ACCESS && accessLocation.type === 6)
    .map(({ accessLocation }) => String(accessLocation.value));
}

/** A GET, or a POST of `body`. Throws with the reason where no answer comes within the limits. */
async function download(url: string, body: Buffer | null, options: NetworkOptions): Promise<Buffer> {
  const signal = AbortSignal.timeout(options.timeoutMs ?? 10_000);
  const limit = body === null ? MAX_CRL_BYTES : MAX_OCSP_BYTES;
  let target = url;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const response = await send(target, body, options.allowPrivate === true, signal);
    const { statusCode = 0, headers } = response;
    if (statusCode >= 300 && statusCode < 400 && headers.location !== undefined) {
      response.destroy();
      target = new URL(headers.location, target).href;
      continue;
    }
    if (statusCode !== 200) {
      response.destroy();
      throw new Error(`status ${statusCode}`);
    }
    return await readBody(response, limit);
  }
  throw new Error(`more than ${MAX_REDIRECTS} redirects`);
}

async function send(
  target: string,
  body: Buffer | null,
  allowPrivate: boolean,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const url = URL.parse(target);
  // Plain HTTP is the rule: what comes is signed, and TLS would need revocation data itself (RFC 5280 8).
  if (url === null || url.protocol !== 'http:') throw new Error('not an http URL');
  if (url.username !== '' || url.password !== '') throw new Error('the URL has a login');
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const addresses =
    isIP(host) === 0
      ? await within(lookup(host, { all: true }), signal)
      : [{ address: host, family: isIP(host) }];
  const refused = allowPrivate ? undefined : addresses.find(({ address }) => !isPublicAddress(address));
  if (refused !== undefined) throw new Error(`${refused.address} is no public address`);
  const pinned = addresses[0];
  if (pinned === undefined) throw new Error('the name has no address');
  return await new Promise((resolve, reject) => {
    const sent = request(
      {
        // The address that was checked is the one that is asked: a second look-up could say something else.
        host: pinned.address,
        family: pinned.family,
        port: url.port === '' ? 80 : Number(url.port),
        path: url.pathname + url.search,
        method: body === null ? 'GET' : 'POST',
        headers: {
          host: url.host,
          accept: '*/*',
          ...(body === null
            ? {}
            : { 'content-type': 'application/ocsp-request', 'content-length': body.length }),
        },
        agent: false,
        signal,
      },
      resolve,
    );
    sent.once('error', reject);
    sent.end(body ?? undefined);
  });
}

async function readBody(response: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) {
      response.destroy();
      throw new Error(`longer than ${limit} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** DNS look-ups cannot be aborted, but need not be waited for. */
async function within<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  return await new Promise<T>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    promise.then(resolve, reject);
  });
}
