#!/usr/bin/env node
/**
 * The simulator as a process of its own: `node src/simulator/main.ts CONFIG.json` (see options.ts), or
 * `-` to read the configuration from standard input.
 *
 * On standard output, one JSON object a line: `{"event":"ready","ports":{…},"caFile":…,"clients":{…}}` once it
 * listens, where `clients` names certificate and key file of each account, with `crlUrl`, `ocspUrl` and
 * `timestampUrl` of what is served besides; failures inside are JSON lines on
 * standard error. SIGTERM or SIGINT end it; so does the end of the parent that gave it an IPC channel.
 * What was not delivered or confirmed by then is by the next run in the same directory. Exit codes: 0 ended, 2 usage,
 * 69 port taken, 78 configuration.
 */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { createLog } from '../observe/log.ts';
import { optionsSchema } from './options.ts';
import { startSimulator } from './simulator.ts';

async function main(argument: string | undefined): Promise<number> {
  if (argument === undefined) {
    process.stderr.write('usage: main.ts CONFIG.json | -\n');
    return 2;
  }
  const source = argument === '-' ? await text(process.stdin) : await readFile(argument, 'utf8');
  const options = optionsSchema.parse(JSON.parse(source));
  await using simulator = await startSimulator(options, { log: createLog('warn') });
  const clients: Record<string, { certificate: string; key: string }> = {};
  for (const { id } of options.accounts) {
    const { certificateFile, keyFile } = await simulator.clientIdentity(id);
    clients[id] = { certificate: certificateFile, key: keyFile };
  }
  const { ports, caFile, crlUrl, ocspUrl, timestamp } = simulator;
  const ready = { event: 'ready', ports, caFile, clients, crlUrl, ocspUrl, timestampUrl: timestamp?.url };
  process.stdout.write(`${JSON.stringify(ready)}\n`);
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
    process.once('disconnect', resolve);
  });
  return 0;
}

main(process.argv[2]).then(
  (code) => process.exit(code),
  (error: Error) => {
    const configuration = error instanceof z.ZodError || error instanceof SyntaxError;
    process.stderr.write(`simulator: ${error.message}\n`);
    process.exit(configuration ? 78 : 69);
  },
);
