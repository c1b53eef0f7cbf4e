/**
 * From an endpoint of the configuration to what the SMTP and IMAP libraries need to connect: TLS from the
 * first byte or by STARTTLS (never without), our certificate, the anchors to trust. Files are read at every
 * new connection, so that a renewed certificate needs no restart.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import net from 'node:net';
import tls from 'node:tls';
import type { ImapFlowOptions, ImapTransport } from 'imapflow';
import type { SMTPConnectionOptions } from 'nodemailer/lib/smtp-connection';
import type { EndpointConfig } from '../config/schema.ts';
import { tlsProfile } from '../pki/tls.ts';

/** An endpoint with its certificates read. */
export interface Target {
  /** `host:port` or `unix:path`, as logs and entries name it. */
  readonly name: string;
  readonly endpoint: EndpointConfig;
  /** Name that the peer's certificate must carry. */
  readonly expectedName: string;
  readonly tls: tls.ConnectionOptions;
  /** Hex SHA-256 of the peer's certificate (DER), once a verified handshake has shown it. */
  readonly certificate: () => string | undefined;
}

export interface Trust {
  /** PEM files; empty means the system's roots. */
  readonly trustAnchors: readonly string[];
  readonly clientIdentity?: { readonly certificate: string; readonly key: string } | undefined;
}

/** `host:port` or `unix:path`. */
function endpointName(endpoint: EndpointConfig): string {
  return endpoint.socket === undefined ? `${endpoint.host}:${endpoint.port}` : `unix:${endpoint.socket}`;
}

/**
 * Reads what a connection to the endpoint needs.
 * @throws Error naming the file that cannot be read.
 */
export async function loadTarget(endpoint: EndpointConfig, trust: Trust): Promise<Target> {
  const expectedName = endpoint.serverName ?? endpoint.host ?? 'localhost';
  let certificate: string | undefined;
  const options: tls.ConnectionOptions =
    endpoint.security === 'none'
      ? {}
      : {
          ...tlsProfile,
          rejectUnauthorized: true,
          ca: await readAnchors(trust.trustAnchors),
          ...(net.isIP(expectedName) === 0 ? { servername: expectedName } : {}),
          ...(trust.clientIdentity === undefined
            ? {}
            : {
                cert: await readPem(trust.clientIdentity.certificate, 'client certificate'),
                key: await readPem(trust.clientIdentity.key, 'client key'),
              }),
          checkServerIdentity: (_host, peer) => {
            const refusal = tls.checkServerIdentity(expectedName, peer);
            if (refusal === undefined) certificate = createHash('sha256').update(peer.raw).digest('hex');
            return refusal;
          },
        };
  return {
    name: endpointName(endpoint),
    endpoint,
    expectedName,
    tls: options,
    certificate: () => certificate,
  };
}

async function readAnchors(files: readonly string[]): Promise<string[]> {
  if (files.length > 0) return Promise.all(files.map((file) => readPem(file, 'trust anchor')));
  const system = tls.getCACertificates('system');
  return system.length > 0 ? system : tls.getCACertificates('default');
}

async function readPem(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new Error(`${what} ${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Options for nodemailer's SMTPConnection. A Unix socket is opened here, since the library opens none;
 * rejects when that fails.
 */
export async function smtpOptions(target: Target): Promise<SMTPConnectionOptions> {
  const { endpoint } = target;
  const options: SMTPConnectionOptions = {
    secure: endpoint.security === 'tls',
    ...(endpoint.security === 'starttls' ? { requireTLS: true } : {}),
    ...(endpoint.security === 'none' ? { ignoreTLS: true } : {}),
    tls: target.tls,
    logger: false,
  };
  if (endpoint.socket !== undefined) {
    return { ...options, host: target.expectedName, connection: await openSocket(endpoint.socket) };
  }
  return {
    ...options,
    host: endpoint.host,
    port: endpoint.port,
    ...(endpoint.serverName === undefined ? {} : { servername: endpoint.serverName }),
  };
}

/** Options for imapflow. */
export function imapOptions(target: Target): ImapFlowOptions {
  const { endpoint } = target;
  return {
    host: endpoint.host ?? target.expectedName,
    port: endpoint.port ?? 0,
    secure: endpoint.security === 'tls',
    doSTARTTLS: endpoint.security === 'starttls',
    ...(endpoint.serverName === undefined ? {} : { servername: endpoint.serverName }),
    tls: target.tls,
    logger: false,
    ...(endpoint.socket === undefined ? {} : { transport: socketTransport(endpoint.socket) }),
  };
}

function openSocket(path: string): Promise<net.Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<net.Socket>();
  const socket = net.connect({ path });
  socket.once('error', reject);
  socket.once('connect', () => {
    socket.off('error', reject);
    resolve(socket);
  });
  return promise;
}

function socketTransport(path: string): ImapTransport {
  return {
    connect: (options, onConnect) =>
      options.secure ? tls.connect({ path, ...options.tls }, onConnect) : net.connect({ path }, onConnect),
    upgrade: (socket, options, onSecure) =>
      tls.connect({ socket: socket as net.Socket, ...options.tls }, onSecure),
  };
}
