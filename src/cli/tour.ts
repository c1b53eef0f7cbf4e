/** `tour`: the whole story of one De-Mail, through the public ports and commands alone. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Command } from 'commander';
import { ImapFlow } from 'imapflow';
import { createTransport } from 'nodemailer';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { connectToGateway } from './control.ts';
import { type ExitCode, exit } from './exit.ts';
import { demoData, placeOf } from './place.ts';
import { runSelf, startDemoProcess } from './self.ts';

const login = 'erika.mustermann@stadt-waren.example';
const citizen = 'max.mustermann@buerger.de-mail.example';
const password = 'demo';
/** X-de-mail-message-type (TR-01201 IO 3.1) of what has to come back, and what it means to people. */
const awaited = new Map([
  ['confirmation of dispatch', 'Versandbestätigung'],
  ['confirmation of receipt', 'Eingangsbestätigung'],
  ['confirmation of retrieve', 'Abholbestätigung'],
]);

interface Demo extends AsyncDisposable {
  readonly dataDir: string;
  readonly host: string;
  readonly submission: number;
  readonly imaps: number;
}

interface TourOptions extends CommonOptions {
  readonly wait: string;
}

export function register(program: Command, context: Context): void {
  withCommonOptions(
    program.command('tour').description('send a De-Mail in the demo and follow it until all is confirmed'),
  )
    .option('--wait <seconds>', 'how long to wait for the confirmations', '45')
    .action(context.action((options: TourOptions) => tour(options, context)));
}

async function tour(options: TourOptions, context: Context): Promise<ExitCode> {
  const say = (line: string) => (options.json ? context.warn(line) : context.print(line));
  await using demo = await findOrStartDemo(options, context, say);
  const ca = await readFile(join(demo.dataDir, 'ca.pem'), 'utf8');
  const token = `tour-${randomBytes(6).toString('hex')}`;

  say(`Erika writes to ${citizen} and asks for all three confirmations.`);
  const { response, messageId } = await send(demo, ca, token);
  say(`  SMTP ${demo.submission}: ${response}`);

  say('She waits for them in the folder De-Mail-Bestätigungen.');
  const seconds = Number(options.wait);
  const seen = await confirmations(demo, ca, token, seconds * 1000, (type) =>
    say(`  IMAP ${demo.imaps}: ${awaited.get(type)}`),
  );
  const missing = [...awaited].filter(([type]) => !seen.has(type)).map(([, name]) => name);
  for (const name of missing) context.warn(`${name} did not come within ${seconds} s`);

  const place = ['--data', demo.dataDir];
  say('What the evidence says about it:');
  const shown = await runSelf(['evidence', 'show', messageId, ...place]);
  say(indent(shown.stdout));
  say('Whether the evidence holds:');
  const verified = await runSelf([
    'evidence',
    'verify',
    ...place,
    '--config',
    join(demo.dataDir, 'gateway.yaml'),
  ]);
  say(indent(verified.stdout));
  say('A time-stamp over it, as every few minutes by itself, and the evidence record of the letter:');
  const sealed = await runSelf(['evidence', 'seal', ...place]);
  say(indent(sealed.stdout));
  const letter = /^[a-z0-9-]+\/\d+/m.exec(shown.stdout)?.[0] ?? '';
  const out = join(demo.dataDir, `${token}.ers`);
  const recorded = await runSelf(['evidence', 'record', letter, '--out', out, ...place]);
  say(indent(recorded.stdout));
  const steps = [shown, verified, sealed, recorded];
  for (const { stderr } of steps) if (stderr !== '') context.warn(stderr.trimEnd());

  const good = missing.length === 0 && steps.every(({ code }) => code === 0);
  if (options.json) {
    context.printJson({
      good,
      message_id: messageId,
      confirmations: [...seen],
      missing,
      seal: sealed.code,
      record: recorded.code,
      verify: verified.code,
    });
  } else {
    context.print(good ? 'All is confirmed and proven.' : 'The tour failed.');
  }
  return good ? exit.good : exit.finding;
}

