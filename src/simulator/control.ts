/**
 * Orders to a running simulator: one JSON object a line over a Unix socket, one JSON object a line back,
 * `{"ok":true,…}` or `{"ok":false,"error":"…"}`.
 *
 * - `{"do":"status"}`: ports and message counts per account
 * - `{"do":"faults", …}`: sets the given fields of `faults` (see options.ts), answers with all of them
 * - `{"do":"deposit","account":"stadt-waren","base64":"…","envelopeTo":"a@stadt-waren.de-mail.example"}`:
 *   lays bytes into an INBOX as they are, with an Envelope-to line on top if given; answers with the UID
 * - `{"do":"login","account":"karl.never","level":"high"}`: the holder logs in; default: at the account's level
 * - `{"do":"clock","at":"2027-03-01T08:00:00Z"}`: moves the provider's clock; without `at` back to the true time
 * - `{"do":"identify","account":"max.mustermann","to":"poststelle@stadt-waren.de-mail.example","card":"identity"}`:
 *   the provider sends an identification of the holder; cards: see identity-card.ts
 * - `{"do":"revoke","at":"2026-11-24T08:00:00Z"}`: revokes the signature certificate; default: as of now
 * - `{"do":"timestamp","faults":["wrong-nonce"]}`: how the time-stamp authority misbehaves from now on
 * - `{"do":"renumber","account":"stadt-waren","mailbox":"INBOX"}`: new UIDVALIDITY and UIDs
 * - `{"do":"settle"}`: answers when everything under way is done
 */
import { chmod, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { type CardName, cardNames } from './identity-card.ts';
import { listening } from './listening.ts';
import { type Faults, faultsSchema } from './options.ts';
import { type TimestampFault, timestampFaultNames } from './timestamp-authority.ts';

const order = z.discriminatedUnion('do', [
  z.strictObject({ do: z.literal('status') }),
  faultsSchema.partial().extend({ do: z.literal('faults') }),
  z.strictObject({
    do: z.literal('deposit'),
    account: z.string(),
    base64: z.base64(),
    envelopeTo: z.string().optional(),
  }),
  z.strictObject({
    do: z.literal('login'),
    account: z.string(),
    level: z.enum(['normal', 'high']).optional(),
  }),
  z.strictObject({ do: z.literal('clock'), at: z.iso.datetime().optional() }),
  z.strictObject({
    do: z.literal('identify'),
    account: z.string(),
    to: z.string(),
    card: z.enum(cardNames).optional(),
  }),
  z.strictObject({ do: z.literal('revoke'), at: z.iso.datetime().optional() }),
  z.strictObject({ do: z.literal('timestamp'), faults: z.array(z.enum(timestampFaultNames)) }),
  z.strictObject({ do: z.literal('renumber'), account: z.string(), mailbox: z.string().default('INBOX') }),
  z.strictObject({ do: z.literal('settle') }),
]);

/** What can be ordered; see `Simulator`, which is one. */
interface Controlled {
  readonly ports: object;
  readonly faults: Faults;
  readonly timestamp: { readonly faults: Set<TimestampFault> } | undefined;
  deposit(account: string, bytes: Uint8Array, envelopeTo?: string): Promise<object>;
  login(account: string, level?: 'normal' | 'high'): void;
  identify(account: string, to: string, card?: CardName): void;
  setClock(time?: Date): void;
  revokeSigner(at?: Date): Promise<void>;
  renumber(account: string, mailbox: string): void;
  counts(): object;
  settled(): Promise<void>;
}

/** Listens at the path, mode 0600; a socket left by a dead process is replaced. */
export async function listenControl(path: string, simulator: Controlled): Promise<() => Promise<void>> {
  await rm(path, { force: true });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    const lines = createInterface({ input: socket });
    // readline hands the socket's errors on: a client that goes away must not end the simulator.
    lines.on('error', () => socket.destroy());
    lines.on('line', async (line) => {
      const answer = await obey(line, simulator).then(
        (result) => ({ ok: true, ...result }),
        (error: Error) => ({ ok: false, error: error.message }),
      );
      socket.write(`${JSON.stringify(answer)}\n`);
    });
  });
  await listening(server.listen(path), path);
  await chmod(path, 0o600);
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
}

async function obey(line: string, simulator: Controlled): Promise<object> {
  const wanted = order.parse(JSON.parse(line));
  switch (wanted.do) {
    case 'status':
      return { ports: simulator.ports, messages: simulator.counts() };
    case 'faults': {
      const { do: _, ...changes } = wanted;
      const given = Object.entries(changes).filter(([name]) => line.includes(`"${name}"`));
      return { faults: Object.assign(simulator.faults, Object.fromEntries(given)) };
    }
    case 'deposit':
      return simulator.deposit(wanted.account, Buffer.from(wanted.base64, 'base64'), wanted.envelopeTo);
    case 'login':
      simulator.login(wanted.account, wanted.level);
      return {};
    case 'clock':
      simulator.setClock(wanted.at === undefined ? undefined : new Date(wanted.at));
      return {};
    case 'identify':
      simulator.identify(wanted.account, wanted.to, wanted.card);
      return {};
    case 'revoke':
      await simulator.revokeSigner(wanted.at === undefined ? undefined : new Date(wanted.at));
      return {};
    case 'timestamp':
      if (!simulator.timestamp) throw new Error('The simulator runs no time-stamp authority');
      simulator.timestamp.faults.clear();
      for (const fault of wanted.faults) simulator.timestamp.faults.add(fault);
      return {};
    case 'renumber':
      simulator.renumber(wanted.account, wanted.mailbox);
      return {};
    case 'settle':
      await simulator.settled();
      return {};
  }
}
