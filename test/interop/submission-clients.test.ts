/** The SMTP listener as swaks, msmtp, curl and openssl see it. */
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  ERIKA,
  identities,
  letter,
  MAX,
  PASSWORD,
  startGateway,
  type TestGateway,
} from '../../src/smtp/testing/gateway.ts';

const run = promisify(execFile);
let gateway: TestGateway;
let folder: string;
let ca: string;

beforeAll(async () => {
  gateway = await startGateway({ dailyQuota: 'messages: 1000, recipients: 1000' });
  folder = await mkdtemp(join(tmpdir(), 'demail-clients-'));
  ca = join(folder, 'ca.pem');
  await writeFile(ca, (await identities()).authority);
  await writeFile(join(folder, 'letter.eml'), letter());
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** Runs a program with something on stdin; its output, or `exit N` and its output. */
async function feed(program: string, args: readonly string[], input: string): Promise<string> {
  const child = spawn(program, args);
  let out = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      out += chunk;
    });
  }
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const code = await new Promise((resolve) => child.on('close', resolve));
  return code === 0 ? out : `exit ${code}\n${out}`;
}

/** Subjects of the letters that the log holds from this number on. */
async function lettersSince(from: number): Promise<(string | null)[]> {
  const { size } = await gateway.store.head('stadt');
  const subjects: (string | null)[] = [];
  for (let index = from; index < size; index++) {
    const entry = await gateway.store.entry('stadt', index);
    if (entry?.kind === 'submission') subjects.push(entry.header.subject);
  }
  return subjects;
}

const size = async (): Promise<number> => (await gateway.store.head('stadt')).size;

describe('mail sent by', () => {
  it.each<[string, (port: TestGateway['ports']) => string[]]>([
    ['STARTTLS', ({ submission }) => ['--port', `${submission}`, '--tls']],
    ['TLS', ({ submissions }) => ['--port', `${submissions}`, '--tls-on-connect']],
    ['STARTTLS, AUTH LOGIN', ({ submission }) => ['--port', `${submission}`, '--tls', '--auth', 'LOGIN']],
  ])('swaks with %s', async (name, options) => {
    const before = await size();
    const { stdout } = await run('swaks', [
      ...[
        '--server',
        '127.0.0.1',
        '--from',
        ERIKA,
        '--to',
        MAX,
        '--h-Subject',
        `swaks ${name}`,
        '--helo',
        'client.example',
      ],
      ...['--auth-user', ERIKA, '--auth-password', PASSWORD, '--tls-verify', '--tls-ca-path', ca],
      ...options(gateway.ports),
    ]);
    expect(stdout).toMatch(/250 2\.0\.0 Accepted as stadt\/\d+/);
    expect(await lettersSince(before)).toEqual([`swaks ${name}`]);
  });

  it('msmtp', async () => {
    const before = await size();
    const config = join(folder, 'msmtprc');
    await writeFile(
      config,
      [
        'account default',
        'host 127.0.0.1',
        `port ${gateway.ports.submission}`,
        'tls on',
        `tls_trust_file ${ca}`,
        'auth plain',
        `user ${ERIKA}`,
        `password ${PASSWORD}`,
        `from ${ERIKA}`,
        '',
      ].join('\n'),
      { mode: 0o600 },
    );
    const args = ['-C', config, '--dsn-notify=success,failure', '--dsn-return=hdrs', MAX];
    expect(await feed('msmtp', args, letter().replaceAll('\r\n', '\n'))).toBe('');
    expect(await lettersSince(before)).toEqual(['Bescheid']);
    const entry = await gateway.store.entry('stadt', before);
    expect(entry).toMatchObject({
      envelope: { ret: 'HDRS', recipients: [{ notify: ['SUCCESS', 'FAILURE'] }] },
    });
  });

  it('curl', async () => {
    const before = await size();
    await run('curl', [
      ...[
        '--silent',
        '--show-error',
        '--url',
        `smtps://127.0.0.1:${gateway.ports.submissions}`,
        '--cacert',
        ca,
      ],
      ...['--user', `${ERIKA}:${PASSWORD}`, '--mail-from', ERIKA, '--mail-rcpt', MAX],
      ...['--upload-file', join(folder, 'letter.eml')],
    ]);
    expect(await lettersSince(before)).toEqual(['Bescheid']);
  });

  it('smtp-source, as a relay, many at once', async () => {
    const before = await size();
    await run('smtp-source', [
      '-s',
      '10',
      '-m',
      '100',
      '-l',
      '10240',
      '-f',
      ERIKA,
      '-t',
      MAX,
      `127.0.0.1:${gateway.ports.relay}`,
    ]);
    expect(await lettersSince(before)).toHaveLength(100);
  });
});

describe('TLS as openssl sees it', () => {
  const client = (port: number, ...options: string[]) =>
    feed(
      'openssl',
      ['s_client', '-connect', `127.0.0.1:${port}`, '-CAfile', ca, '-verify_return_error', ...options],
      'QUIT\r\n',
    );

  it.each<[string, string[], RegExp]>([
    ['1.3', ['-tls1_3'], /TLSv1\.3, Cipher is TLS_AES_256_GCM_SHA384/],
    ['1.2', ['-tls1_2'], /TLSv1\.2, Cipher is ECDHE-ECDSA-AES256-GCM-SHA384/],
    ['P-521', ['-tls1_3', '-curves', 'P-521'], /ECDH, secp521r1/],
    ['1.1', ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'], /^exit 1/],
    ['CBC', ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA'], /^exit 1/],
    ['static RSA', ['-tls1_2', '-cipher', 'AES256-GCM-SHA384'], /^exit 1/],
    ['X25519', ['-curves', 'X25519'], /^exit 1/],
  ])('%s', async (_, options, expected) => {
    expect(await client(gateway.ports.submissions, ...options)).toMatch(expected);
    expect(await client(gateway.ports.submission, '-starttls', 'smtp', ...options)).toMatch(expected);
  });

  it('a client that does not trust the certificate is told of once, to the administrator', async () => {
    const lines: string[] = [];
    const log = pino({ level: 'warn' }, { write: (line: string) => lines.push(line) });
    await using watched = await startGateway({ log });
    for (const version of ['-tls1_2', '-tls1_3', '-tls1_3']) {
      const port = `127.0.0.1:${watched.ports.submissions}`;
      const answer = await feed(
        'openssl',
        ['s_client', '-connect', port, '-verify_return_error', version],
        'QUIT\r\n',
      );
      expect(answer).toMatch(/^exit 1/);
    }
    await vi.waitFor(() => expect(lines.length).toBeGreaterThan(0), { timeout: 60_000 });
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      {
        room: 'smtp',
        listener: 'submissions',
        peer: '127.0.0.1',
        alert: expect.stringContaining('UNKNOWN_CA'),
      },
    ]);
  });

  it('the certificates are strictly valid', async () => {
    const { server, client: relay } = await identities();
    await writeFile(join(folder, 'server.pem'), server.certificate);
    await writeFile(join(folder, 'client.pem'), relay.certificate);
    for (const [purpose, file] of [
      ['sslserver', 'server.pem'],
      ['sslclient', 'client.pem'],
    ] as const) {
      const { stdout } = await run('openssl', [
        'verify',
        '-x509_strict',
        '-purpose',
        purpose,
        '-CAfile',
        ca,
        join(folder, file),
      ]);
      expect(stdout).toContain(': OK');
    }
  });
});
