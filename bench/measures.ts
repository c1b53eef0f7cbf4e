/** The measurements. Each starts what it needs, measures, and leaves nothing behind. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Document } from 'yaml';
import { installGateway } from '../test/interop/peers/gateway.ts';
import { freePort } from '../test/interop/peers/port.ts';
import { startPostfix } from '../test/interop/peers/postfix.ts';
import { connectSmtp } from '../test/interop/peers/smtp-client.ts';
import type { Figure } from './report.ts';

const sender = 'erika.mustermann@ego-mv.example';
const recipient = 'max.mustermann@buerger.de-mail.example';
const small = 10 * 1024;
const large = 40 * 1024 ** 2;

/** Durable submissions per second, nothing handed on. */
export async function intake(): Promise<Figure[]> {
  const messages = 5000;
  const method =
    `\`smtp-source -d -s 10 -l ${small} -m ${messages}\` to the relay listener; the provider is not reachable, ` +
    'so that nothing is handed over. Postfix: the same, every message on HOLD (bench/postfix). Warmed up by ' +
    '500 messages; each 250 follows a sync of the disk on both sides';
  await using installation = await installGateway(await nobody(), { edit: withoutTls });
  const gateway = await installation.start();
  await source(installation.ports.relay, { messages: 500, size: small });
  const ours = messages / (await source(installation.ports.relay, { messages, size: small }));
  gateway.kill('SIGTERM');
  await gateway.exited;

  const port = await freePort();
  await using _postfix = await startPostfix({
    main: `${await pinned('main.cf')}${await pinned('intake.cf')}`,
    services: [`127.0.0.1:${port} inet n - n - - smtpd`],
  });
  await source(port, { messages: 500, size: small });
  const theirs = messages / (await source(port, { messages, size: small }));
  return [
    { what: 'intake, gateway', value: ours, unit: 'messages/s', method },
    { what: 'intake, Postfix', value: theirs, unit: 'messages/s', method },
    {
      what: 'intake, ratio',
      value: ours / theirs,
      unit: '×',
      goal: { text: 'at least 2', reached: ours >= 2 * theirs },
      method,
    },
  ];
}

/** From the first submission to the last message at the far end. */
export async function endToEnd(): Promise<Figure[]> {
  const messages = 2000;
  const method =
    `\`smtp-source -d -s 10 -l ${small} -m ${messages}\` until \`smtp-sink\` has counted the last one; 20 ` +
    'connections to the sink at most, for both';
  const sinkPort = await freePort();
  await using installation = await installGateway(
    { smtp: sinkPort, imap: (await nobody()).imap },
    { edit: withoutTls },
  );
  const sink = smtpSink(sinkPort, messages);
  const gateway = await installation.start();
  const begun = performance.now();
  await source(installation.ports.relay, { messages, size: small });
  await sink;
  const ours = messages / ((performance.now() - begun) / 1000);
  gateway.kill('SIGTERM');
  await gateway.exited;

  const port = await freePort();
  await using _postfix = await startPostfix({
    main: `${await pinned('main.cf')}relayhost = [127.0.0.1]:${sinkPort}\n`,
    services: [`127.0.0.1:${port} inet n - n - - smtpd`],
  });
  const again = smtpSink(sinkPort, messages);
  const begunAgain = performance.now();
  await source(port, { messages, size: small });
  await again;
  const theirs = messages / ((performance.now() - begunAgain) / 1000);
  return [
    { what: 'end to end, gateway', value: ours, unit: 'messages/s', method },
    { what: 'end to end, Postfix', value: theirs, unit: 'messages/s', method },
  ];
}

