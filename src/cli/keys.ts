/** `keys list | rotate | recovery | rehearse | recover | protect`: what opens the evidence, and how it is not lost. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { lockStore } from '../lock.ts';
import { createRecoveryIdentity } from '../pki/recovery-identity.ts';
import { describeModule } from '../store/hsm.ts';
import { protectFolder } from '../store/key-files.ts';
import { importSecrets, keysOf, loadTenantKeys } from '../store/keys.ts';
import { noteRehearsal, openRecoveryCopy, recoveryNote } from '../store/recovery.ts';
import { rehearse } from '../store/rehearse.ts';
import { openSqliteReader, type StorePaths } from '../store/sqlite/open.ts';
import { openCommandStore } from './command-store.ts';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { connectToGateway } from './control.ts';
import { CommandError, exit } from './exit.ts';
import { operator } from './operator.ts';
import { readPassword } from './password.ts';
import { type StorePlace, storeOf } from './place.ts';
import { openReader } from './reader.ts';

interface KeyOptions extends CommonOptions {
  readonly key: string;
}

export function register(program: Command, context: Context): void {
  const keys = program.command('keys').description('keys of tenants: rotation, recovery, hardware');
  withCommonOptions(
    keys.command('list').description('each tenant: its key, its recovery copy, when that was last tried'),
  ).action(context.action((options: CommonOptions) => list(options, context)));
  withCommonOptions(
    keys.command('rotate').description("make a new key for a tenant and wrap everything's keys by it"),
  )
    .argument('<tenant>', 'id of the tenant')
    .requiredOption('--reason <text>', 'why; it becomes part of the evidence')
    .action(
      context.action((tenant: string, options: CommonOptions & { readonly reason: string }) =>
        rotate(tenant, options, context),
      ),
    );
  keys
    .command('recovery')
    .description('make an offline recovery key; asks for a passphrase (terminal or stdin)')
    .requiredOption('--out <directory>', 'where recovery-key.pem and recovery.pem go')
    .action(context.action((options: { readonly out: string }) => recovery(options.out, context)));
  withCommonOptions(
    keys
      .command('rehearse')
      .description('open every recovery copy with the offline key and read the evidence with it'),
  )
    .requiredOption('--key <file>', 'recovery key, PEM; its passphrase is asked for')
    .action(context.action((options: KeyOptions) => rehearseAll(options, context)));
  withCommonOptions(keys.command('recover').description('make lost key files again from the recovery copies'))
    .requiredOption('--key <file>', 'recovery key, PEM; its passphrase is asked for')
    .argument('[tenants...]', 'ids of tenants; by default all whose key is missing')
    .action(context.action((tenants: string[], options: KeyOptions) => recover(tenants, options, context)));
  withCommonOptions(keys.command('protect').description('put the keys under an RSA key in a PKCS#11 module'))
    .requiredOption('--module <file>', 'the PKCS#11 library')
    .requiredOption('--token <label>', 'label of the token')
    .requiredOption('--id <hex>', 'id of the RSA key pair')
    .requiredOption('--pin-file <file>', 'file with the PIN, readable by the gateway alone')
    .action(context.action((options: ProtectOptions) => protect(options, context)));
}

async function list(options: CommonOptions, context: Context) {
  const { paths } = await storeOf(options, context);
  using reader = openReader(paths);
  let missing = 0;
  for (const tenant of await reader.tenants()) {
    const note = recoveryNote(paths.recovery, tenant);
    let key: string | null = null;
    let rotating = false;
    let problem: string | null = null;
    try {
      const loaded = loadTenantKeys(paths.keys, tenant, false);
      key = loaded.wrapId;
      rotating = loaded.wraps.length > 1;
    } catch (error) {
      missing++;
      problem = (error as Error).message;
    }
    const current = note !== null && key !== null && note.key.startsWith(key);
    if (options.json) context.printJson({ tenant, key, rotating, problem, recovery: note, current });
    else {
      const copy =
        note === null
          ? 'NO recovery copy'
          : `recovery copy of ${note.made}${current ? '' : ' (of ANOTHER key)'}, ${note.rehearsed === undefined ? 'never rehearsed' : `rehearsed ${note.rehearsed}`}`;
      context.print(
        `${tenant}  ${problem ?? `key ${key}${rotating ? ', rotation not ended' : ''}`}  ${copy}`,
      );
    }
  }
  return missing === 0 ? exit.good : exit.finding;
}

async function rotate(
  tenant: string,
  options: CommonOptions & { readonly reason: string },
  context: Context,
) {
  const place = await storeOf(options, context);
  const { data } = place;
  const by = { actor: operator(), reason: options.reason };
  const corrupt = await overGatewayOrStore();
  for (const place of corrupt) context.warn(`${tenant}: ${place}: its key opens under neither key`);
  if (options.json) context.printJson({ tenant, rotated: true, corrupt });
  else context.print(`${tenant}: key rotated`);
  return corrupt.length === 0 ? exit.good : exit.finding;

  async function overGatewayOrStore(): Promise<readonly string[]> {
    using gateway = await connectToGateway(data);
    if (gateway !== null)
      return ((await gateway.ask({ command: 'keys-rotate', tenant, ...by })) as { corrupt: string[] })
        .corrupt;
    await using store = await openCommandStore(place);
    if (!(await store.tenants()).includes(tenant))
      throw new CommandError(exit.usage, `no tenant ${tenant} has a log in ${data}`);
    return (await store.rotateKeys(tenant, by)).corrupt;
  }
}

async function recovery(out: string, context: Context) {
  const passphrase = await readPassword('Passphrase of the recovery key: ');
  if (passphrase.length < 12)
    throw new CommandError(exit.usage, 'the passphrase needs at least 12 characters');
  const folder = resolve(context.cwd, out);
  await createRecoveryIdentity(folder, passphrase);
  context.print(`${join(folder, 'recovery.pem')}: name it in the configuration, under keys.recovery`);
  context.print(
    `${join(folder, 'recovery-key.pem')}: take it off this machine, into two safes; then: keys rehearse`,
  );
  return exit.good;
}

async function rehearseAll(options: KeyOptions, context: Context) {
  const place = await storeOf(options, context);
  const { paths } = place;
  const key = await readRecoveryKey(options.key, context);
  let failed = 0;
  for (const tenant of copiesIn(paths)) {
    try {
      const secrets = await openRecoveryCopy(paths.recovery, tenant, key);
      using reader = openSqliteReader(paths, () => keysOf(secrets));
      const read = await rehearse(reader, tenant);
      noteRehearsal(paths.recovery, tenant, Date.now());
      await record(place, tenant);
      if (options.json) context.printJson({ tenant, ...read });
      else
        context.print(
          `${tenant}: the recovery key opens it: ${read.entries} of ${read.of} entries and ${read.objects} objects read`,
        );
    } catch (error) {
      failed++;
      context.warn(`${tenant}: ${(error as Error).message}`);
    }
  }
  return failed === 0 ? exit.good : exit.finding;
}

/** That somebody held the recovery key is evidence too. */
async function record(place: StorePlace, tenant: string): Promise<void> {
  const access = { actor: operator(), action: 'verify' as const, query: 'rehearsal of the recovery key' };
  using gateway = await connectToGateway(place.data);
  if (gateway !== null) return void (await gateway.ask({ command: 'record-access', tenant, access }));
  await using store = await openCommandStore(place);
  await store.recordAccess(tenant, access);
}

