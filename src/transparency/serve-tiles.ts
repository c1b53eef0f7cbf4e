/** Serves the folder of published logs read-only (c2sp.org/tlog-tiles): `/<log>/checkpoint`, `/<log>/tile/…`. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { HttpListenerConfig } from '../config/schema.ts';
import { parseTilePath } from '../evidence/tile-path.ts';
import type { Log } from '../observe/log.ts';
import { type RunningServer, startHttp } from './http-server.ts';

export function serveTiles(directory: string, listen: HttpListenerConfig, log: Log): Promise<RunningServer> {
  return startHttp(listen, 'evidence.tiles.listen', (request, response) => {
    answer(directory, request.method ?? '', request.url ?? '', response).catch((error) => {
      log.warn({ error: String(error) }, 'tile not served');
      response.destroy();
    });
  });
}

async function answer(
  directory: string,
  method: string,
  url: string,
  response: ServerResponse,
): Promise<void> {
  if (method !== 'GET' && method !== 'HEAD') return end(response, 405, { Allow: 'GET, HEAD' });
  const file = fileOf(directory, url);
  const found = file === null ? null : await stat(file).catch(() => null);
  if (file === null || found === null || !found.isFile()) return end(response, 404);
  const isCheckpoint = file.endsWith('checkpoint');
  response.writeHead(200, {
    'Content-Type': isCheckpoint ? 'text/plain; charset=utf-8' : 'application/octet-stream',
    'Content-Length': found.size,
    'Cache-Control': isCheckpoint ? 'no-cache' : 'public, max-age=31536000, immutable',
    'X-Content-Type-Options': 'nosniff',
  });
  if (method === 'HEAD') return void response.end();
  createReadStream(file)
    .on('error', () => response.destroy())
    .pipe(response);
}

/** Only names that the publisher writes reach the file system: nothing is decoded, nothing climbs. */
function fileOf(directory: string, url: string): string | null {
  const match = /^\/([a-z0-9][a-z0-9-]{0,62}(?:\.\d{1,15})?)\/(checkpoint|tile\/[x0-9a-z./]{1,60})$/.exec(
    url,
  );
  if (match === null) return null;
  const [, log, path] = match;
  if (path !== 'checkpoint' && parseTilePath(path!) === null) return null;
  return join(directory, log!, path!);
}

function end(response: ServerResponse, status: number, headers: Record<string, string> = {}): void {
  response.writeHead(status, { ...headers, 'Content-Type': 'text/plain; charset=utf-8' });
  response.end();
}
