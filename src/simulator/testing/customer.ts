/** A customer of the simulator for tests: hands over with nodemailer, reads with imapflow. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ImapFlow } from 'imapflow';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { demoAccounts, type SimulatorInput } from '../options.ts';
import { type Simulator, startSimulator } from '../simulator.ts';

export interface TestSimulator extends AsyncDisposable {
  readonly simulator: Simulator;
  readonly directory: string;
}

/**
 * A simulator on free ports in a directory of its own; P-256, since RSA keys take long to make. Citizens who
 * log in by themselves do so at once, so that `settled()` includes it.
 */
export async function testSimulator(input: Partial<SimulatorInput> = {}): Promise<TestSimulator> {
  const directory = await mkdtemp(join(tmpdir(), 'simulator-'));
  const simulator = await startSimulator({
    directory,
    ports: { smtp: 0, imap: 0 },
    signature: 'p256',
    slow: { refusals: 2, receiptDelayMs: 0 },
    accounts: demoAccounts().map((account) =>
      account.logsInAfterMs === undefined ? account : { ...account, logsInAfterMs: 0 },
    ),
    ...input,
  });
  return {
    simulator,
    directory,
    async [Symbol.asyncDispose]() {
      await simulator.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export const erika = 'erika.mustermann@stadt-waren.de-mail.example';
export const max = 'max.mustermann@buerger.de-mail.example';

/** A message as a gateway hands it over; null removes a header. */
export function handover(
  headers: Readonly<Record<string, string | null>> = {},
  body = 'Sehr geehrter Herr Mustermann,\r\nanbei der Bescheid.\r\n',
): Buffer {
  const all: Record<string, string | null> = {
    From: `"Erika Mustermann" <${erika}>`,
    To: max,
    Subject: '=?utf-8?Q?Bescheid_=C3=BCber?= die Grundsteuer\r\n 2026',
    'X-de-mail-sender': erika,
    'X-de-mail-chosen-recipient': `to=${max}`,
    'X-de-mail-confirmation-of-dispatch': 'yes',
    'X-de-mail-confirmation-of-receipt': 'yes',
    'X-de-mail-private-id': 'gw-0001',
    'Content-Type': 'text/plain; charset=utf-8',
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) => (value === null ? [] : [`${name}: ${value}`]));
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

export interface Handover {
  readonly account?: string;
  readonly from?: string;
  readonly to?: readonly string[];
  readonly message?: Buffer;
  /** Use no client certificate but this login. */
  readonly password?: { readonly user: string; readonly pass: string };
}

export interface Customer extends AsyncDisposable {
  /** Resolves with the provider's reply; rejects with nodemailer's error, whose `response` it is. */
  send(handing?: Pick<Handover, 'from' | 'to' | 'message'>): Promise<string>;
}

/** One connection for many messages: each new one waits 100 ms for its greeting. */
export async function openCustomer(
  simulator: Simulator,
  { account = 'stadt-waren', password }: Pick<Handover, 'account' | 'password'> = {},
): Promise<Customer> {
  const identity = await simulator.clientIdentity(account);
  const connection = new SMTPConnection({
    host: '127.0.0.1',
    port: simulator.ports.smtp,
    secure: true,
    tls: {
      ca: simulator.caPem,
      ...(password ? {} : { cert: identity.certificatePem, key: identity.keyPem }),
    },
  });
  const gone = Promise.withResolvers<never>();
  gone.promise.catch(() => {});
  connection.on('error', gone.reject);
  connection.on('end', () => gone.reject(new Error('connection ended')));
  const step = <T>(begin: (done: (error: Error | null | undefined, result?: T) => void) => void) => {
    const { promise, resolve, reject } = Promise.withResolvers<T | undefined>();
    begin((error, result) => (error ? reject(error) : resolve(result)));
    return Promise.race([promise, gone.promise]);
  };
  const close = () => connection.close();
  try {
    await step((done) => connection.connect(done));
    if (password) await step((done) => connection.login({ credentials: password } as never, done));
  } catch (error) {
    close();
    throw error;
  }
  return {
    async send({ from = erika, to = [max], message = handover() } = {}) {
      const reply = await step<string>((done) =>
        connection.send({ from, to: [...to] }, message, (error, info) => done(error, info?.response)),
      );
      return reply ?? '';
    },
    async [Symbol.asyncDispose]() {
      close();
    },
  };
}

/** Hands one message over, in a connection of its own. */
export async function submit(simulator: Simulator, handing: Handover = {}): Promise<string> {
  await using customer = await openCustomer(simulator, handing);
  return await customer.send(handing);
}

/** An imapflow client of an account, logged in by certificate; closed by `await using`. */
export async function reader(simulator: Simulator, account = 'stadt-waren') {
  const identity = await simulator.clientIdentity(account);
  const client = new ImapFlow({
    host: '127.0.0.1',
    port: simulator.ports.imap,
    secure: true,
    tls: { ca: simulator.caPem, cert: identity.certificatePem, key: identity.keyPem },
    logger: false,
  });
  client.on('error', () => {});
  await client.connect();
  return Object.assign(client, {
    async [Symbol.asyncDispose]() {
      client.close();
    },
  });
}

/** Every message of a mailbox, as the simulator keeps it; from the one at that index on. */
export async function allOf(
  simulator: Simulator,
  account: string,
  mailbox = 'INBOX',
  from = 0,
): Promise<Buffer[]> {
  const uids = simulator.messages(account, mailbox).slice(from);
  return Promise.all(uids.map(({ uid }) => simulator.read(account, mailbox, uid)));
}

/** Topmost value of a header, unfolded. */
export function header(message: Buffer, name: string): string | undefined {
  const text = message
    .toString('latin1')
    .split('\r\n\r\n')[0]!
    .replaceAll(/\r\n[ \t]/g, ' ');
  const line = text.split('\r\n').find((field) => field.toLowerCase().startsWith(`${name.toLowerCase()}:`));
  return line?.slice(name.length + 1).trim();
}