async function recover(tenants: readonly string[], options: KeyOptions, context: Context) {
  const { paths } = await storeOf(options, context);
  const key = await readRecoveryKey(options.key, context);
  const named = tenants.length > 0 ? tenants : copiesIn(paths).filter((tenant) => isMissing(paths, tenant));
  for (const tenant of named) {
    importSecrets(paths.keys, await openRecoveryCopy(paths.recovery, tenant, key));
    if (options.json) context.printJson({ tenant, recovered: true });
    else context.print(`${tenant}: key files made again in ${paths.keys}`);
  }
  if (named.length === 0) context.print('no key is missing');
  return exit.good;
}

function isMissing(paths: StorePaths, tenant: string): boolean {
  return !['', '.p11'].some((suffix) => existsSync(join(paths.keys, `${tenant}.key${suffix}`)));
}

function copiesIn(paths: StorePaths): string[] {
  if (!existsSync(paths.recovery))
    throw new CommandError(
      exit.usage,
      `${paths.recovery}: there are no recovery copies; name a certificate under keys.recovery and start the gateway`,
    );
  return readdirSync(paths.recovery)
    .filter((name) => name.endsWith('.cms'))
    .map((name) => name.slice(0, -4))
    .sort();
}

async function readRecoveryKey(file: string, context: Context): Promise<KeyObject> {
  const path = resolve(context.cwd, file);
  const pem = readFileSync(path, 'utf8');
  const encrypted = pem.includes('ENCRYPTED');
  const passphrase = encrypted ? await readPassword('Passphrase of the recovery key: ') : undefined;
  try {
    return createPrivateKey({ key: pem, ...(passphrase !== undefined && { passphrase }) });
  } catch (error) {
    throw new CommandError(exit.usage, `${path}: does not open with this passphrase`, error);
  }
}

interface ProtectOptions extends CommonOptions {
  readonly module: string;
  readonly token: string;
  readonly id: string;
  readonly pinFile: string;
}

async function protect(options: ProtectOptions, context: Context) {
  const { data, paths } = await storeOf(options, context);
  using _lock = await lockStore(data, 'command');
  const module = describeModule({
    module: options.module,
    token: options.token,
    key: options.id.toLowerCase(),
    pinFile: resolve(context.cwd, options.pinFile),
  });
  for (const file of protectFolder(paths.keys, module))
    context.print(`${file}: opens by the module alone now`);
  return exit.good;
}
