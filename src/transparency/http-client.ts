/** Requests to witnesses: small, bounded, without redirects. */
import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

export interface HttpSettings {
  /** PEM files; empty: the system's roots. */
  readonly trustAnchors: readonly string[];
  readonly signal: AbortSignal;
}

const LONGEST_ANSWER = 131_072;
const TIMEOUT_MS = 5_000;

/** @throws Error where there is no answer within five seconds, or it is longer than 128 KiB. */
export function ask(
  method: 'GET' | 'POST',
  url: string,
  { trustAnchors, signal }: HttpSettings,
  body?: string,
): Promise<HttpAnswer> {
  const ca = trustAnchors.length === 0 ? undefined : trustAnchors.map((file) => readFileSync(file));
  const options = { method, signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]) };
  return new Promise((resolve, reject) => {
    const send = url.startsWith('https:') ? httpsRequest(url, { ...options, ca }) : httpRequest(url, options);
    send.on('error', reject);
    send.on('response', (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('error', reject);
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > LONGEST_ANSWER) response.destroy(new Error('the answer is too long'));
        chunks.push(chunk);
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
      );
    });
    send.end(body);
  });
}