/** The demo that runs on the store in question, or one of its own in a temporary folder. */
async function findOrStartDemo(
  options: CommonOptions,
  context: Context,
  say: (line: string) => void,
): Promise<Demo> {
  const data = options.data ?? context.env.DEMAIL_DATA;
  const dataDir = data ? placeOf(options, context).data! : demoData(context);
  using gateway = await connectToGateway(dataDir);
  if (gateway !== null) {
    const status = (await gateway.ask({ command: 'status' })) as { ports: Record<string, number> };
    say(`A demo is running on ${dataDir}.`);
    const { submission, imaps } = status.ports;
    return {
      dataDir,
      host: '127.0.0.1',
      submission: submission!,
      imaps: imaps!,
      async [Symbol.asyncDispose]() {},
    };
  }
  const directory = await mkdtemp(join(tmpdir(), 'demail-tour-'));
  say('Starting a demo in a temporary folder.');
  const demo = await startDemoProcess(directory);
  return {
    dataDir: directory,
    host: '127.0.0.1',
    submission: demo.ports.submission!,
    imaps: demo.ports.imaps!,
    async [Symbol.asyncDispose]() {
      await demo.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function send(demo: Demo, ca: string, token: string) {
  const transport = createTransport({
    host: demo.host,
    port: demo.submission,
    requireTLS: true,
    tls: { ca, servername: 'localhost' },
    auth: { user: login, pass: password },
  });
  try {
    const { response, messageId } = await transport.sendMail({
      from: { name: 'Erika Mustermann', address: login },
      to: citizen,
      subject: `Bescheid über die Sondernutzung (${token}) [De-Mail: Versandbestätigung, Eingangsbestätigung, Abholbestätigung]`,
      text: 'Sehr geehrter Herr Mustermann,\n\nanbei der Bescheid.\n\nErika Mustermann\n',
      attachments: [{ filename: 'Bescheid.txt', content: 'Der Antrag wird bewilligt.\n' }],
      headers: {
        'X-de-mail-private-id': token,
      },
    });
    return { response, messageId };
  } finally {
    transport.close();
  }
}

/** Watches the folder until every confirmation of this letter is there, or time is up. */
async function confirmations(
  demo: Demo,
  ca: string,
  token: string,
  patienceMs: number,
  tell: (type: string) => void,
): Promise<Set<string>> {
  const seen = new Set<string>();
  const client = new ImapFlow({
    host: demo.host,
    port: demo.imaps,
    secure: true,
    tls: { ca, servername: 'localhost' },
    auth: { user: login, pass: password },
    logger: false,
  });
  client.on('error', () => {}); // the command that it broke rejects
  await client.connect();
  try {
    await client.mailboxOpen('De-Mail-Bestätigungen');
    const until = Date.now() + patienceMs;
    let next = 1;
    while (seen.size < awaited.size && Date.now() < until) {
      const query = { uid: true, headers: ['x-de-mail-private-id', 'x-de-mail-message-type'] };
      for await (const message of client.fetch(`${next}:*`, query, { uid: true })) {
        next = Math.max(next, message.uid + 1);
        const header = message.headers?.toString('utf8').replace(/\r\n[ \t]+/g, ' ') ?? '';
        const type = /^x-de-mail-message-type:\s*(.+?)\s*$/im.exec(header)?.[1]?.replaceAll('-', ' ');
        if (!header.includes(token) || type === undefined || !awaited.has(type) || seen.has(type)) continue;
        seen.add(type);
        tell(type);
      }
      if (seen.size < awaited.size) await news(client, 1000);
    }
  } finally {
    await client.logout().catch(() => {});
  }
  return seen;
}

/** Resolves when the server speaks of new messages, or after `ms`. */
async function news(client: ImapFlow, ms: number): Promise<void> {
  const arrived = Promise.withResolvers<void>();
  const hear = () => arrived.resolve();
  client.once('exists', hear);
  await Promise.race([arrived.promise, wait(ms)]);
  client.off('exists', hear);
}

function indent(text: string): string {
  return text.trimEnd().replace(/^/gm, '  ');
}
