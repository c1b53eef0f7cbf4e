import { afterAll, beforeAll, expect, it } from 'vitest';
import { openRawClient, type RawClient } from './testing/raw-client.ts';
import { ERIKA, type ImapWorld, JAN, openImapWorld, PASSWORD } from './testing/world.ts';

let world: ImapWorld;

beforeAll(async () => {
  world = await openImapWorld();
});

afterAll(() => world[Symbol.asyncDispose]());

function office(rights: readonly string[], more: object = {}) {
  const access = rights.length > 0 ? [{ user: JAN, rights }] : [];
  const address = 'poststelle@stadt.example';
  return { sharedMailboxes: [{ name: 'Poststelle', address, members: [ERIKA], access }], ...more };
}

async function loggedIn(): Promise<RawClient> {
  const client = await openRawClient(world.ports.imaps, world.authority);
  await client.line();
  await ask(client, `LOGIN ${JAN} ${PASSWORD}`);
  return client;
}

/** All that comes up to the tagged answer, or the end. */
async function ask(client: RawClient, command: string): Promise<string> {
  client.send(`t ${command}\r\n`);
  return until(client, 't ');
}

async function until(client: RawClient, start: string): Promise<string> {
  const lines: string[] = [];
  for (;;) {
    const line = await client.line();
    if (line === null) return `${lines.join('\n')}\n(closed)`;
    lines.push(line);
    if (line.startsWith(start)) return lines.join('\n');
  }
}

it('fewer rights count from the next command on, and the client is told which flags are left', async () => {
  world.reconfigure(office(['read', 'insert', 'flag', 'delete']));
  const client = await loggedIn();
  client.send('t APPEND Geteilt/Poststelle {1+}\r\nx\r\n');
  await until(client, 't ');
  expect(await ask(client, 'SELECT Geteilt/Poststelle')).toContain('[READ-WRITE]');
  world.reconfigure(office(['read', 'flag']));
  expect(await ask(client, 'STORE 1 +FLAGS (\\Flagged \\Deleted)')).toMatch(
    /PERMANENTFLAGS \(\\Answered \\Flagged \\Seen \\Draft \\\*\).*\n\* 1 FETCH \(FLAGS \(\\Flagged.*\)\)\nt OK/s,
  );
  expect(await ask(client, 'EXPUNGE')).toMatch(/^t NO \[NOPERM\]/m);
  world.reconfigure(office(['read', 'delete']));
  expect(await ask(client, 'STORE 1 +FLAGS (\\Deleted)')).toContain('t OK');
  expect(await ask(client, 'EXPUNGE')).toContain('* 1 EXPUNGE');
  client.destroy();
});

it('who looks at a mailbox that is closed to them now has to log in again, also out of IDLE', async () => {
  world.reconfigure(office(['read']));
  const [idle, elsewhere] = [await loggedIn(), await loggedIn()];
  await ask(idle, 'SELECT Geteilt/Poststelle');
  await ask(elsewhere, 'SELECT INBOX');
  idle.send('t IDLE\r\n');
  await until(idle, '+ ');
  world.reconfigure(office([]));
  expect(await until(idle, 't ')).toMatch(/^\* BYE .*\n\(closed\)$/);
  expect(await ask(elsewhere, 'SELECT Geteilt/Poststelle')).toContain('NO [NONEXISTENT]');
  elsewhere.destroy();
});

it('a shared mailbox that is opened to a user is there for the next command, and subscribed', async () => {
  world.reconfigure(office([]));
  const client = await loggedIn();
  expect(await ask(client, 'LIST "" Geteilt/*')).not.toContain('* LIST');
  world.reconfigure({
    sharedMailboxes: [
      ...office([]).sharedMailboxes,
      { name: 'Bauamt', address: 'bauamt@stadt.example', members: [JAN] },
    ],
  });
  expect(await ask(client, 'LIST (SUBSCRIBED) "" Geteilt/%')).toContain('"Geteilt/Bauamt"');
  client.destroy();
});

it.each([
  ['another language', { language: 'en' }],
  ['another rule for private mail', { privateMail: { shared: ['Poststelle'] } }],
])('%s ends the session', async (_, changed) => {
  world.reconfigure(office(['read']));
  const client = await loggedIn();
  world.reconfigure(office(['read'], changed));
  expect(await until(client, '* BYE')).toContain('log in again');
  client.destroy();
});

it('a quota counts from the next command on', async () => {
  world.reconfigure(office(['read']));
  const client = await loggedIn();
  world.reconfigure(office(['read'], { mailboxQuota: { messages: 1 } }));
  client.send('t APPEND Archiv {1+}\r\nx\r\n');
  expect(await until(client, 't ')).toContain('t OK');
  client.send('t APPEND Archiv {1+}\r\nx\r\n');
  expect(await until(client, 't ')).toContain('t NO [OVERQUOTA]');
  client.destroy();
});
