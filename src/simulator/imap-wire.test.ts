import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { demoAccounts } from './options.ts';
import type { Simulator } from './simulator.ts';
import { type TestSimulator, testSimulator } from './testing/customer.ts';

const small = Buffer.from('From: a@x\r\nSubject: eins\r\n zwei\r\n\r\nText\r\n');

interface Wire extends AsyncDisposable {
  /** Sends lines as they are, returns what comes up to the tagged answer (or the continuation). */
  say(text: string, until?: RegExp): Promise<string[]>;
  readonly socket: TLSSocket;
}

async function wire(simulator: Simulator, account?: string): Promise<Wire> {
  const identity = account ? await simulator.clientIdentity(account) : undefined;
  const socket = connect({
    port: simulator.ports.imap,
    host: '127.0.0.1',
    ca: simulator.caPem,
    ...(identity ? { cert: identity.certificatePem, key: identity.keyPem } : {}),
  });
  socket.on('error', () => {});
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  await once(socket, 'secureConnect');
  return {
    socket,
    async say(text, until = /^(?:a |\+)/) {
      if (text !== '') socket.write(text);
      const seen: string[] = [];
      for (;;) {
        const line = await lines.next();
        if (line.done) return seen;
        seen.push(line.value);
        if (until.test(line.value)) return seen;
      }
    },
    async [Symbol.asyncDispose]() {
      socket.destroy();
    },
  };
}

const withPassword = demoAccounts().map((account) =>
  account.id === 'stadt-waren' ? { ...account, password: 'demo' } : account,
);

let shared: TestSimulator;
beforeAll(async () => {
  shared = await testSimulator();
  await shared.simulator.deposit('ego-mv', small);
});
afterAll(() => shared[Symbol.asyncDispose]());

