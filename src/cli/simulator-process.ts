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
  /** Where its time-stamp authority is asked. */
  readonly timestampUrl: string;
  /** Resolves with what happened, when it has ended. */
  readonly ended: Promise<string>;
}

/** 0: any free one. */
export interface SimulatorPorts {
  readonly smtp: number;
  readonly imap: number;
  readonly crl: number;
  readonly ocsp: number;
  readonly timestamp: number;
}

interface Ready {
  readonly event: 'ready';
  readonly ports: SimulatorProcess['ports'];
  readonly timestampUrl: string;
}

/**
 * Starts it and waits until it listens. It watches the IPC channel: when the parent is gone, even by
 * SIGKILL, the channel closes and it ends.
 * @throws Unavailable where it could not start, with its own words
 */
export async function startSimulatorProcess(
  directory: string,
  { smtp, imap, crl, ocsp, timestamp }: SimulatorPorts,
): Promise<SimulatorProcess> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, 'simulator.json');
  const services = { crl: { port: crl }, ocsp: { port: ocsp }, timestamp: { port: timestamp } };
  const options = { directory, ports: { smtp, imap }, ...services };
  await writeFile(file, JSON.stringify(options), { mode: 0o600 });
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
  const ready = new Promise<Ready>((resolve) => {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const said = JSON.parse(line) as Ready | { readonly event: 'other' };
      if (said.event === 'ready') resolve(said);
    });
  });
  const outcome = await Promise.race([ready, ended]);
  if (typeof outcome === 'string') throw new Unavailable(outcome);
  return {
    ports: outcome.ports,
    timestampUrl: outcome.timestampUrl,
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
