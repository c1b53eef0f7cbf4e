/**
 * HTTP to addresses that come from certificates or configuration, with few rights: the address that was checked is
 * the one that is asked, no redirects, nothing but what is allowed.
 */
import { lookup } from 'node:dns/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { BlockList, isIP } from 'node:net';
import type { SecureContextOptions } from 'node:tls';

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

export interface GuardedRequest {
  /** Such as `http:`. */
  readonly protocols: readonly string[];
  /** A POST of it; null is a GET. */
  readonly body: { readonly type: string; readonly bytes: Buffer } | null;
  /** Whether loopback, private and link-local addresses may be asked. */
  readonly allowPrivate: boolean;
  /** Ends everything: name, connection, answer. */
  readonly signal: AbortSignal;
  readonly accept?: string;
  /** Value of the Authorization header. It leaves over TLS, or not beyond this host. */
  readonly authorization?: string;
  /** Certificates that the server is believed by, and one to show to it. */
  readonly tls?: Pick<SecureContextOptions, 'ca' | 'cert' | 'key'>;
}

/** Sends one request; the answer may be any status. @throws Error with the reason where none comes. */
export async function guardedRequest(target: string, options: GuardedRequest): Promise<IncomingMessage> {
  const { body, signal, authorization } = options;
  const url = URL.parse(target);
  if (url === null || !options.protocols.includes(url.protocol)) {
    throw new Error(`not an ${options.protocols.join(' or ').replaceAll(':', '')} URL`);
  }
  if (url.username !== '' || url.password !== '') throw new Error('the URL has a login');
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const addresses =
    isIP(host) === 0
      ? await within(lookup(host, { all: true }), signal)
      : [{ address: host, family: isIP(host) }];
  const refused = options.allowPrivate
    ? undefined
    : addresses.find(({ address }) => !isPublicAddress(address));
  if (refused !== undefined) throw new Error(`${refused.address} is no public address`);
  const pinned = addresses[0];
  if (pinned === undefined) throw new Error('the name has no address');
  const isSecure = url.protocol === 'https:';
  if (authorization !== undefined && !isSecure && !isLoopback(pinned.address)) {
    throw new Error('a login is sent over https only');
  }
  return await new Promise((resolve, reject) => {
    const sent = (isSecure ? httpsRequest : httpRequest)(
      {
        // The address that was checked is the one that is asked: a second look-up could say something else.
        host: pinned.address,
        family: pinned.family,
        port: url.port === '' ? (isSecure ? 443 : 80) : Number(url.port),
        path: url.pathname + url.search,
        method: body === null ? 'GET' : 'POST',
        headers: {
          host: url.host,
          accept: options.accept ?? '*/*',
          ...(authorization === undefined ? {} : { authorization }),
          ...(body === null ? {} : { 'content-type': body.type, 'content-length': body.bytes.length }),
        },
        agent: false,
        signal,
        // The name in the certificate is the one of the URL.
        ...(isSecure ? { ...options.tls, ...(isIP(host) === 0 ? { servername: host } : {}) } : {}),
      },
      resolve,
    );
    sent.once('error', reject);
    sent.end(body?.bytes);
  });
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}

/** @throws Error where the answer is longer than `limit` bytes. */
export async function readBody(response: IncomingMessage, limit: number): Promise<Buffer> {
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
