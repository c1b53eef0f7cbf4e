import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Authority, createAuthority } from '../pki/authority.ts';
import { loadTarget } from './connect.ts';
import {
  openSession,
  type Parcel,
  type SessionSettings,
  type SmtpSession,
  type Transmission,
} from './smtp-session.ts';
import { type PeerOptions, type SubmissionPeer, startSubmissionPeer } from './testing/submission-peer.ts';

let authority: Authority;
let stranger: Authority;
let folder: string;
const never = new AbortController().signal;
const settings: SessionSettings = {
  hostname: 'gateway.example',
  timeouts: { connect: 60_000, greeting: 60_000, silence: 60_000 },
};

beforeAll(async () => {
  authority = await createAuthority({ name: 'Test CA' });
  stranger = await createAuthority({ name: 'Other CA' });
  folder = await mkdtemp(join(tmpdir(), 'smtp-session-'));
  await writeFile(join(folder, 'ca.pem'), authority.certificate);
  await writeFile(join(folder, 'stranger.pem'), stranger.certificate);
  const client = await authority.issue({ commonName: 'stadt', purpose: 'client' });
  await writeFile(join(folder, 'client.pem'), client.certificate);
  await writeFile(join(folder, 'client.key'), client.key);
});
afterAll(() => rm(folder, { recursive: true }));

function peer(options: Omit<PeerOptions, 'authority'> = {}): Promise<SubmissionPeer> {
  return startSubmissionPeer({ authority, ...options });
}

async function connect(
  port: number,
  security: 'tls' | 'starttls' | 'none' = 'tls',
  {
    host = 'localhost',
    anchors = 'ca.pem',
    identity = false,
    ...more
  }: { host?: string; anchors?: string; identity?: boolean } & Partial<SessionSettings> = {},
): Promise<SmtpSession> {
  const target = await loadTarget(
    { host, port, security },
    {
      trustAnchors: [join(folder, anchors)],
      clientIdentity: identity
        ? { certificate: join(folder, 'client.pem'), key: join(folder, 'client.key') }
        : undefined,
    },
  );
  return openSession(target, { ...settings, ...more }, never);
}

function parcel(message: string | Buffer, more: Partial<Parcel> = {}): Parcel {
  const bytes = Buffer.from(message);
  return {
    from: 'poststelle@stadt.de-mail.example',
    recipients: ['max@buerger.de-mail.example'],
    size: bytes.length,
    eightBit: false,
    wholeSet: true,
    async *content() {
      for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
    },
    ...more,
  };
}

const letter = 'Subject: Bescheid\r\n\r\nGuten Tag\r\n';

describe('connecting', () => {
  it.each(['tls', 'starttls', 'none'] as const)('works with security %s', async (mode) => {
    await using server = await peer({ mode });
    const session = await connect(server.port, mode);
    const sent = await session.send(parcel(letter), never);
    expect(sent.end).toBe('answered');
    expect(sent.recipients).toEqual([
      { address: 'max@buerger.de-mail.example', result: 'accepted', reply: expect.stringMatching(/^250/) },
    ]);
    if (mode === 'none') expect(session.peer.certificate).toBeUndefined();
    else expect(session.peer.certificate).toMatch(/^[0-9a-f]{64}$/);
    session.close();
  });

  it('refuses a server that offers no STARTTLS', async () => {
    await using server = await peer({ mode: 'none' });
    await expect(connect(server.port, 'starttls')).rejects.toThrow(/STARTTLS/i);
    expect(server.received).toEqual([]);
  });

  it('refuses a certificate of another authority', async () => {
    await using server = await peer();
    await expect(connect(server.port, 'tls', { anchors: 'stranger.pem' })).rejects.toThrow(
      /certificate|issuer/i,
    );
  });

  it('refuses a certificate for another name', async () => {
    await using server = await peer();
    const target = await loadTarget(
      { host: '127.0.0.1', port: server.port, security: 'tls', serverName: 'mail.example' },
      { trustAnchors: [join(folder, 'ca.pem')] },
    );
    await expect(openSession(target, settings, never)).rejects.toThrow(/altnames|mail\.example/);
  });

  it('presents its certificate where one is asked for', async () => {
    await using server = await peer({ clientAuthority: authority.certificate });
    const session = await connect(server.port, 'tls', { identity: true });
    expect((await session.send(parcel(letter), never)).end).toBe('answered');
    session.close();
    const refused = connect(server.port).then((s) => s.send(parcel(letter), never));
    await expect(refused.then((s) => s.end)).rejects.toThrow();
  });

  it('logs in, and says so when that fails', async () => {
    await using server = await peer();
    server.behaviour.login = (user, password) => user === 'stadt' && password === 'geheim';
    const session = await connect(server.port, 'tls', { credentials: { user: 'stadt', password: 'geheim' } });
    session.close();
    await expect(
      connect(server.port, 'tls', { credentials: { user: 'stadt', password: 'falsch' } }),
    ).rejects.toThrow(/535/);
  });

  it('reaches a connector on a Unix socket', async () => {
    const socketPath = join(folder, 'connector.sock');
    await using server = await peer({ mode: 'none', socketPath });
    const target = await loadTarget({ socket: socketPath, security: 'none' }, { trustAnchors: [] });
    const session = await openSession(target, settings, never);
    expect(session.peer.endpoint).toBe(`unix:${socketPath}`);
    expect((await session.send(parcel(letter), never)).end).toBe('answered');
    expect(server.received).toHaveLength(1);
    session.close();
  });

  it('names the file that it cannot read', async () => {
    await expect(connect(1, 'tls', { anchors: 'missing.pem' })).rejects.toThrow(/missing\.pem/);
  });
});

