/**
 * Does somebody answer there, with the right certificate? Never a login and never our client certificate: a
 * login at level high fixes the moment of service of official mail (TR-01201 FU 3.3.5).
 */
import net from 'node:net';
import tls from 'node:tls';
import type { EndpointConfig } from '../config/schema.ts';
import { loadTarget } from '../provider/connect.ts';

const patienceMs = 10_000;

/** @returns what was seen, in words. @throws Error what is wrong */
export async function probeEndpoint(
  endpoint: EndpointConfig,
  protocol: 'smtp' | 'imap' | 'lmtp',
  trustAnchors: readonly string[],
): Promise<string> {
  const target = await loadTarget(endpoint, { trustAnchors });
  const socket =
    endpoint.socket === undefined
      ? net.connect(endpoint.port!, endpoint.host!)
      : net.connect(endpoint.socket);
  try {
    await event(socket, 'connect');
    if (endpoint.security === 'none') return 'reachable';
    if (endpoint.security === 'starttls') await requestTls(socket, protocol);
    const secure = tls.connect({ ...target.tls, socket });
    try {
      await event(secure, 'secureConnect');
      const certificate = secure.getPeerX509Certificate();
      return `${secure.getProtocol()}, certificate until ${certificate?.validToDate.toISOString().slice(0, 10)}`;
    } finally {
      secure.destroy();
    }
  } finally {
    socket.destroy();
  }
}

/** RFC 3207 for SMTP, RFC 9051 6.2.1 for IMAP. */
async function requestTls(socket: net.Socket, protocol: 'smtp' | 'imap' | 'lmtp'): Promise<void> {
  if (protocol === 'imap') {
    await answer(socket, undefined, /^\* OK/m);
    await answer(socket, 'a STARTTLS', /^a OK/im);
    return;
  }
  await answer(socket, undefined, /^220 /m);
  await answer(socket, `${protocol === 'lmtp' ? 'LHLO' : 'EHLO'} localhost`, /^250 /m);
  await answer(socket, 'STARTTLS', /^220 /m);
}

function answer(socket: net.Socket, command: string | undefined, expected: RegExp): Promise<void> {
  if (command !== undefined) socket.write(`${command}\r\n`);
  return new Promise((resolve, reject) => {
    let text = '';
    const done = (error?: Error) => {
      clearTimeout(timer);
      socket.off('data', take).off('error', done).off('close', closed);
      socket.pause();
      if (error) reject(error);
      else resolve();
    };
    const take = (chunk: Buffer) => {
      text = (text + chunk.toString('latin1')).slice(-10_000);
      if (expected.test(text)) done();
      else if (/^([45]\d\d|a (NO|BAD)) /m.test(text)) done(new Error(`answered: ${text.trim()}`));
    };
    const closed = () => done(new Error('closed the connection before TLS'));
    const timer = setTimeout(() => done(new Error('did not answer in time')), patienceMs);
    socket.on('data', take).on('error', done).on('close', closed);
    socket.resume();
  });
}

function event(socket: net.Socket, name: 'connect' | 'secureConnect'): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('did not answer in time')), patienceMs);
    socket.once(name, () => {
      clearTimeout(timer);
      resolve();
    });
    socket.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
  });
}
