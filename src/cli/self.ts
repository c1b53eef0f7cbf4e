/** This very program as a child process: what a person would type, typed by a command. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import type { ListenerPorts } from '../gateway.ts';
import { Unavailable } from '../unavailable.ts';
import { listenerVariables, simulatorVariables } from './demo-config.ts';

const main = join(import.meta.dirname, '../main.ts');

/** Runs a command to its end. */
export async function runSelf(
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { code, stdout, stderr };
}

export interface DemoProcess {
  readonly ports: ListenerPorts;
  stop(): Promise<void>;
}

/** Starts a demo on ports that are free, and waits until it is ready. @throws Unavailable */
export async function startDemoProcess(dataDir: string): Promise<DemoProcess> {
  const variables = [...Object.values(listenerVariables), ...Object.values(simulatorVariables)];
  const child = spawn(process.execPath, [main, 'demo', '--json', '--data', dataDir], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...Object.fromEntries(variables.map((name) => [name, '0'])) },
  });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaint = `${complaint}${chunk}`.slice(-2000);
  });
  const ready = new Promise<ListenerPorts>((resolve) => {
    let ports: ListenerPorts = {};
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('{')) ports = (JSON.parse(line) as { ports: ListenerPorts }).ports;
      if (line === 'demail-gateway ready') resolve(ports);
    });
  });
  const outcome = await Promise.race([ready, once(child, 'exit')]);
  if (Array.isArray(outcome)) throw new Unavailable(`the demo did not start: ${complaint}`);
  return {
    ports: outcome as ListenerPorts,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}
