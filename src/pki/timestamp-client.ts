/**
 * Time-stamps over HTTP (RFC 3161 3.4). Several authorities, in order: whatever one of them does wrong, the next is
 * asked, and what it did is told.
 */
import { randomBytes } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';
import type { IntegrityHash } from '../demail/integrity.ts';
import { DerError } from './der.ts';
import { guardedRequest, readBody } from './guarded-http.ts';
import { type TimestampReport, verifyTimestamp } from './timestamp.ts';
import { derToken } from './timestamp-der.ts';
import { readTimestampResponse, timestampRequest } from './timestamp-request.ts';
import type { CheckResult, RevocationSource, TrustStore } from './types.ts';

/** A token with a path of certificates has some ten KiB. */
const MAX_RESPONSE_BYTES = 512 * 1024;
/** Two clocks that are both right differ by less. Milliseconds. */
const CLOCK_TOLERANCE_MS = 5 * 60_000;
/** Revocation data from after the token cannot exist yet: what it says is for the one who seals. */
const openAtFirst = new Set(['revocation-unknown', 'revocation-provisional', 'revocation-stale']);

export interface TimestampServer {
  /** http or https. */
  readonly url: string;
  /** Object identifier of the policy that is asked for, and that the token must have. */
  readonly policy?: string;
  /** Value of the Authorization header; sent over https only. */
  readonly authorization?: string;
  /** Whether its address may be a private one. Default: false. */
  readonly allowPrivate?: boolean;
  readonly tls?: Pick<SecureContextOptions, 'ca' | 'cert' | 'key'>;
}

export interface TimestampOrder {
  readonly servers: readonly TimestampServer[];
  readonly hash: IntegrityHash;
  readonly digest: Buffer;
  readonly trust: TrustStore;
  readonly revocation: RevocationSource;
  readonly now: () => Date;
  /** For each server: name, connection, answer. Default: 15 s. Milliseconds. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface TimestampFailure {
  readonly url: string;
  readonly reason: string;
}

export type TimestampOutcome =
  | {
      readonly ok: true;
      readonly server: TimestampServer;
      /** TimeStampResp as it came. */
      readonly response: Buffer;
      /** The token as DER. */
      readonly token: Buffer;
      readonly report: TimestampReport;
      /** Of the servers that were asked before. */
      readonly failures: readonly TimestampFailure[];
    }
  | { readonly ok: false; readonly failures: readonly TimestampFailure[] };

/**
 * Asks the servers in order for a time-stamp over `digest`. A token counts where every check passed, except that
 * its revocation data may be older than itself. Rejects where `signal` is aborted, and for nothing else.
 */
export async function requestTimestamp(order: TimestampOrder): Promise<TimestampOutcome> {
  const failures: TimestampFailure[] = [];
  for (const server of order.servers) {
    order.signal?.throwIfAborted();
    try {
      return { ok: true, server, ...(await ask(server, order)), failures };
    } catch (error) {
      order.signal?.throwIfAborted();
      failures.push({ url: server.url, reason: (error as Error).message });
    }
  }
  return { ok: false, failures };
}

async function ask(server: TimestampServer, order: TimestampOrder) {
  const { hash, digest, trust, revocation, now } = order;
  const nonce = randomBytes(16);
  const askedAt = now();
  const response = await post(server, timestampRequest({ hash, digest, nonce, ...policyOf(server) }), order);
  const answer = readTimestampResponse(response);
  if (!answer.ok) throw new Error(answer.reason);
  const token = asDer(answer.token);
  const time = now();
  const report = await verifyTimestamp({
    token,
    imprint: { hash, digest },
    nonce,
    ...(server.policy === undefined ? {} : { policies: [server.policy] }),
    trust,
    revocation,
    time,
  });
  const problem = report.checks.find(isProblem);
  if (problem !== undefined) throw new Error(problem.reason);
  const { genTime } = report.token!;
  if (genTime.getTime() < askedAt.getTime() - CLOCK_TOLERANCE_MS) {
    throw new Error(`its clock says ${genTime.toISOString()}, ours ${time.toISOString()}`);
  }
  return { response, token, report };
}

async function post(server: TimestampServer, query: Buffer, order: TimestampOrder): Promise<Buffer> {
  const timeout = AbortSignal.timeout(order.timeoutMs ?? 15_000);
  const response = await guardedRequest(server.url, {
    protocols: ['http:', 'https:'],
    body: { type: 'application/timestamp-query', bytes: query },
    accept: 'application/timestamp-reply',
    allowPrivate: server.allowPrivate === true,
    signal: order.signal === undefined ? timeout : AbortSignal.any([timeout, order.signal]),
    ...(server.authorization === undefined ? {} : { authorization: server.authorization }),
    ...(server.tls === undefined ? {} : { tls: server.tls }),
  });
  if (response.statusCode !== 200) {
    response.destroy();
    throw new Error(`HTTP status ${response.statusCode}`);
  }
  return await readBody(response, MAX_RESPONSE_BYTES);
}

function policyOf({ policy }: TimestampServer): { policy?: string } {
  return policy === undefined ? {} : { policy };
}

function asDer(token: Buffer): Buffer {
  try {
    return derToken(token);
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    throw new Error(`no time-stamp token (RFC 3161): ${error.message}`);
  }
}

function isProblem({ result, code }: CheckResult): boolean {
  return result === 'failed' || (result === 'undecided' && !openAtFirst.has(code));
}
