/** An installation whose copies lie elsewhere, and what becomes of it when its disk is lost. */
import { createPrivateKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Document } from 'yaml';
import { createRecoveryIdentity } from '../../../src/pki/recovery-identity.ts';
import { type Installation, installWithSimulator } from './gateway.ts';
import { connectSmtp } from './smtp-client.ts';

export const tenant = 'ego-mv';
export const sender = 'erika.mustermann@ego-mv.example';
export const recipient = 'max.mustermann@buerger.de-mail.example';

export type World = Awaited<ReturnType<typeof install>>;

export async function install(secondCopy: boolean, edit?: (config: Document) => void) {
  const elsewhere = await mkdtemp(join(tmpdir(), 'elsewhere-'));
  const at = (name: string) => join(elsewhere, name);
  await createRecoveryIdentity(elsewhere, 'geheim');
  // The passphrase would be asked for at a terminal.
  const opened = createPrivateKey({ key: readFileSync(at('recovery-key.pem')), passphrase: 'geheim' });
  writeFileSync(at('open-key.pem'), opened.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  const world = await installWithSimulator({}, (config) => {
    config.setIn(['keys', 'recovery'], [at('recovery.pem')]);
    config.setIn(['evidence', 'checkpointFolders'], [at('checkpoints')]);
    config.setIn(['preservation', 'backup'], { directory: at('backup'), keep: 3 });
    if (secondCopy) config.setIn(['preservation', 'secondCopy'], { directory: at('second') });
    const tenants = config.toJS() as { tenants: unknown[] };
    for (const i of tenants.tenants.keys()) config.setIn(['tenants', i, 'provider', 'fetchInterval'], '1s');
    edit?.(config);
  });
  return {
    ...world,
    at,
    async [Symbol.asyncDispose]() {
      await world[Symbol.asyncDispose]();
      await rm(elsewhere, { recursive: true });
    },
  };
}

/** Shifts the clock of what is started from now on, and the provider's. The kernel's, by which timers run, stays. */
export function daysLater({ installation, simulator }: World, days: number): void {
  Object.assign(installation.env, {
    LD_PRELOAD: '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1',
    FAKETIME: `+${days}d`,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    NO_FAKE_STAT: '1',
  });
  simulator.setClock(new Date(Date.now() + days * 86_400_000));
}

/** Database, object files, keys, and the checkpoints beside them. */
export async function loseDisk({ directory }: Installation): Promise<void> {
  for (const name of await readdir(directory))
    if (/^(store\.sqlite|objects|keys|recovery|checkpoints|scrub|gateway\.(pid|lock)|control)/.test(name))
      await rm(join(directory, name), { recursive: true });
}

export async function send(
  installation: Installation,
  id: string,
  lines = 20,
  to = recipient,
): Promise<string> {
  using client = await connectSmtp(installation.ports.relay);
  return await client.send(
    sender,
    [to],
    Buffer.from(
      `From: ${sender}\r\nTo: ${to}\r\nSubject: ${id}\r\nMessage-ID: <${id}@ego-mv.example>\r\n\r\n${'a line of some length to fill the body of a message\r\n'.repeat(lines)}`,
    ),
  );
}

export async function until<T>(look: () => Promise<T | false | undefined>, what: string): Promise<T> {
  for (let tries = 0; tries < 600; tries++) {
    const found = await look();
    if (found !== false && found !== undefined) return found;
    await wait(100);
  }
  throw new Error(`never: ${what}`);
}

export const queue = async (installation: Installation) =>
  (await installation.run('queue', 'list', '--json')).stdout
    .split('\n')
    .filter((line) => line !== '')
    .map(
      (line) => JSON.parse(line) as { index: number; state: string; attempts: number; last_reply: string },
    );
