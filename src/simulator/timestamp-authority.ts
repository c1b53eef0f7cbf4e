/**
 * A time-stamp authority (RFC 3161, over HTTP), for trial and tests: a root and a revocation list of its own, a
 * clock that can be moved, and every misbehaviour a client must notice. Usable alone:
 *
 *     await using tsa = await startTimestampAuthority({ directory });
 *     await fetch(tsa.url, { method: 'POST', headers: { 'content-type': 'application/timestamp-query' }, body })
 */
import { X509Certificate } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { type Authority, openAuthority } from './authority.ts';
import { type Clock, openClock } from './clock.ts';
import { bodyOf, httpOrigin, listenHttp, refuse } from './http.ts';
import { hashNames, type Signer } from './signer.ts';
import {
  digestLengths,
  type Failure,
  grantedResponse,
  issueToken,
  parseRequest,
  refusedResponse,
  type TimestampRequest,
} from './timestamp-token.ts';

/** Any number of them at once; the first that leaves no token wins. */
export const timestampFaultNames = [
  /** HTTP 503 (RFC 9110 15.6.4). */
  'unavailable',
  /** The connection is closed without an answer. */
  'cut',
  /** The request is read and never answered. */
  'silent',
  /** A megabyte that is no response. */
  'flood',
  /** Content-Type text/html and a login page, as from a proxy. */
  'web-page',
  /** Bytes of the right type that are no DER. */
  'garbage',
  /** Status rejection, systemFailure. */
  'rejected',
  /** Status waiting, which has no meaning here. */
  'waiting',
  /** Status granted, and no token. */
  'no-token',
  /** The token is of another digest. */
  'wrong-imprint',
  /** Imprint of the same bytes under another algorithm's name. */
  'wrong-algorithm',
  'wrong-nonce',
  'no-nonce',
  /** Another policy than the one that was asked for. */
  'wrong-policy',
  /** genTime is a day behind. */
  'wrong-time',
  /** The signature value is spoilt. */
  'wrong-signature',
  /** No certificate inside although certReq asks for it. */
  'no-certificate',
  /** signingCertificateV2 names another certificate of the same authority. */
  'wrong-signing-certificate',
  'no-signing-certificate',
  'expired-certificate',
  'revoked-certificate',
  /** Extended key usage clientAuth instead of timeStamping. */
  'wrong-eku',
  /** timeStamping, but not critical. */
  'uncritical-eku',
  'self-signed-certificate',
  /** A root of the same name with another key. */
  'foreign-authority',
] as const;
export type TimestampFault = (typeof timestampFaultNames)[number];

export const timestampOptionsSchema = z.strictObject({
  /** Keys, certificates and the revocation list lie in `ca` below it, and are found again. */
  directory: z.string().min(1),
  host: z.string().default('127.0.0.1'),
  port: z.number().int().min(0).max(65_535).default(0),
  /** O= of the names. */
  organization: z.string().default('De-Mail-Simulator'),
  signature: z.enum(['p256', 'rsa', 'brainpoolP256r1']).default('p256'),
  hash: z.enum(hashNames).default('sha256'),
  /** OID under which tokens are issued; default: one of UUID arc 2.25, which means nothing to anybody. */
  policy: z
    .string()
    .regex(/^[012](\.\d+)+$/)
    .default('2.25.1'),
});
export type TimestampOptions = z.input<typeof timestampOptionsSchema>;

export interface TimestampAuthority extends AsyncDisposable {
  readonly port: number;
  /** Where requests are posted to. */
  readonly url: string;
  readonly crlUrl: string;
  readonly policy: string;
  /** The trust anchor. */
  readonly caPem: string;
  readonly caFile: string;
  /** The list as of the clock's now, DER; issued anew by each call, good for a week. */
  crl(): Buffer;
  /** Tells the time to tokens, certificates and the list. */
  readonly clock: Clock;
  /** Add and remove to make it misbehave. */
  readonly faults: Set<TimestampFault>;
  /** Tokens issued since the start. */
  readonly issued: number;
  /** Revokes the certificate that signs now, as of the given time (default: now). It goes on signing. */
  revokeSigner(at?: Date): Promise<void>;
  close(): Promise<void>;
}

/**
 * Starts the authority.
 * @param now base of its clock
 * @throws Error naming a port that is taken, or zod's list of what is wrong with the options
 */
