/** The demo's configuration: `config/demo.yaml` with the folder, addresses and ports of this run. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { type Document, isScalar, parseDocument, visit } from 'yaml';
import { CommandError, exit } from './exit.ts';

export const template = join(import.meta.dirname, '../../config/demo.yaml');

/** Listeners of the gateway, with the variable that moves each. */
export const listenerVariables = {
  submission: 'DEMAIL_PORT_SUBMISSION',
  submissions: 'DEMAIL_PORT_SUBMISSIONS',
  relay: 'DEMAIL_PORT_RELAY',
  imap: 'DEMAIL_PORT_IMAP',
  imaps: 'DEMAIL_PORT_IMAPS',
} as const;

/** The simulator's, each with its port unless moved. */
export const simulatorVariables = {
  smtp: 'DEMAIL_PORT_SIM_SMTP',
  imap: 'DEMAIL_PORT_SIM_IMAP',
  crl: 'DEMAIL_PORT_SIM_CRL',
  ocsp: 'DEMAIL_PORT_SIM_OCSP',
  timestamp: 'DEMAIL_PORT_SIM_TSA',
} as const;

const templateFolder = '../data/demo/';

export interface DemoSettings {
  readonly dataDir: string;
  readonly env: NodeJS.ProcessEnv;
  /** Address that the gateway's listeners bind. */
  readonly listen: string;
  /** Name that clients know the gateway by. */
  readonly name: string;
  /** Where the simulator listens. */
  readonly simulator: { readonly smtp: number; readonly imap: number };
  /** Where its time-stamp authority is asked; without one nothing is sealed. */
  readonly timestampUrl?: string | undefined;
}

/** Writes `<data>/gateway.yaml` and returns its path. */
export async function writeDemoConfig(settings: DemoSettings): Promise<string> {
  const document = parseDocument(await readFile(template, 'utf8'));
  document.set('data', '.');
  document.set('hostname', settings.name);
  for (const [listener, variable] of Object.entries(listenerVariables)) {
    document.setIn(['listeners', listener, 'address'], settings.listen);
    const port = portFrom(settings.env, variable);
    if (port !== undefined) document.setIn(['listeners', listener, 'port'], port);
  }
  const tenants = document.toJS().tenants as unknown[];
  for (const [index] of tenants.entries()) {
    document.setIn(['tenants', index, 'provider', 'smtp', 'port'], settings.simulator.smtp);
    document.setIn(['tenants', index, 'provider', 'imap', 'port'], settings.simulator.imap);
    // Whoever starts the demo may read all of it: the tour shows a letter that is private.
    document.setIn(['tenants', index, 'privateMail', 'operators'], [userInfo().username]);
  }
  const { timestampUrl } = settings;
  if (timestampUrl === undefined) document.delete('preservation');
  else document.setIn(['preservation', 'seal', 'authorities', 0, 'url'], timestampUrl);
  moveFolder(document);
  document.commentBefore = ' Written by `demail-gateway demo` at each start, from config/demo.yaml.';
  await mkdir(settings.dataDir, { recursive: true, mode: 0o700 });
  const file = join(settings.dataDir, 'gateway.yaml');
  await writeFile(`${file}.new`, document.toString({ lineWidth: 0 }), { mode: 0o600 });
  await rename(`${file}.new`, file);
  return file;
}

/** The template names files from config/; the copy lies in the data folder itself. */
function moveFolder(document: Document): void {
  visit(document, {
    Scalar(_key, node) {
      if (isScalar(node) && typeof node.value === 'string' && node.value.startsWith(templateFolder)) {
        node.value = node.value.slice(templateFolder.length);
      }
    },
  });
}

/** A port from the environment. @throws CommandError (configuration) where it is no port. */
export function portFrom(env: NodeJS.ProcessEnv, variable: string): number | undefined {
  const text = env[variable];
  if (text === undefined || text === '') return undefined;
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port;
  throw new CommandError(
    exit.configuration,
    `${variable}: ${JSON.stringify(text)} is no port; use 0 to 65535`,
  );
}
