import type { Command } from 'commander';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { printListening } from './listening.ts';
import { loadFor } from './load.ts';
import { serve } from './serve.ts';

/** `start`: the gateway in the foreground, for a service manager. */
export function register(program: Command, context: Context): void {
  withCommonOptions(
    program.command('start').description('run the gateway in the foreground until SIGTERM or `stop`'),
  ).action(
    context.action((options: CommonOptions) => {
      const { config, configFile } = loadFor(options, context);
      return serve({
        config,
        configFile,
        load: () => loadFor(options, context).config,
        onReady: (gateway) => {
          printListening(gateway.ports, options, context);
          context.print('demail-gateway ready');
        },
      });
    }),
  );
}