export async function startTimestampAuthority(
  input: TimestampOptions,
  { now }: { now?: () => Date } = {},
): Promise<TimestampAuthority> {
  const options = timestampOptionsSchema.parse(input);
  const clock = openClock(now);
  const faults = new Set<TimestampFault>();
  let issued = 0;
  let authority: Authority | undefined;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === 'GET' && request.url === '/tsa.crl') {
      response.writeHead(200, { 'content-type': 'application/pkix-crl' }).end(authority!.crl());
      return;
    }
    if (request.method !== 'POST') return refuse(response, 405, 'Post a timestamp query here');
    if (request.headers['content-type'] !== 'application/timestamp-query') {
      return refuse(response, 415, 'Content-Type must be application/timestamp-query');
    }
    const body = await bodyOf(request);
    if (!body) return refuse(response, 413, 'No timestamp query is that long');
    if (misbehave(faults, request, response)) return;
    const reply = await respond(body);
    response.writeHead(200, { 'content-type': 'application/timestamp-reply' }).end(reply);
  }

  async function respond(body: Buffer): Promise<Buffer> {
    if (faults.has('garbage')) return Buffer.from('no such thing');
    if (faults.has('rejected')) return refusedResponse('systemFailure', 'told to reject');
    if (faults.has('waiting')) return refusedResponse('timeNotAvailable', 'told to wait', 3);
    if (faults.has('no-token')) return grantedResponse();
    const request = parseRequest(body);
    if (!request) return refusedResponse('badDataFormat', 'no TimeStampReq');
    const objection = objectionTo(request, options.policy);
    if (objection) return refusedResponse(...objection);
    const signer = await signerNow();
    const token = issueToken(contentOf(request, options.policy, clock.now(), faults), signer, {
      withCertificate: request.certReq && !faults.has('no-certificate'),
      spoilt: faults.has('wrong-signature'),
      names: await namedCertificate(signer),
    });
    issued++;
    return grantedResponse(token);
  }

  async function namedCertificate(signer: Signer): Promise<Buffer | undefined> {
    if (faults.has('no-signing-certificate')) return undefined;
    if (!faults.has('wrong-signing-certificate')) return signer.certificateDer;
    return (await authority!.timestampSigner('p256', options.hash, 'other')).certificateDer;
  }

  function signerNow(): Promise<Signer> {
    const flaw = flaws.find(([fault]) => faults.has(fault))?.[1];
    return authority!.timestampSigner(options.signature, options.hash, flaw);
  }

  const { port, close } = await listenHttp(options.host, options.port, answer);
  const origin = httpOrigin(options.host, port);
  try {
    authority = await openAuthority({
      directory: options.directory,
      organization: options.organization,
      rootName: 'De-Mail Simulator TSA Root',
      now: clock.now,
      crlUrl: `${origin}/tsa.crl`,
      hash: options.hash,
    });
  } catch (error) {
    await close();
    throw error;
  }
  const { caPem, caFile, crl, revoke } = authority;
  return {
    port,
    url: `${origin}/`,
    crlUrl: `${origin}/tsa.crl`,
    policy: options.policy,
    caPem,
    caFile,
    crl,
    clock,
    faults,
    get issued() {
      return issued;
    },
    async revokeSigner(at = clock.now()) {
      await revoke(new X509Certificate((await signerNow()).certificatePem), at);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

const flaws = [
  ['expired-certificate', 'expired'],
  ['revoked-certificate', 'revoked'],
  ['wrong-eku', 'wrong-purpose'],
  ['uncritical-eku', 'uncritical-purpose'],
  ['self-signed-certificate', 'self-signed'],
  ['foreign-authority', 'foreign'],
] as const;

/** Everything below RFC 3161: true where an answer was given, or never will be. */
function misbehave(
  faults: ReadonlySet<TimestampFault>,
  request: IncomingMessage,
  response: ServerResponse,
): boolean {
  if (faults.has('silent')) return true;
  if (faults.has('cut')) request.socket.destroy();
  else if (faults.has('unavailable')) refuse(response, 503, 'told to be unavailable');
  else if (faults.has('web-page')) {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<form>Anmeldung</form>');
  } else if (faults.has('flood')) {
    response
      .writeHead(200, { 'content-type': 'application/timestamp-reply' })
      .end(Buffer.alloc(1 << 20, 0x30));
  } else return false;
  return true;
}

function objectionTo(request: TimestampRequest, policy: string): [Failure, string] | undefined {
  if (request.version !== 1) return ['badRequest', 'version must be 1'];
  const length = digestLengths.get(request.algorithm);
  if (length === undefined) return ['badAlg', 'SHA-256, SHA-384 or SHA-512 only'];
  if (request.imprint.length !== length) return ['badDataFormat', 'imprint has the wrong length'];
  if (request.policy !== undefined && request.policy !== policy) {
    return ['unacceptedPolicy', `only ${policy} is offered`];
  }
  if (request.hasExtensions) return ['unacceptedExtension', 'extensions are not offered'];
  return undefined;
}

function contentOf(
  request: TimestampRequest,
  policy: string,
  now: Date,
  faults: ReadonlySet<TimestampFault>,
) {
  const { imprint, nonce } = request;
  const otherAlgorithm = [...digestLengths.keys()].find((id) => id !== request.algorithm)!;
  return {
    policy: faults.has('wrong-policy') ? '2.25.2' : policy,
    algorithm: faults.has('wrong-algorithm') ? otherAlgorithm : request.algorithm,
    imprint: faults.has('wrong-imprint') ? changed(imprint) : imprint,
    time: faults.has('wrong-time') ? new Date(now.getTime() - 86_400_000) : now,
    nonce: faults.has('no-nonce') ? undefined : nonce && faults.has('wrong-nonce') ? changed(nonce) : nonce,
  };
}

/** The last bit turned: still an INTEGER in its shortest form. */
function changed(bytes: Buffer): Buffer {
  const other = Buffer.from(bytes);
  other[other.length - 1]! ^= 1;
  return other;
}
