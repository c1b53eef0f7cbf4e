/** A real Dovecot with a configuration, mail directory and ports of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { freePort } from './port.ts';

export interface Dovecot extends AsyncDisposable {
  readonly directory: string;
  /** IMAP over TLS on 127.0.0.1. */
  readonly imaps: number;
  /** Unix socket that takes LMTP. */
  readonly lmtp: string;
  /** Its configuration, for doveadm. */
  readonly configFile: string;
  readonly pid: number;
  log(): Promise<string>;
}

export interface DovecotOptions {
  readonly certificate: string;
  readonly key: string;
  /** Login to password. */
  readonly users: Readonly<Record<string, string>>;
  /** CA whose clients alone may connect; without it no client certificate is asked for. */
  readonly clientAuthority?: string;
  /** What each user's mailbox may hold, such as `100K`; without it QUOTA is not offered. */
  readonly quota?: string;
  /** Further lines of dovecot.conf; of a setting that occurs twice the last counts. */
  readonly settings?: string;
}

export async function startDovecot(options: DovecotOptions): Promise<Dovecot> {
  const directory = await mkdtemp(join(tmpdir(), 'dovecot-'));
  await chmod(directory, 0o755);
  const imaps = await freePort();
  const lmtp = join(directory, 'lmtp');
  const log = join(directory, 'dovecot.log');
  await mkdir(join(directory, 'mail'), { mode: 0o777 });
  await chmod(join(directory, 'mail'), 0o777);
  await writeFile(
    join(directory, 'users'),
    Object.entries(options.users)
      .map(([login, password]) => `${login}:{PLAIN}${password}\n`)
      .join(''),
  );
  await writeFile(
    join(directory, 'dovecot.conf'),
    `
base_dir = ${directory}/run
state_dir = ${directory}/state
log_path = ${log}
protocols = imap lmtp
listen = 127.0.0.1
ssl = required
ssl_cert = <${options.certificate}
ssl_key = <${options.key}
${
  options.clientAuthority
    ? `ssl_ca = <${options.clientAuthority}\nssl_verify_client_cert = yes\nauth_ssl_require_client_cert = yes\nssl_require_crl = no`
    : ''
}
mail_location = maildir:${directory}/mail/%u
mail_uid = mail
mail_gid = mail
first_valid_uid = 1
mailbox_list_index = no
auth_mechanisms = plain login
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%u ${directory}/users
}
userdb {
  driver = static
  args = uid=mail gid=mail home=${directory}/mail/%u
}
service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = ${imaps}
    ssl = yes
  }
}
service lmtp {
  unix_listener ${lmtp} {
    mode = 0666
  }
}
protocol imap {
  mail_max_userip_connections = 200
  ${options.quota ? 'mail_plugins = quota imap_quota' : ''}
}
${options.quota ? `mail_plugins = quota\nplugin {\n  quota = maildir:mailbox\n  quota_rule = *:storage=${options.quota}\n}` : ''}
namespace inbox {
  inbox = yes
  mailbox Sent {
    auto = create
    special_use = \\Sent
  }
}
${options.settings ?? ''}
`,
  );
  const child = spawn('/usr/sbin/dovecot', ['-F', '-c', join(directory, 'dovecot.conf')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let complaint = '';
  child.stderr.on('data', (chunk) => {
    complaint += chunk;
  });
  const readLog = () => readFile(log, 'utf8').catch(() => '');
  if (!(await listens(imaps, child))) {
    throw new Error(`dovecot did not start: ${complaint}\n${await readLog()}`);
  }
  return {
    directory,
    imaps,
    lmtp,
    configFile: join(directory, 'dovecot.conf'),
    pid: child.pid!,
    log: readLog,
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function listens(port: number, child: ChildProcess): Promise<boolean> {
  for (let attempt = 0; attempt < 100 && child.exitCode === null; attempt++) {
    const socket = connect(port, '127.0.0.1');
    const [event] = await Promise.race([
      once(socket, 'connect').then(() => ['connect']),
      once(socket, 'error').then(() => ['error']),
    ]).catch(() => ['error']);
    socket.destroy();
    if (event === 'connect') return true;
    await wait(50);
  }
  return false;
}
