import { setTimeout as wait } from 'node:timers/promises';
import type { Command } from 'commander';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { needGateway } from './control.ts';
import { CommandError, exit } from './exit.ts';
import { dataOf } from './place.ts';

const patienceMs = 15_000;

/** `stop`: lets the running gateway drain, and waits for its end. */
export function register(program: Command, context: Context): void {
  withCommonOptions(
    program.command('stop').description('stop the running gateway, and wait until it has gone'),
  ).action(
    context.action(async (options: CommonOptions) => {
      using gateway = await needGateway(await dataOf(options, context));
      const answer = await gateway.ask({ command: 'stop' });
      const timer = new AbortController();
      const late = wait(patienceMs, 'late', { signal: timer.signal }).catch(() => 'gone');
      const outcome = await Promise.race([gateway.gone.then(() => 'gone'), late]);
      timer.abort();
      if (outcome === 'late') {
        throw new CommandError(exit.finding, `the gateway has not ended within ${patienceMs / 1000} s`);
      }
      if (options.json) context.printJson({ stopped: true, ...(answer as object) });
      else context.print('stopped');
      return exit.good;
    }),
  );
}
