/** The configuration that a command needs whole. */
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import type { CommonOptions, Context } from './context.ts';
import { CommandError, exit } from './exit.ts';
import { placeOf } from './place.ts';

/** @throws ConfigError, or CommandError (configuration) where no file was named or found */
export function loadFor(
  options: CommonOptions,
  context: Pick<Context, 'env' | 'cwd'>,
): { config: Config; configFile: string } {
  const place = placeOf(options, context);
  if (place.config === undefined) {
    throw new CommandError(
      exit.configuration,
      'no configuration: name one by --config or DEMAIL_CONFIG, or put it at config/gateway.yaml; the demo wrote its own to data/demo/gateway.yaml',
    );
  }
  const overrides = place.data === undefined ? {} : { data: place.data };
  return { config: loadConfig(place.config, overrides), configFile: place.config };
}