test('greetings and logins', async () => {
  await using open = await testSimulator({ accounts: withPassword });
  await using byCertificate = await wire(open.simulator, 'ego-mv');
  expect((await byCertificate.say('', /^\*/))[0]).toMatch(/^\* PREAUTH \[CAPABILITY IMAP4rev1 /);
  expect((await byCertificate.say('a LOGIN x y\r\n')).at(-1)).toMatch(/^a NO \[CANNOT\]/);

  await using byBoth = await wire(open.simulator, 'stadt-waren');
  expect((await byBoth.say('', /^\*/))[0]).toMatch(/^\* OK .*AUTH=EXTERNAL/);
  expect((await byBoth.say('a SELECT INBOX\r\n')).at(-1)).toMatch(/^a BAD/);
  expect((await byBoth.say('a LOGIN stadt-waren falsch\r\n')).at(-1)).toMatch(
    /^a NO \[AUTHENTICATIONFAILED\]/,
  );
  expect((await byBoth.say('a LOGIN ego-mv demo\r\n')).at(-1)).toMatch(/^a NO/);
  expect(await byBoth.say('a AUTHENTICATE EXTERNAL\r\n')).toEqual(['+ ']);
  expect((await byBoth.say('=\r\n')).at(-1)).toMatch(/^a OK \[CAPABILITY/);

  await using byPassword = await wire(open.simulator);
  const plain = Buffer.from('\0stadt-waren\0demo').toString('base64');
  await byPassword.say('', /^\*/);
  expect((await byPassword.say('a AUTHENTICATE EXTERNAL =\r\n')).at(-1)).toMatch(/^a NO/);
  expect((await byPassword.say('a LOGIN {11}\r\n')).at(-1)).toMatch(/^\+/);
  expect((await byPassword.say('stadt-waren {3}\r\n')).at(-1)).toMatch(/^\+/);
  expect((await byPassword.say('xyz\r\n')).at(-1)).toMatch(/^a NO/);
  expect((await byPassword.say(`a AUTHENTICATE PLAIN ${plain}\r\n`)).at(-1)).toMatch(/^a OK/);
  expect(await byPassword.say('a LOGOUT\r\n', /never/)).toEqual(['* BYE until next time', 'a OK done']);
});

test.each([
  ['LIST "" ""', ['* LIST (\\Noselect) "/" ""']],
  ['LIST "" "%"', ['* LIST (\\HasNoChildren) "/" "INBOX"', '* LIST (\\HasNoChildren \\Sent) "/" "Sent"']],
  ['LSUB "" "S*"', ['* LSUB (\\HasNoChildren \\Sent) "/" "Sent"']],
  ['NAMESPACE', ['* NAMESPACE (("" "/")) NIL NIL']],
  [
    'STATUS INBOX (MESSAGES UIDNEXT UNSEEN SIZE)',
    ['* STATUS "INBOX" (MESSAGES 1 UIDNEXT 2 UNSEEN 1 SIZE 41)'],
  ],
  ['FETCH 1 (FLAGS RFC822.SIZE)', ['* 1 FETCH (FLAGS () RFC822.SIZE 41)']],
  ['FETCH 1 BODY.PEEK[TEXT]', ['* 1 FETCH (BODY[TEXT] {6}', 'Text', ')']],
  ['FETCH 1 BODY.PEEK[]<2.4>', ['* 1 FETCH (BODY[]<2> {4}', 'om: )']],
  ['FETCH 1 BODY.PEEK[]<99.4>', ['* 1 FETCH (BODY[]<99> {0}', ')']],
  [
    'UID FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]',
    ['* 1 FETCH (UID 1 BODY[HEADER.FIELDS (SUBJECT)] {24}', 'Subject: eins', ' zwei', '', ')'],
  ],
  ['UID FETCH 7:9 FLAGS', []],
  ['SEARCH OR SUBJECT nichts NOT BODY text', ['* SEARCH']],
  ['UID SEARCH TEXT eins UNSEEN', ['* SEARCH 1']],
])('%s', async (command, responses) => {
  await using client = await wire(shared.simulator, 'ego-mv');
  await client.say('', /^\*/);
  await client.say('a EXAMINE INBOX\r\n');
  const answer = await client.say(`a ${command}\r\n`, /^a /);
  expect(answer.slice(0, -1)).toEqual(responses);
  expect(answer.at(-1)).toBe('a OK done');
});

test('what is refused, and what reading changes', async () => {
  await using open = await testSimulator();
  await open.simulator.deposit('ego-mv', small);
  await using client = await wire(open.simulator, 'ego-mv');
  const last = async (command: string) => (await client.say(`a ${command}\r\n`)).at(-1);
  await client.say('', /^\*/);
  expect(await last('FETCH 1 FLAGS')).toMatch(/^a BAD/);
  expect(await last('SELECT Nichts')).toMatch(/^a NO \[NONEXISTENT\]/);
  expect(await last('CREATE ../x')).toMatch(/^a NO \[CANNOT\]/);
  expect(await last('CREATE INBOX')).toMatch(/^a NO \[ALREADYEXISTS\]/);
  expect(await last('APPEND INBOX {5}')).toMatch(/^a NO \[CANNOT\]/);
  expect(await last('EXAMINE INBOX')).toMatch(/^a OK \[READ-ONLY\]/);
  expect(await last('STORE 1 +FLAGS (\\Seen)')).toMatch(/^a NO/);
  expect(await last('SELECT INBOX')).toMatch(/^a OK \[READ-WRITE\]/);
  expect(await last('FETCH 1 ENVELOPE')).toMatch(/^a NO \[CANNOT\]/);
  expect(await last('COPY 1 Nichts')).toMatch(/^a NO \[TRYCREATE\]/);
  expect(await last('FETCH 1 BODY[]')).toBe('a OK done');
  expect([...open.simulator.messages('ego-mv', 'INBOX')[0]!.flags]).toEqual(['\\Seen']);
  expect(await last('STORE 1 FLAGS.SILENT (\\Deleted)')).toBe('a OK done');
  expect(await client.say('a EXPUNGE\r\n')).toEqual(['* 1 EXPUNGE', 'a OK done']);
  expect(await last('CLOSE')).toBe('a OK closed');
  expect(await last('nonsense')).toMatch(/^a BAD/);
});

test('what was confirmed is held for 90 days at level normal, and goes at level high', async () => {
  await using open = await testSimulator({ accounts: withPassword });
  const { simulator } = open;
  const confirmed = Buffer.from('X-de-mail-confirmation-of-receipt: yes\r\n\r\n');
  const secret = Buffer.from('X-de-mail-private: yes\r\n\r\n');
  for (const message of [small, confirmed, secret, confirmed])
    await simulator.deposit('stadt-waren', message);
  await using low = await wire(simulator);
  await using high = await wire(simulator, 'stadt-waren');
  const last = async (client: Wire, command: string) => (await client.say(`a ${command}\r\n`)).at(-1);
  for (const client of [low, high]) {
    await client.say('', /^\*/);
    await last(client, 'LOGIN stadt-waren demo');
    expect(await last(client, 'SELECT INBOX')).toMatch(/^a OK/);
  }
  const until = new Date(Date.now() + 90 * 86_400_000).toISOString().slice(0, 10);
  const held = new RegExp(`^a NO \\[NOPERM\\] message 2 was confirmed: delete it after ${until}`);
  expect(await last(low, 'UID STORE 1:2 +FLAGS (\\Deleted)')).toMatch(held);
  expect(await last(low, 'UID STORE 2 FLAGS (\\Deleted \\Seen)')).toMatch(held);
  expect(await last(low, 'UID STORE 1:2 +FLAGS (\\Seen)')).toBe('a OK done');
  expect(await last(low, 'UID STORE 1 +FLAGS (\\Deleted)')).toBe('a OK done');
  expect(await last(high, 'UID STORE 2 +FLAGS (\\Deleted)')).toBe('a OK done');
  expect(await last(low, 'EXPUNGE')).toMatch(held);
  expect(simulator.messages('stadt-waren', 'INBOX').map(({ uid }) => uid)).toEqual([2, 3, 4]);
  expect(await last(low, 'CLOSE')).toBe('a OK closed');
  expect(simulator.messages('stadt-waren', 'INBOX').map(({ uid }) => uid)).toEqual([2, 3, 4]);
  expect(await last(high, 'EXPUNGE')).toBe('a OK done');
  expect(simulator.messages('stadt-waren', 'INBOX').map(({ uid }) => uid)).toEqual([3, 4]);

  // Moved aside it is held on; after 90 days it may go.
  await last(low, 'SELECT INBOX');
  await last(low, 'CREATE Papierkorb');
  expect(await last(low, 'UID MOVE 4 Papierkorb')).toBe('a OK done');
  await last(low, 'SELECT Papierkorb');
  expect(await last(low, 'STORE 1 +FLAGS (\\Deleted)')).toMatch(/^a NO \[NOPERM\]/);
  simulator.setClock(new Date(Date.now() + 91 * 86_400_000));
  expect(await last(low, 'STORE 1 +FLAGS (\\Deleted)')).toBe('a OK done');
  expect(await last(low, 'EXPUNGE')).toBe('a OK done');
  expect(simulator.messages('stadt-waren', 'Papierkorb')).toEqual([]);
});
