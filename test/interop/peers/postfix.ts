/** A real Postfix with a configuration, queue and ports of its own; the system's instance is left alone. */
import { execFile } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Postfix extends AsyncDisposable {
  readonly directory: string;
  /** What it has logged so far. */
  log(): Promise<string>;
  /** Asks for an attempt at everything that is deferred. */
  flush(): Promise<void>;
}

export interface PostfixOptions {
  /** main.cf, on top of what an instance of its own needs. */
  readonly main: Readonly<Record<string, string>> | string;
  /** Further lines of master.cf: the listeners. */
  readonly services: readonly string[];
}

const internalServices = `
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`;

/** Starts an instance; it is stopped, and its directory removed, on disposal. Needs root, as Postfix does. */
export async function startPostfix(options: PostfixOptions): Promise<Postfix> {
  const directory = await mkdtemp(join(tmpdir(), 'postfix-'));
  await chmod(directory, 0o755); // its daemons run as another user
  const queue = join(directory, 'queue');
  const data = join(directory, 'data');
  await mkdir(queue);
  await mkdir(data);
  const { stdout: uid } = await run('id', ['-u', 'postfix']);
  await chown(data, Number(uid), userInfo().gid);
  const base = {
    compatibility_level: '3.6',
    queue_directory: queue,
    data_directory: data,
    maillog_file: join(directory, 'mail.log'),
    maillog_file_prefixes: directory,
    inet_interfaces: '127.0.0.1',
    inet_protocols: 'ipv4',
    mynetworks: '127.0.0.0/8',
    mydestination: '',
    alias_maps: '',
    alias_database: '',
    local_recipient_maps: '',
  };
  const own = typeof options.main === 'string' ? options.main : lines(options.main);
  await writeFile(join(directory, 'main.cf'), `${lines(base)}${own}`);
  await writeFile(join(directory, 'master.cf'), `${internalServices}${options.services.join('\n')}\n`);
  await postfix(directory, 'start');
  return {
    directory,
    log: () => readFile(join(directory, 'mail.log'), 'utf8').catch(() => ''),
    flush: () => postfix(directory, 'flush'),
    async [Symbol.asyncDispose]() {
      await postfix(directory, 'stop').catch(() => {});
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function postfix(directory: string, command: string): Promise<void> {
  try {
    await run('/usr/sbin/postfix', ['-c', directory, command], { timeout: 30_000 });
  } catch (error) {
    const log = await readFile(join(directory, 'mail.log'), 'utf8').catch(() => '');
    throw new Error(`postfix ${command}: ${(error as Error).message}\n${log}`, { cause: error });
  }
}

function lines(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} = ${value}\n`)
    .join('');
}
