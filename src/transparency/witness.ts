/**
 * Being a witness (c2sp.org/tlog-witness): cosigns a checkpoint of a known log if it continues what this witness has
 * cosigned before. It refuses forks and rollbacks, whoever asks, for that is all that a witness is for.
 */
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { WitnessConfig } from '../config/schema.ts';
import { readCheckpointText } from '../evidence/checkpoint.ts';
import { type Cosigner, createCosigner } from '../evidence/cosignature.ts';
import { EMPTY_ROOT, verifyConsistency } from '../evidence/merkle.ts';
import { type NoteKey, parseNote, parseVerifierKey, signersOf } from '../evidence/note.ts';
import { parseAddCheckpoint } from '../evidence/witness-request.ts';
import { lockStore } from '../lock.ts';
import { type Clock, systemClock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import { readSecret, secretExists, writeSecret } from '../store/key-files.ts';
import { type RunningServer, readBody, startHttp } from './http-server.ts';
import { createWitnessState, originHash, type WitnessState } from './witness-state.ts';

export interface RunningWitness extends RunningServer {
  /** Its verifier key, type 04: what the logs' operators configure. */
  readonly key: string;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly type?: string;
}

/** A body of 63 hashes and a checkpoint with many signatures. */
const LONGEST_BODY = 140_000;

/** Starts the witness; makes its key where there is none. @throws Unavailable, KeyError */
export async function startWitness(
  config: WitnessConfig,
  log: Log,
  clock: Clock = systemClock,
): Promise<RunningWitness> {
  mkdirSync(config.directory, { recursive: true, mode: 0o700 });
  await using opened = new AsyncDisposableStack();
  // Two processes on one state would let a fork pass between them.
  opened.use(await lockStore(config.directory, 'command'));
  const cosigner = createCosigner(config.name, loadKey(config.directory));
  const judge = createWitness(config, cosigner, createWitnessState(config.directory), clock, log);
  const server = opened.use(
    await startHttp(config.listen, 'witness.listen', (request, response) => {
      serve(judge, request, response).catch((error) => {
        log.error({ error: String(error) }, 'witness cannot answer');
        if (response.headersSent) response.destroy();
        else send(response, { status: 500, body: 'the checkpoint could not be recorded\n' });
      });
    }),
  );
  log.info({ name: config.name, key: cosigner.key, port: server.port }, 'witness ready');
  const running = opened.move();
  return { port: server.port, key: cosigner.key, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

export interface Witness {
  addCheckpoint(body: string): Promise<Answer>;
  /** @param hash hex SHA-256 of the origin. */
  checkpoint(hash: string): Promise<Answer>;
}

export function createWitness(
  config: Pick<WitnessConfig, 'logs'>,
  cosigner: Cosigner,
  state: WitnessState,
  clock: Pick<Clock, 'now'>,
  log: Log,
): Witness {
  const logs = new Map<string, NoteKey[]>(
    config.logs.map(({ origin, keys }) => [origin, keys.map(parseVerifierKey)]),
  );
  const byHash = new Map([...logs.keys()].map((origin) => [originHash(origin), origin]));

  async function addCheckpoint(body: string): Promise<Answer> {
    let request: ReturnType<typeof parseAddCheckpoint>;
    let text: string;
    let next: ReturnType<typeof readCheckpointText>;
    let note: ReturnType<typeof parseNote>;
    try {
      request = parseAddCheckpoint(body);
      note = parseNote(request.checkpoint, 'checkpoint');
      text = note.text;
      next = readCheckpointText(text);
    } catch (error) {
      return refuse(400, (error as Error).message);
    }
    const keys = logs.get(next.origin);
    if (keys === undefined) return refuse(404, 'the origin is not known here');
    let lines: string;
    try {
      const signers = signersOf(note, keys);
      if (signers.length === 0) return refuse(403, 'no signature of a known key of this log');
      lines = note.signatures
        .filter(({ name, id }) => signers.some((key) => key.name === name && key.id.equals(id)))
        .map(({ line }) => line)
        .join('');
    } catch (error) {
      return refuse(403, (error as Error).message);
    }
    if (request.oldSize > next.size) return refuse(400, 'the old size is larger than the checkpoint');
    return await state.exclusive(next.origin, async () => {
      const known = await state.read(next.origin);
      const last =
        known === null ? { size: 0, root: EMPTY_ROOT } : readCheckpointText(parseNote(known, 'state').text);
      if (last.size !== request.oldSize)
        return { status: 409, body: `${last.size}\n`, type: 'text/x.tlog.size' };
      if (next.size === 0 && !next.root.equals(EMPTY_ROOT))
        return refuse(422, 'an empty tree has another root');
      // From the empty tree everything follows, and nothing needs to be proven.
      const holds =
        last.size === 0
          ? request.proof.length === 0
          : verifyConsistency(last.size, next.size, last.root, next.root, request.proof);
      if (!holds) {
        // Its key signed two histories: whoever runs this witness is the first to know.
        log.error({ origin: next.origin, seen: last.size, size: next.size }, 'a log forked: not cosigned');
        return refuse(422, `the checkpoint does not continue the ${last.size} entries seen before`);
      }
      const cosignature = cosigner.cosign(text, Math.floor(clock.now() / 1000));
      await state.write(next.origin, `${text}\n${lines}${cosignature}`);
      return { status: 200, body: cosignature };
    });
  }

  return {
    addCheckpoint,
    async checkpoint(hash) {
      const origin = byHash.get(hash);
      const note = origin === undefined ? null : await state.read(origin);
      return note === null ? refuse(404, 'nothing was cosigned for this log') : { status: 200, body: note };
    },
  };
}

function refuse(status: number, text: string): Answer {
  return { status, body: `${text}\n` };
}

async function serve(witness: Witness, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = request.url ?? '';
  const monitored = /^\/([0-9a-f]{64})\/checkpoint$/.exec(url)?.[1];
  if (url === '/add-checkpoint' && request.method === 'POST') {
    let body: string;
    try {
      body = (await readBody(request, LONGEST_BODY)).toString('utf8');
    } catch (error) {
      response.setHeader('Connection', 'close');
      return send(response, refuse(413, (error as Error).message));
    }
    return send(response, await witness.addCheckpoint(body));
  }
  if (monitored !== undefined && request.method === 'GET')
    return send(response, await witness.checkpoint(monitored));
  send(
    response,
    refuse(url === '/add-checkpoint' || monitored !== undefined ? 405 : 404, 'there is nothing here'),
  );
}

function send(response: ServerResponse, { status, body, type }: Answer): void {
  response.writeHead(status, {
    'Content-Type': type ?? 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-cache',
  });
  response.end(body);
}

/** State and key belong together: without the state, the same key would cosign a fork. */
function loadKey(directory: string) {
  const file = join(directory, 'witness.key');
  if (!secretExists(file)) {
    const { privateKey } = generateKeyPairSync('ed25519');
    writeSecret(file, Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })));
  }
  return createPrivateKey(readSecret(file));
}
