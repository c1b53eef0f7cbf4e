import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describe, expect, it, vi } from 'vitest';
import { ERIKA, type ImapWorld, openImapWorld, PASSWORD } from './testing/world.ts';

/** Everything a socket says until it closes. */
async function untilClosed(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', () => {});
  await once(socket, 'close');
  return text;
}

async function secure(world: ImapWorld): Promise<Socket> {
  const socket = connectTls({ host: '127.0.0.1', port: world.ports.imaps, ca: world.authority });
  await once(socket, 'secureConnect');
  return socket;
}

function says(socket: Socket, wanted: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      if (!text.includes(wanted)) return;
      socket.off('data', onData);
      resolve();
    };
    socket.on('data', onData);
    socket.on('close', () => reject(new Error(`closed after ${JSON.stringify(text)}`)));
  });
}

describe('the server', () => {
  it('shows out who takes too long to log in, however busy they look', async () => {
    await using world = await openImapWorld({ loginTimeoutMs: 300 });
    const slow = connect(world.ports.imap, '127.0.0.1');
    const timer = setInterval(() => slow.write('a NOOP\r\n'), 50);
    const silentTls = connect(world.ports.imaps, '127.0.0.1');
    const [said, nothing] = await Promise.all([untilClosed(slow), untilClosed(silentTls)]);
    clearInterval(timer);
    expect(said).toContain('* BYE Login took too long');
    expect(nothing).toBe('');
  });

  it('shows out who idles too long after login', async () => {
    await using world = await openImapWorld({ idleTimeoutMs: 200 });
    const socket = await secure(world);
    const said = untilClosed(socket);
    socket.write(`a LOGIN ${ERIKA} ${PASSWORD}\r\n`);
    expect(await said).toMatch(/a OK .*\* BYE Idle for too long/s);
  });

  it('admits so many and no more, and so many of one address before login', async () => {
    await using world = await openImapWorld({ sessions: 3, strangersPerAddress: 2 });
    const first = await secure(world);
    const second = connect(world.ports.imap, '127.0.0.1');
    await says(second, '* OK');
    const third = await untilClosed(connect(world.ports.imap, '127.0.0.1'));
    expect(third).toBe('* BYE [UNAVAILABLE] Too many connections, try again later\r\n');
    const loggedIn = says(first, 'a OK');
    first.write(`a LOGIN ${ERIKA} ${PASSWORD}\r\n`);
    await loggedIn;
    const fourth = connect(world.ports.imap, '127.0.0.1');
    await says(fourth, '* OK');
    expect(await untilClosed(connect(world.ports.imap, '127.0.0.1'))).toContain('* BYE');
    for (const socket of [first, second, fourth]) socket.destroy();
  });

  it('says BYE to all when it closes, also to who idles, and lets go of the port', async () => {
    await using world = await openImapWorld();
    const stranger = connect(world.ports.imap, '127.0.0.1');
    await says(stranger, '* OK');
    const idler = await secure(world);
    idler.write(`a LOGIN ${ERIKA} ${PASSWORD}\r\nb IDLE\r\n`);
    await says(idler, '+ idling');
    const both = Promise.all([untilClosed(stranger), untilClosed(idler)]);
    await world.server.close();
    for (const said of await both) expect(said).toContain('* BYE [UNAVAILABLE] Server is shutting down');
    const again = connect(world.ports.imap, '127.0.0.1');
    const [error] = await once(again, 'error');
    expect(error).toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('forgets what was said in clear after STARTTLS', async () => {
    await using world = await openImapWorld();
    const plain = connect(world.ports.imap, '127.0.0.1');
    await says(plain, '* OK');
    const begun = says(plain, 'a OK');
    plain.write('a STARTTLS\r\nb CREATE injected\r\nc LOGOUT\r\n');
    await begun;
    plain.removeAllListeners('data');
    const socket = connectTls({ socket: plain, ca: world.authority, host: '127.0.0.1' });
    await once(socket, 'secureConnect');
    const said = says(socket, 'd OK');
    let all = '';
    socket.on('data', (chunk: Buffer) => {
      all += chunk.toString('latin1');
    });
    socket.write('d CAPABILITY\r\n');
    await said;
    expect(all).not.toMatch(/^[bc] /m);
    socket.destroy();
  });

  it('outlives clients that vanish in the middle of anything', async () => {
    await using world = await openImapWorld();
    const big = 8 * 1024 * 1024;
    for (const ending of [`x APPEND INBOX {${big}+}\r\nabc`, 'x IDLE\r\n', 'x FETCH 1 BODY[]\r\n', 'x LOG']) {
      const socket = await secure(world);
      socket.write(`a LOGIN ${ERIKA} ${PASSWORD}\r\nb SELECT INBOX\r\n`);
      await says(socket, 'b OK');
      if (ending.includes('FETCH')) {
        const done = says(socket, 'c OK');
        socket.write(`c APPEND INBOX {${big}+}\r\n${'x'.repeat(big)}\r\n`);
        await done;
        const streaming = once(socket, 'data');
        socket.write(ending);
        await streaming;
      } else socket.write(ending);
      socket.destroy();
    }
    // No half of a message was kept, and the next client is served.
    await vi.waitFor(async () => {
      const mailbox = await world.store.mailbox('stadt', { type: 'user', name: ERIKA }, 'INBOX');
      expect(mailbox?.messages).toBe(1);
    });
    const next = await secure(world);
    const done = says(next, 'a OK');
    next.write(`a LOGIN ${ERIKA} ${PASSWORD}\r\n`);
    await done;
    next.destroy();
  });

  it('takes no more from the store than a slow reader takes from it', async () => {
    await using world = await openImapWorld();
    const big = 40 * 1024 * 1024;
    const socket = await secure(world);
    socket.write(`a LOGIN ${ERIKA} ${PASSWORD}\r\n`);
    await says(socket, 'a OK');
    const appended = says(socket, 'b OK');
    socket.write(`b APPEND INBOX {${big}+}\r\n`);
    for (let sent = 0; sent < big; sent += 1 << 20)
      if (!socket.write(Buffer.alloc(1 << 20, 'x'))) await once(socket, 'drain');
    socket.write('\r\nc SELECT INBOX\r\n');
    await appended;
    let reads = 0;
    const readSource = world.store.readSource.bind(world.store);
    world.store.readSource = async function* (...args) {
      for await (const chunk of readSource(...args)) {
        reads += chunk.length;
        yield chunk;
      }
    };
    socket.write('d FETCH 1 BODY.PEEK[]\r\n');
    await vi.waitFor(() => expect(reads).toBeGreaterThan(0));
    socket.pause();
    let before = -1;
    await vi.waitFor(
      () => {
        const steady = reads === before;
        before = reads;
        expect(steady).toBe(true);
      },
      { interval: 100, timeout: 10_000 },
    );
    // What lies in the kernel's buffers and ours, not the message.
    expect(reads).toBeLessThan(big / 2);
    socket.destroy();
  });
});