describe('exact bytes', () => {
  it('survive dots, long lines, and every chunk border', async () => {
    await using server = await peer();
    const session = await connect(server.port);
    const line = fc.oneof(
      fc.constantFrom('', '.', '..', '.x', ' ', '\tfolded', 'From me', 'x'.repeat(998)),
      fc.string({ maxLength: 70 }).map((text) => text.replace(/[\r\n]/g, '')),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 40 }), async (lines) => {
        const bytes = Buffer.from(`${lines.join('\r\n')}\r\n`);
        const sent = await session.send(parcel(bytes, { eightBit: true }), never);
        expect(sent.end).toBe('answered');
        const got = server.received.at(-1)!;
        expect(got.sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
      }),
      { numRuns: 60 },
    );
    session.close();
    expect(server.connections()).toBe(1);
  });
});

describe('recipients refused', () => {
  const three = ['a@x.de-mail.example', 'b@x.de-mail.example', 'c@x.de-mail.example'];

  it('sends nothing when the set is not taken whole, and names who would take it', async () => {
    await using server = await peer();
    server.behaviour.rcpt = (address) => (address.startsWith('b') ? '550 5.1.1 unknown' : null);
    const session = await connect(server.port);
    const sent = await session.send(parcel(letter, { recipients: three }), never);
    expect(sent.end).toBe('unsent');
    expect(sent.takers).toEqual([three[0], three[2]]);
    expect(sent.recipients.map((r) => r.result)).toEqual(['deferred', 'refused', 'deferred']);
    expect(sent.recipients[1]!.reply).toMatch(/^550 5\.1\.1/);
    expect(session.usable()).toBe(false);
    expect(server.received).toEqual([]);
  });

  it('takes what it can get where the set need not be whole', async () => {
    await using server = await peer();
    server.behaviour.rcpt = (address) => (address.startsWith('b') ? '450 4.2.1 later' : null);
    const session = await connect(server.port);
    const sent = await session.send(parcel(letter, { recipients: three, wholeSet: false }), never);
    expect(sent.end).toBe('answered');
    expect(sent.recipients.map((r) => r.result)).toEqual(['accepted', 'deferred', 'accepted']);
    expect(server.received[0]!.recipients).toEqual([three[0], three[2]]);
    session.close();
  });

  it('gives each its own reply when all are refused, and the connection stays', async () => {
    await using server = await peer();
    server.behaviour.rcpt = (address) => (address.startsWith('b') ? '451 4.3.0 later' : '550 5.1.1 unknown');
    const session = await connect(server.port);
    const sent = await session.send(parcel(letter, { recipients: three }), never);
    expect(sent.end).toBe('answered');
    expect(sent.recipients.map((r) => r.result)).toEqual(['refused', 'deferred', 'refused']);
    expect(session.usable()).toBe(true);
    server.behaviour.rcpt = () => null;
    expect((await session.send(parcel(letter), never)).end).toBe('answered');
    session.close();
  });

  it('tells the results of LMTP apart', async () => {
    await using server = await peer({ mode: 'none', lmtp: true });
    const session = await connect(server.port, 'none', { lmtp: true });
    const sent = await session.send(parcel(letter, { from: '', recipients: three, wholeSet: false }), never);
    expect(sent.end).toBe('answered');
    expect(sent.recipients.map((r) => r.result)).toEqual(['accepted', 'accepted', 'accepted']);
    expect(server.received[0]!.from).toBe('');
    session.close();
  });
});

