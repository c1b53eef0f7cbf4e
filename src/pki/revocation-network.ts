/** CRLs and OCSP responses over HTTP. The addresses stand in certificates that anyone may have made: so few rights. */
import type { InfoAccess } from 'pkijs';
import { type Certificate, OID, readCertificate } from './certificate.ts';
import { distributionUrls } from './crl.ts';
import { guardedRequest, readBody } from './guarded-http.ts';
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
    // Plain HTTP is the rule: what comes is signed, and TLS would need revocation data itself (RFC 5280 8).
    const response = await guardedRequest(target, {
      protocols: ['http:'],
      body: body === null ? null : { type: 'application/ocsp-request', bytes: body },
      allowPrivate: options.allowPrivate === true,
      signal,
    });
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
