import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { openReader } from '../../src/cli/reader.ts';
import { storePaths } from '../../src/store/sqlite/open.ts';
import { installWithSimulator } from './peers/gateway.ts';
import { connectSmtp } from './peers/smtp-client.ts';

const sender = 'erika.mustermann@ego-mv.example';
const recipient = 'max.mustermann@buerger.de-mail.example';

test('the kernel sees the log synced before a client sees its 250', async () => {
  const traces = await mkdtemp(join(tmpdir(), 'strace-'));
  await using world = await installWithSimulator({ sink: true });
  const { installation } = world;
  const trace = join(traces, 'trace');
  const calls = 'trace=fsync,fdatasync,write,writev,pwrite64,sendto,sendmsg';
  // -yy prints what each descriptor is: the file, or the two ends of the connection.
  const gateway = await installation.start([
    'strace',
    '-f',
    '-yy',
    '-s',
    '60',
    '-ttt',
    '-e',
    calls,
    '-o',
    trace,
  ]);
  using client = await connectSmtp(installation.ports.relay);
  using reader = openReader(storePaths({ directory: installation.directory }));
  const accepted: string[] = [];
  for (let n = 0; n < 20; n++) {
    // Every fourth is large enough to be a file of its own.
    const body = 'a line of some length to fill the body\r\n'.repeat(n % 4 === 3 ? 5000 : 10);
    const message = Buffer.from(`From: ${sender}\r\nTo: ${recipient}\r\nSubject: ${n}\r\n\r\n${body}`);
    const reply = await client.send(sender, [recipient], message);
    expect(reply).toMatch(/^250 2\.0\.0 Accepted as /);
    accepted.push(reply.trim());
    // Its hand-over commits too: let that be over, so that what is written next belongs to the next message.
    await vi.waitUntil(async () => (await reader.openTransactions('ego-mv')).length === 0, 300_000);
  }
  process.kill(Number(await readFile(join(installation.directory, 'gateway.pid'), 'utf8')), 'SIGTERM');
  await gateway.exited;

  const replies = readTrace(await readFile(trace, 'utf8'));
  await rm(traces, { recursive: true, force: true });
  expect(replies.map(({ reply }) => reply)).toEqual(accepted);
  for (const [n, { reply, synced, objects }] of replies.entries()) {
    expect(synced, reply).toBeGreaterThan(0);
    if (n % 4 === 3) expect(objects, reply).toBeGreaterThan(0);
  }
});

interface TracedReply {
  readonly reply: string;
  /**
   * Writes to the write-ahead log since the reply before that a sync has followed. Others may stand behind
   * them already: those of the next commit, of a login or another tenant, which this reply does not speak of.
   */
  readonly synced: number;
  /** Syncs of object files and their folder since the reply before. */
  readonly objects: number;
}

/** What strace saw, in its order; a call that blocked is on two lines of the same thread. */
function readTrace(text: string): TracedReply[] {
  const replies: TracedReply[] = [];
  const waiting = new Map<string, string>();
  let synced = 0;
  let unsynced = 0;
  let objects = 0;
  for (const line of text.split('\n')) {
    const [, thread = '', said = ''] = /^(\d+)\s+[\d.]+ (.*)$/.exec(line) ?? [];
    if (said.includes('<unfinished')) waiting.set(thread, said);
    const call = said.startsWith('<...') ? `${waiting.get(thread)} ${said}` : said;
    const finished = / = \d+$/.test(said);
    if (/^p?write\w*\(\d+<[^>]*-wal>/.test(call) && !said.startsWith('<...')) {
      unsynced++;
    } else if (/^f(data)?sync\(\d+<[^>]*-wal>/.test(call) && finished) {
      synced += unsynced;
      unsynced = 0;
    } else if (/^f(data)?sync\(\d+<[^>]*\/objects\//.test(call) && finished) {
      objects++;
    }
    const reply = /"(250 2\.0\.0 Accepted as [^"\\]+)/.exec(said)?.[1];
    if (reply === undefined) continue;
    replies.push({ reply, synced, objects });
    synced = 0;
    unsynced = 0;
    objects = 0;
  }
  return replies;
}
