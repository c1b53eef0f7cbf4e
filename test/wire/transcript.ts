/**
 * Plays a transcript against a server. Lines:
 *   `# …`              comment
 *   `@ login NAME`     logs in on the connection in use, without showing it
 *   `@ tenant {…}`     keys of the tenant (JSON), beside those of testing/world.ts
 *   `@ tls` / `@ plain`  how the next connection is made (TLS by default)
 *   `C: …`, `C2: …`    the client sends the line with CRLF; the number names a connection, opened when used
 *   `S: …`, `S2: …`    the server must send exactly that line next; `<*>` stands for anything
 *   `S: (closed)`      the server must close
 * The file is read as octets: what is not ASCII goes out as it stands.
 * After the last line nothing more may come.
 */
import { expect } from 'vitest';
import { openRawClient } from '../../src/imap/testing/raw-client.ts';
import { type ImapWorld, PASSWORD } from '../../src/imap/testing/world.ts';

interface Line {
  read(): Promise<string>;
  write(line: string): void;
  secure(): Promise<void>;
  close(): void;
}

export async function playTranscript(world: ImapWorld, text: string): Promise<void> {
  const connections = new Map<string, Line>();
  let tls = true;
  let last = '1';
  const line = async (name: string): Promise<Line> => {
    last = name;
    const known = connections.get(name);
    if (known) return known;
    const made = await openLine(world, tls);
    connections.set(name, made);
    return made;
  };
  try {
    for (const [index, raw] of text.split('\n').entries()) {
      const where = `line ${index + 1}`;
      const match = /^([CS])(\d?): (.*)$/.exec(raw);
      if (raw.trim() === '' || raw.startsWith('#')) continue;
      if (raw.startsWith('@ ')) {
        const [directive, argument] = raw.slice(2).split(' ');
        if (directive === 'plain' || directive === 'tls') tls = directive === 'tls';
        else if (directive === 'starttls') await (await line(last)).secure();
        else if (directive === 'login')
          await logIn(await line(argument?.split(':')[1] ?? last), argument!.split(':')[0]!);
        else if (directive !== 'tenant') throw new Error(`${where}: unknown directive`);
      } else if (!match) throw new Error(`${where}: neither C: nor S:`);
      else if (match[1] === 'C') (await line(match[2] || '1')).write(match[3]!);
      else expectLine(await (await line(match[2] || '1')).read(), match[3]!, where);
    }
    for (const [name, open] of connections) {
      open.write('zz CAPABILITY');
      const next = await open.read();
      if (next !== '(closed)')
        expect(next, `connection ${name}: nothing more may come`).toMatch(/^\* CAPABILITY /);
    }
  } finally {
    for (const open of connections.values()) open.close();
  }
}

function expectLine(got: string, wanted: string, where: string): void {
  const pattern = wanted.split('<*>').map((piece) => piece.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  if (!new RegExp(`^${pattern.join('.*')}$`).test(got))
    expect.fail(`${where}\n  wanted: ${wanted}\n  got:    ${got}`);
}

async function logIn(line: Line, user: string): Promise<void> {
  expect(await line.read()).toMatch(/^\* OK /);
  line.write(`login LOGIN ${user} ${PASSWORD}`);
  expect(await line.read()).toMatch(/^login OK /);
}

async function openLine(world: ImapWorld, tls: boolean): Promise<Line> {
  const client = await openRawClient(tls ? world.ports.imaps : world.ports.imap, world.authority, tls);
  return {
    read: async () => (await client.line()) ?? '(closed)',
    write: (line) => client.send(`${line}\r\n`),
    secure: client.secure,
    close: client.destroy,
  };
}
