/** `user hash | list | check`: passwords for the configuration, and what the directory knows of its users. */
import type { Command } from 'commander';
import { mailboxRights } from '../config/schema.ts';
import { createDirectory } from '../directory/create.ts';
import type { Directory, Principal } from '../directory/directory.ts';
import { hashPassword, verifyPassword } from '../directory/password.ts';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { CommandError, type ExitCode, exit } from './exit.ts';
import { loadFor } from './load.ts';
import { readPassword } from './password.ts';

/** Adds `user` with its subcommands. */
export function register(program: Command, context: Context): void {
  const user = program.command('user').description('passwords and rights of users');
  user
    .command('hash')
    .description('read a password (from the terminal or stdin) and print its hash for the configuration')
    .option('--json', 'print JSON')
    .action(context.action((options: CommonOptions) => hash(options, context)));
  withCommonOptions(user.command('list').description('list the users of every tenant')).action(
    context.action((options: CommonOptions) => list(options, context)),
  );
  withCommonOptions(
    user
      .command('check')
      .description('check a password (from the terminal or stdin), and show what the user may do')
      .argument('<login>', 'login of the user'),
  ).action(context.action((login: string, options: CommonOptions) => check(login, options, context)));
}

async function hash(options: CommonOptions, context: Context): Promise<ExitCode> {
  const password = await readPassword('Password: ');
  let passwordHash: string;
  try {
    passwordHash = await hashPassword(password);
  } catch (error) {
    throw new CommandError(exit.usage, (error as Error).message);
  }
  if (options.json) context.printJson({ passwordHash });
  else context.print(passwordHash);
  return exit.good;
}

function list(options: CommonOptions, context: Context): ExitCode {
  const directory = directoryOf(options, context);
  for (const tenant of directory.tenants) {
    for (const user of tenant.users) {
      const rights = rightsOf(directory, { tenant, user });
      if (options.json) context.printJson(rights);
      else context.print(`${rights.tenant}  ${rights.login}  ${rights.name ?? ''}`.trimEnd());
    }
  }
  return exit.good;
}

async function check(login: string, options: CommonOptions, context: Context): Promise<ExitCode> {
  const directory = directoryOf(options, context);
  const principal = directory.user(login);
  if (principal === undefined) throw new CommandError(exit.usage, `no user has the login ${login}`);
  const password = await readPassword('Password: ');
  const right = await verifyPassword(principal.user.passwordHash ?? '', password);
  const rights = rightsOf(directory, principal);
  if (options.json) {
    context.printJson({ ...rights, password: right ? 'right' : 'wrong' });
  } else {
    context.print(`password        ${right ? 'right' : 'WRONG'}`);
    context.print(`tenant          ${rights.tenant} (${principal.tenant.name})`);
    context.print(`sends as        ${rights.sendsAs.join(', ')}`);
    context.print(`shared          ${rights.shared.join(', ') || 'none'}`);
    context.print(`options         ${rights.options.join(', ') || 'none'}`);
    context.print(`operator        ${rights.operator ? 'yes' : 'no'}`);
  }
  return right ? exit.good : exit.finding;
}

interface Rights {
  readonly tenant: string;
  readonly login: string;
  readonly name?: string;
  /** Each address with its De-Mail form, where it has one. */
  readonly sendsAs: readonly string[];
  readonly shared: readonly string[];
  readonly options: readonly string[];
  readonly operator: boolean;
}

function rightsOf(directory: Directory, { tenant, user }: Principal): Rights {
  const access = directory.sharedOf({ tenant, user });
  const addresses = [
    user.login,
    ...user.sendAs,
    ...tenant.sharedMailboxes.filter(({ members }) => members.includes(user.login)).map((m) => m.address),
  ];
  return {
    tenant: tenant.id,
    login: user.login,
    ...(user.name !== undefined && { name: user.name }),
    sendsAs: addresses.map((address) => {
      const demail = directory.toDemail(tenant, address);
      return demail === undefined || demail === address ? address : `${address} = ${demail}`;
    }),
    shared: access.map(({ owner, rights }) =>
      rights.length === mailboxRights.length ? owner.name : `${owner.name} (${rights.join(' ')})`,
    ),
    options: user.permittedOptions ?? tenant.options.permitted,
    operator: tenant.operators.includes(user.login),
  };
}

function directoryOf(options: CommonOptions, context: Context): Directory {
  return createDirectory(loadFor(options, context).config);
}

/** One line, without its end; not shown while it is typed. */
