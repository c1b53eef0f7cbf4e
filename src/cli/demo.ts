import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import type { Command } from 'commander';
import { loadConfig } from '../config/load.ts';
import { runningGateway } from '../lock.ts';
import { Unavailable } from '../unavailable.ts';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { ensureDemoCertificate } from './demo-certificate.ts';
import { portFrom, simulatorVariables, template, writeDemoConfig } from './demo-config.ts';
import { printWelcome } from './demo-welcome.ts';
import { CommandError, exit } from './exit.ts';
import { demoData, placeOf } from './place.ts';
import { serve } from './serve.ts';
import { startSimulatorProcess } from './simulator-process.ts';

interface DemoOptions extends CommonOptions {
  readonly listen: string;
  readonly name?: string;
  readonly reset?: boolean;
}

/** `demo`: the gateway with a simulated provider, seven tenants, and certificates of its own. */
export function register(program: Command, context: Context): void {
  withCommonOptions(
    program.command('demo').description('run the gateway with a simulated provider and demo tenants'),
  )
    .option('--listen <address>', 'address to bind', '127.0.0.1')
    .option('--name <host>', 'name or address under which mail clients reach it')
    .option('--reset', 'begin with an empty store')
    .action(context.action((options: DemoOptions) => runDemo(options, context)));
}

async function runDemo(options: DemoOptions, context: Context) {
  if (isIP(options.listen) === 0) {
    throw new CommandError(exit.usage, `--listen: ${JSON.stringify(options.listen)} is no IP address`);
  }
  const data = options.data ?? context.env.DEMAIL_DATA;
  const dataDir = data ? placeOf(options, context).data! : demoData(context);
  const pid = runningGateway(dataDir);
  if (pid !== null && existsSync(join(dataDir, 'control.sock'))) {
    throw new Unavailable(`the store ${dataDir} belongs to the running gateway, process ${pid}`);
  }
  if (options.reset) await reset(dataDir);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const name = options.name ?? (options.listen === '127.0.0.1' ? 'localhost' : options.listen);
  const names = [...new Set([name, 'localhost', '127.0.0.1', options.listen])];
  const caFile = await ensureDemoCertificate(
    dataDir,
    names.filter((n) => n !== '0.0.0.0' && n !== '::'),
  );

  const port = (of: keyof typeof simulatorVariables, standard: number) =>
    portFrom(context.env, simulatorVariables[of]) ?? standard;
  // Certificates name the last three, so they stay where they are from one start to the next.
  const wanted = {
    smtp: port('smtp', 2465),
    imap: port('imap', 2993),
    crl: port('crl', 2480),
    ocsp: port('ocsp', 2481),
    timestamp: port('timestamp', 2482),
  };
  await using simulator = await startSimulatorProcess(join(dataDir, 'simulator'), wanted);
  const configFile =
    options.config ??
    (await writeDemoConfig({
      dataDir,
      env: context.env,
      listen: options.listen,
      name,
      simulator: simulator.ports,
      timestampUrl: simulator.timestampUrl,
    }));
  const config = loadConfig(configFile, { data: dataDir });
  return await serve({
    config,
    configFile,
    load: () => loadConfig(configFile, { data: dataDir }),
    failure: simulator.ended,
    onReady: ({ ports }) => {
      printWelcome({ config, ports, simulator: simulator.ports, caFile, name }, options, context);
      context.print('demail-gateway ready');
    },
  });
}

/** Removes a demo's store; refuses a folder that no demo made. */
async function reset(dataDir: string): Promise<void> {
  if (!existsSync(dataDir)) return;
  if (!existsSync(join(dataDir, 'simulator'))) {
    throw new CommandError(
      exit.usage,
      `--reset: ${dataDir} was not made by the demo (see ${template}); not removed`,
    );
  }
  await rm(dataDir, { recursive: true });
}