/** How long others wait for their 250 while ten large messages come in. */
export async function latencyUnderUploads(): Promise<Figure[]> {
  const method =
    `one client sends messages of ${small} bytes, one after another, while \`smtp-source -s 10\` sends 40 of ` +
    '40 MiB; from the final dot to the reply';
  await using installation = await installGateway(await nobody(), { edit: withoutTls });
  const gateway = await installation.start();
  const waits: number[] = [];
  const uploads = { running: true };
  const uploading = source(installation.ports.relay, { messages: 40, size: large, sessions: 10 }).finally(
    () => {
      uploads.running = false;
    },
  );
  using client = await connectSmtp(installation.ports.relay);
  const message = Buffer.from(
    `From: ${sender}\r\nTo: ${recipient}\r\nSubject: probe\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(140)}`,
  );
  while (uploads.running) waits.push(await client.timedSend(sender, [recipient], message));
  const seconds = await uploading;
  gateway.kill('SIGTERM');
  await gateway.exited;
  const sorted = waits.toSorted((a, b) => a - b);
  const p99 = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))]!;
  return [
    {
      what: 'reply to DATA under uploads, 99th percentile',
      value: p99,
      unit: 'ms',
      goal: { text: 'under 250 ms', reached: p99 < 250 },
      method,
    },
    { what: 'reply to DATA under uploads, median', value: sorted[sorted.length >> 1]!, unit: 'ms', method },
    { what: 'probes sent meanwhile', value: sorted.length, unit: 'messages', method },
    { what: 'uploads meanwhile', value: (40 * 40) / seconds, unit: 'MiB/s', method },
  ];
}

/** The gateway's greatest resident size. */
export async function memoryUnderUploads(): Promise<Figure[]> {
  const method = 'VmHWM of the gateway process after `smtp-source -s 50 -m 50` of 40 MiB each, all at once';
  await using installation = await installGateway(await nobody(), { edit: withoutTls });
  const gateway = await installation.start();
  const seconds = await source(installation.ports.relay, { messages: 50, size: large, sessions: 50 });
  const peak = await peakMemory(gateway.pid);
  gateway.kill('SIGTERM');
  await gateway.exited;
  return [
    {
      what: 'memory, 50 × 40 MiB at once',
      value: peak,
      unit: 'MiB',
      goal: { text: 'under 300 MB', reached: peak * 1024 ** 2 < 300e6 },
      method,
    },
    { what: 'throughput meanwhile', value: (50 * 40) / seconds, unit: 'MiB/s', method },
  ];
}

/** Runs smtp-source to its end; seconds. @throws Error where it was refused anything */
async function source(
  port: number,
  load: { readonly messages: number; readonly size: number; readonly sessions?: number },
): Promise<number> {
  const args = ['-s', String(load.sessions ?? 10), '-m', String(load.messages), '-l', String(load.size)];
  const child = spawn(
    '/usr/sbin/smtp-source',
    ['-d', ...args, '-f', sender, '-t', recipient, `127.0.0.1:${port}`],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  const begun = performance.now();
  const [code] = (await once(child, 'exit')) as [number];
  if (code !== 0) throw new Error(`smtp-source ended with ${code}`);
  return (performance.now() - begun) / 1000;
}

/** Takes messages and forgets them; resolves when it has had so many. */
function smtpSink(port: number, messages: number): Promise<unknown> {
  const args = ['-u', 'postfix', '-M', String(messages), `127.0.0.1:${port}`, '1024'];
  return once(spawn('/usr/sbin/smtp-sink', args, { stdio: ['ignore', 'inherit', 'inherit'] }), 'exit');
}

/** A provider at which nobody answers. */
export async function nobody(): Promise<{ smtp: number; imap: number }> {
  return { smtp: await freePort(), imap: await freePort() };
}

/** The far end is a connector on this machine, as Postfix's is: no TLS, no login, equally many connections. */
export function withoutTls(config: Document): void {
  const { tenants } = config.toJS() as { tenants: unknown[] };
  for (const index of tenants.keys()) {
    const at = ['tenants', index, 'provider'];
    for (const side of ['smtp', 'imap'] as const) config.setIn([...at, side, 'security'], 'none');
    for (const key of ['user', 'clientIdentity', 'trustAnchors', 'sentFolder']) config.deleteIn([...at, key]);
    config.setIn([...at, 'connections'], 20);
  }
}

async function peakMemory(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]) / 1024;
}

function pinned(name: string): Promise<string> {
  return readFile(join(import.meta.dirname, 'postfix', name), 'utf8');
}
