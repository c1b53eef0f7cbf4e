/** The gateway as its own process, with the demo's tenants and whatever provider a test puts behind it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { type Document, parseDocument } from 'yaml';
import { ensureDemoCertificate } from '../../../src/cli/demo-certificate.ts';
import { writeDemoConfig } from '../../../src/cli/demo-config.ts';
import { type Simulator, startSimulator } from '../../../src/simulator/simulator.ts';
import { freePort } from './port.ts';

const main = join(import.meta.dirname, '../../../src/main.ts');

export interface GatewayPorts {
  readonly submission: number;
  readonly submissions: number;
  readonly relay: number;
  readonly imap: number;
  readonly imaps: number;
}

export interface GatewayProcess {
  readonly pid: number;
  /** Log lines so far (JSON on stderr). */
  log(): string;
  kill(signal: NodeJS.Signals): void;
  /** Exit code, or null after a signal. */
  readonly exited: Promise<number | null>;
}

export interface Installation extends AsyncDisposable {
  readonly directory: string;
  readonly configFile: string;
  readonly caFile: string;
  /** Stay the same over restarts. */
  readonly ports: GatewayPorts;
  /** Set over the environment of what is started from now on. */
  readonly env: Record<string, string>;
  /** Starts it (under `wrapper`, such as strace) and waits until it is ready. */
  start(wrapper?: readonly string[]): Promise<GatewayProcess>;
  /** Runs a command of the gateway on this installation. */
  run(...args: string[]): Promise<Ran>;
  /** The same, with something to read. */
  answer(input: string, ...args: string[]): Promise<Ran>;
  /** The same, and nobody names the configuration. */
  bare(...args: string[]): Promise<Ran>;
}

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** An installation of its own in a temporary folder; removed, and what runs of it ended, on disposal. */
export async function installGateway(
  provider: { readonly smtp: number; readonly imap: number },
  options: { readonly directory?: string; readonly edit?: (config: Document) => void } = {},
): Promise<Installation> {
  const directory = options.directory ?? (await temporaryDirectory());
  const ports: GatewayPorts = {
    submission: await freePort(),
    submissions: await freePort(),
    relay: await freePort(),
    imap: await freePort(),
    imaps: await freePort(),
  };
  const env = Object.fromEntries(
    Object.entries(ports).map(([name, port]) => [`DEMAIL_PORT_${name.toUpperCase()}`, String(port)]),
  );
  const caFile = await ensureDemoCertificate(directory, ['localhost', '127.0.0.1']);
  const settings = { dataDir: directory, env, listen: '127.0.0.1', name: 'localhost', simulator: provider };
  const configFile = await writeDemoConfig(settings);
  if (options.edit) {
    const document = parseDocument(await readFile(configFile, 'utf8'));
    options.edit(document);
    await writeFile(configFile, document.toString());
  }
  const started = new Set<ChildProcess>();
  const over: Record<string, string> = {};
  return {
    directory,
    configFile,
    caFile,
    ports,
    env: over,
    async start(wrapper = []) {
      const command = [...wrapper, process.execPath, main, 'start', '--config', configFile];
      const child = spawn(command[0]!, command.slice(1), {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, ...over },
      });
      started.add(child);
      let log = '';
      child.stderr.on('data', (chunk: Buffer) => {
        log += chunk;
      });
      const exited = once(child, 'close').then(([code]) => code as number | null);
      const ready = new Promise<'ready'>((resolve) => {
        createInterface({ input: child.stdout }).on('line', (line) => {
          if (line === 'demail-gateway ready') resolve('ready');
        });
      });
      const outcome = await Promise.race([ready, exited]);
      if (outcome !== 'ready') throw new Error(`the gateway ended with ${outcome}: ${log}`);
      return { pid: child.pid!, log: () => log, kill: (signal) => void child.kill(signal), exited };
    },
    run: (...args) => runCommand([...args, '--config', configFile], { over }),
    answer: (input, ...args) => runCommand([...args, '--config', configFile], { over, input }),
    bare: (...args) => runCommand(args, { over, cwd: directory }),
    async [Symbol.asyncDispose]() {
      for (const child of started) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function runCommand(
  args: readonly string[],
  {
    over,
    cwd,
    input = '',
  }: { readonly over: Record<string, string>; readonly cwd?: string; readonly input?: string },
): Promise<Ran> {
  const child = spawn(process.execPath, [main, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...over },
    ...(cwd !== undefined && { cwd }),
  });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { code, stdout, stderr };
}

/** An installation with a simulated provider of its own. */
export async function installWithSimulator(
  settings: Partial<Parameters<typeof startSimulator>[0]> = {},
  edit?: (config: Document) => void,
): Promise<{ installation: Installation; simulator: Simulator } & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const directory = await temporaryDirectory();
  const simulator = opened.use(
    await startSimulator({
      directory: join(directory, 'simulator'),
      ports: { smtp: 0, imap: 0 },
      ...settings,
    }),
  );
  const document = parseDocument(
    await readFile(join(import.meta.dirname, '../../../config/demo.yaml'), 'utf8'),
  );
  for (const { id } of (document.toJS() as { tenants: { id: string }[] }).tenants) {
    await simulator.clientIdentity(id);
  }
  const installation = opened.use(
    await installGateway(simulator.ports, { directory, ...(edit && { edit }) }),
  );
  const running = opened.move();
  return { installation, simulator, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

function temporaryDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'gateway-'));
}
