/** Where revocation is asked for over HTTP: the list under every path, and the OCSP responder. */
import type { IncomingMessage } from 'node:http';
import type { Authority } from './authority.ts';
import { bodyOf, httpOrigin, listenHttp, refuse } from './http.ts';
import type { Listener } from './listening.ts';
import type { Faults } from './options.ts';

interface Service extends Listener {
  readonly url: string;
}

/** @param authority undefined as long as it is not opened: its certificates name the port, so that comes first */
export async function listenCrl(
  host: string,
  port: number,
  authority: () => Authority | undefined,
  faults: Faults,
): Promise<Service> {
  const service = await listenHttp(host, port, async (_, response) => {
    const list = authority()?.crl();
    if (!list || faults.revocationUnavailable) return refuse(response, 503, 'not now');
    response.writeHead(200, { 'content-type': 'application/pkix-crl' }).end(list);
  });
  return { ...service, url: `${httpOrigin(host, service.port)}/root.crl` };
}

/** By POST, and by GET with the request in the path (RFC 6960 A.1). */
export async function listenOcsp(
  host: string,
  port: number,
  authority: () => Authority | undefined,
  faults: Faults,
): Promise<Service> {
  const service = await listenHttp(host, port, async (request, response) => {
    const question = await questionOf(request);
    const opened = authority();
    if (!opened || faults.revocationUnavailable) return refuse(response, 503, 'not now');
    if (!question) return refuse(response, 400, 'no OCSP request');
    response.writeHead(200, { 'content-type': 'application/ocsp-response' }).end(opened.ocsp(question));
  });
  return { ...service, url: `${httpOrigin(host, service.port)}/` };
}

async function questionOf(request: IncomingMessage): Promise<Buffer | undefined> {
  if (request.method === 'POST') return bodyOf(request);
  try {
    return Buffer.from(decodeURIComponent((request.url ?? '/').slice(1)), 'base64');
  } catch {
    return undefined;
  }
}
