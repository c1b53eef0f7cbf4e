import type { Command } from 'commander';
import type { Reloaded } from '../reload.ts';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { needGateway } from './control.ts';
import { exit } from './exit.ts';
import { dataOf } from './place.ts';

/** `reload`: the running gateway reads its configuration and certificates again, as on SIGHUP. */
export function register(program: Command, context: Context): void {
  withCommonOptions(
    program
      .command('reload')
      .description('have the running gateway read configuration and certificates again'),
  ).action(
    context.action(async (options: CommonOptions) => {
      using gateway = await needGateway(await dataOf(options, context));
      const answer = (await gateway.ask({ command: 'reload' })) as Reloaded | { errors: readonly string[] };
      if ('errors' in answer) {
        for (const line of answer.errors) context.warn(line);
        context.warn('the configuration in force stays as it was');
        if (options.json) context.printJson({ reloaded: false, errors: answer.errors });
        return exit.configuration;
      }
      const { tenants, added, removed, needRestart } = answer;
      if (options.json) {
        context.printJson({ reloaded: true, tenants, added, removed, need_restart: needRestart });
        return exit.good;
      }
      context.print(`reloaded: ${tenants} tenants`);
      if (added.length > 0) context.print(`    new: ${added.join(', ')}`);
      if (removed.length > 0) context.print(`    gone: ${removed.join(', ')}`);
      if (needRestart.length > 0) context.print(`    only after a restart: ${needRestart.join(', ')}`);
      return exit.good;
    }),
  );
}