/** A peer that follows a script, for what no honest server does. */
async function scripted(
  answer: (line: string, socket: Socket) => string | null,
): Promise<{ port: number; close(): void }> {
  const server = createServer((socket) => {
    socket.write('220 odd.example\r\n');
    socket.on('error', () => {});
    socket.on('data', (data) => {
      for (const line of data.toString('latin1').split('\r\n')) {
        const reply = line === '' ? null : answer(line, socket);
        if (reply !== null) socket.write(`${reply}\r\n`);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as { port: number }).port, close: () => server.close() };
}

describe('what is known after a failure', () => {
  it.each(['530 5.7.0 log in first', '421 4.3.2 shutting down'])(
    '%s does not cost the mail its recipient',
    async (reply) => {
      const server = await scripted((line) => {
        if (/^(EHLO|RCPT)/.test(line)) return '250 ok';
        if (line.startsWith('MAIL')) return reply;
        return line === 'DATA' ? '503 no' : null;
      });
      const session = await connect(server.port, 'none', { host: '127.0.0.1' });
      const sent = await session.send(parcel(letter), never);
      expect(sent).toMatchObject({ end: 'answered', recipients: [{ result: 'deferred' }] });
      expect(sent.reply).toContain(reply.slice(0, 3));
      server.close();
    },
  );

  it.each([
    ['451 4.3.0 try later', 'deferred'],
    ['421 4.3.2 shutting down', 'deferred'],
    ['554 5.7.1 no', 'refused'],
  ] as const)('a final reply %s is an answer: %s', async (reply, result) => {
    await using server = await peer();
    server.behaviour.data = () => reply;
    const session = await connect(server.port);
    const sent = await session.send(parcel(letter), never);
    expect(sent.end).toBe('answered');
    expect(sent.recipients[0]).toMatchObject({ result, reply: expect.stringContaining(reply) });
    session.close();
  });

  it('is in doubt when the connection is cut after the final dot', async () => {
    await using server = await peer();
    server.behaviour.data = () => 'cut';
    const session = await connect(server.port);
    const sent = await session.send(parcel(letter), never);
    expect(sent.end).toBe('in-doubt');
    expect(server.received).toHaveLength(1);
  });

  it('is in doubt when the gateway stops while it waits for the reply', async () => {
    const stop = new AbortController();
    await using server = await peer();
    server.behaviour.data = () => {
      stop.abort();
      return null;
    };
    const session = await connect(server.port);
    expect((await session.send(parcel(letter), stop.signal)).end).toBe('in-doubt');
  });

  it('is certain that nothing was sent when the content breaks off', async () => {
    await using server = await peer();
    const session = await connect(server.port);
    const sent = await session.send(
      parcel(letter, {
        async *content() {
          yield Buffer.from(letter);
          throw new Error('corrupt: object');
        },
      }),
      never,
    );
    expect(sent).toMatchObject({ end: 'broken', reply: 'corrupt: object' });
    expect(session.usable()).toBe(false);
    expect(server.received).toEqual([]);
  });

  it.each<[string, (socket: Socket) => unknown, Transmission['end'], string]>([
    ['a cut in the middle of the content', (socket: Socket) => socket.destroySoon(), 'broken', 'deferred'],
    [
      'a refusal in the middle of the content',
      (socket: Socket) => socket.write('552 5.3.4 too much\r\n'),
      'answered',
      'refused',
    ],
    ['an early acceptance', (socket: Socket) => socket.write('250 thanks\r\n'), 'in-doubt', 'deferred'],
  ])('%s', async (_what, act, end, result) => {
    let release = () => {};
    const acted = new Promise<void>((resolve) => {
      release = resolve;
    });
    const server = await scripted((line, socket) => {
      if (/^(EHLO|MAIL|RCPT)/.test(line)) return '250 ok';
      if (line === 'DATA') return '354 go';
      if (line.startsWith('first')) {
        act(socket);
        setImmediate(release);
      }
      return null;
    });
    const session = await connect(server.port, 'none', { host: '127.0.0.1' });
    const hold = Promise.withResolvers<void>();
    const sending: Promise<Transmission> = session.send(
      parcel('', {
        async *content() {
          yield Buffer.from('first\r\n');
          await acted;
          await hold.promise;
          yield Buffer.from('last\r\n');
        },
      }),
      never,
    );
    const sent = await sending;
    hold.resolve();
    expect(sent.end).toBe(end);
    expect(sent.recipients[0]!.result).toBe(result);
    expect(session.usable()).toBe(false);
    server.close();
  });

  it('a garbled reply to the final dot is no answer', async () => {
    const server = await scripted((line) => {
      if (/^(EHLO|MAIL|RCPT)/.test(line)) return '250 ok';
      if (line === 'DATA') return '354 go';
      return line === '.' ? 'hm' : null;
    });
    const session = await connect(server.port, 'none', { host: '127.0.0.1' });
    expect((await session.send(parcel(letter), never)).end).toBe('in-doubt');
    server.close();
  });
});
