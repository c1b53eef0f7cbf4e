/** The simulated provider as a process of its own, that ends with this one however this one ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Unavailable } from '../unavailable.ts';

const program = join(import.meta.dirname, '../simulator/main.ts');

export interface SimulatorProcess extends AsyncDisposable {
  readonly ports: { readonly smtp: number; readonly imap: number };
  /** Resolves with what happened, when it has ended. */
  readonly ended: Promise<string>;
}

/**
 * Starts it and waits until it listens. It watches the IPC channel: when the parent is gone, even by
 * SIGKILL, the channel closes and it ends.
 * @throws Unavailable where it could not start, with its own words
 */
export async function startSimulatorProcess(
  directory: string,
  ports: { smtp?: number; imap?: number },
): Promise<SimulatorProcess> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, 'simulator.json');
  await writeFile(file, JSON.stringify({ directory, ports }), { mode: 0o600 });
  // A group of its own: Ctrl-C at the terminal reaches the gateway, which then ends the simulator in turn.
  const child = spawn(process.execPath, [program, file], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    detached: true,
  });
  let complaint = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    complaint = `${complaint}${chunk}`.slice(-2000);
  });
  const ended = once(child, 'exit').then(
    ([code, signal]) => complaint.trim() || `simulator: ended with ${signal ?? code}`,
  );
  const ready = new Promise<SimulatorProcess['ports']>((resolve) => {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const said = JSON.parse(line) as { event?: string; ports?: SimulatorProcess['ports'] };
      if (said.event === 'ready' && said.ports) resolve(said.ports);
    });
  });
  const outcome = await Promise.race([ready, ended]);
  if (typeof outcome === 'string') throw new Unavailable(outcome);
  return {
    ports: outcome,
    ended,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      const force = setTimeout(() => child.kill('SIGKILL'), 3000);
      await ended;
      clearTimeout(force);
    },
  };
}
