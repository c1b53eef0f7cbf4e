/** A long search lets others be served, and ends when its client is gone. */
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { expect, it, vi } from 'vitest';
import { ERIKA, type ImapWorld, openImapWorld, PASSWORD } from './testing/world.ts';

async function loggedIn(world: ImapWorld): Promise<{ socket: TLSSocket; until(tag: string): Promise<void> }> {
  const socket = connect({ host: '127.0.0.1', port: world.ports.imaps, ca: world.authority });
  await once(socket, 'secureConnect');
  let heard = '';
  socket.on('data', (chunk: Buffer) => {
    heard += chunk.toString('latin1');
  });
  const until = (tag: string) =>
    vi.waitFor(() => expect(heard).toContain(`\r\n${tag} OK`), { interval: 2, timeout: 10_000 });
  socket.write(`l LOGIN ${ERIKA} ${PASSWORD}\r\n`);
  await until('l');
  return { socket, until };
}

it('gives way to others within one command, and stops for nobody', async () => {
  await using world = await openImapWorld({}, { searchText: false });
  const searcher = await loggedIn(world);
  const other = await loggedIn(world);
  const text = `Content-Type: text/html\r\n\r\n${'<p>Gr&uuml;&szlig;e aus Waren</p>\r\n'.repeat(8000)}`;
  for (let n = 0; n < 8; n++) searcher.socket.write(`a${n} APPEND INBOX {${text.length}+}\r\n${text}\r\n`);
  searcher.socket.write('s SELECT INBOX\r\n');
  await searcher.until('s');

  const ended: string[] = [];
  searcher.socket.write('t SEARCH TEXT nirgends\r\n');
  other.socket.write('n NOOP\r\n');
  await Promise.all([
    searcher.until('t').then(() => ended.push('search')),
    other.until('n').then(() => ended.push('noop')),
  ]);
  expect(ended).toEqual(['noop', 'search']);

  const read = vi.spyOn(world.store, 'contents');
  searcher.socket.write('u SEARCH TEXT nirgends\r\n');
  await vi.waitFor(() => expect(read).toHaveBeenCalled(), { interval: 1 });
  searcher.socket.destroy();
  await world.server.close();
  const seen = read.mock.calls.flatMap(([, , uids]) => uids);
  expect(new Set(seen).size).toBeLessThan(8);
});
