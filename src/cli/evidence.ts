/** `evidence …`: what was sent to whom, when, and can you prove it? */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import type { EntryKind } from '../evidence/entry.ts';
import type { Reader, SearchQuery } from '../store/store.ts';
import { recordAccess } from './access.ts';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { registerExport } from './evidence-export.ts';
import { registerImport } from './evidence-import.ts';
import { registerLog } from './evidence-log.ts';
import { registerProof } from './evidence-proof.ts';
import {
  describeEntry,
  describeLetter,
  type LetterObject,
  type SearchLine,
  searchLines,
} from './evidence-text.ts';
import { registerVerify } from './evidence-verify.ts';
import { CommandError, exit } from './exit.ts';
import { operator } from './operator.ts';
import { storeOf } from './place.ts';
import { isPrivateLetter, isPrivateMessage, privateReader, withoutContent } from './private-access.ts';
import { openReader } from './reader.ts';
import { registerSeals } from './seal.ts';

interface SearchOptions extends CommonOptions {
  readonly tenant?: string;
  readonly address?: string;
  readonly messageId?: string;
  readonly privateId?: string;
  readonly subject?: string;
  readonly fileReference?: string;
  readonly kind?: string;
  readonly since?: string;
  readonly until?: string;
  readonly fact?: string;
  readonly file?: string;
  readonly limit?: string;
}

export function register(program: Command, context: Context): void {
  const evidence = program.command('evidence').description('search, show and verify the evidence');

  withCommonOptions(
    evidence.command('search').description('list messages of the evidence; every look is recorded'),
  )
    .option('--tenant <id>', 'only this tenant')
    .option('--address <text>', 'address of sender or recipient, or a part of it')
    .option('--message-id <id>', 'Message-ID')
    .option('--private-id <id>', 'private-id of a hand-over')
    .option('--subject <text>', 'part of the subject')
    .option('--file-reference <reference>', 'file reference (Aktenzeichen), whole')
    .option('--kind <kind>', 'submission, refused, inbound, confirmation, notification, sent-copy, notice')
    .option('--since <time>', 'from this time on (2026-03-01 or 2026-03-01T08:00:00Z)')
    .option('--until <time>', 'up to this time')
    .option('--fact <fact>', 'letters of which this is known, such as received')
    .option('--file <path>', 'was this very file sent or received? (message or attachment)')
    .option('--limit <n>', 'at most so many (1000)')
    .action(context.action((options: SearchOptions) => search(options, context)));

  withCommonOptions(evidence.command('show').description('timeline, facts and objects of one message'))
    .argument('<message>', 'Message-ID, private-id or tenant/index')
    .option('--tenant <id>', 'only this tenant')
    .option('--save <directory>', 'also write the messages there, byte for byte')
    .action(
      context.action((message: string, options: CommonOptions & { tenant?: string; save?: string }) =>
        show(message, options, context),
      ),
    );

  registerSeals(evidence, context);

  registerVerify(evidence, context);
  registerExport(evidence, context);
  registerImport(evidence, context);
  registerProof(evidence, context);
  registerLog(evidence, context);
}

async function search(options: SearchOptions, context: Context) {
  const storePlace = await storeOf(options, context);
  const { data, paths } = storePlace;
  const query = {
    ...readQuery(options),
    ...(options.file === undefined ? {} : { sha256: await fileDigest(options.file) }),
  };
  using reader = openReader(paths);
  const found = await reader.search(query);
  const tenants = options.tenant === undefined ? await reader.tenants() : [options.tenant];
  const mayRead = await privateReader(data, options, context);
  await recordAccess(context, storePlace, tenants, 'search', JSON.stringify(query));
  // A hit would say what stands in the subject, or what the file of a private De-Mail is.
  const byContent = query.subject !== undefined || query.sha256 !== undefined;
  const lines: SearchLine[] = [];
  for (const summary of found) {
    const isPrivate = await isPrivateMessage(reader, summary);
    const hidden = isPrivate && !mayRead(summary.tenant);
    if (!hidden || !byContent) lines.push(...searchLines(summary, { isPrivate, hidden }));
  }
  if (byContent && !tenants.every(mayRead))
    context.warn(
      'private De-Mails are not searched by subject or file for those whom privateMail.operators does not name',
    );
  for (const line of lines) {
    if (options.json) context.printJson(line);
    else
      context.print(
        `${line.time}  ${line.tenant}/${line.index}  ${line.kind}  ${line.recipient ?? '-'}  ${line.facts.join(', ') || '-'}  ${line.message_id ?? '-'}`,
      );
  }
  if (lines.length === 0) context.warn('nothing found');
  return lines.length === 0 ? exit.usage : exit.good;
}

async function show(
  name: string,
  options: CommonOptions & { tenant?: string; save?: string },
  context: Context,
) {
  const storePlace = await storeOf(options, context);
  const { data, paths } = storePlace;
  using reader = openReader(paths);
  const found = await reader.resolve(name, options.tenant);
  if (found.length === 0) throw new CommandError(exit.usage, await unknown(reader, name));
  if (found.length > 1) {
    const candidates = found.map((f) => `${f.tenant}/${f.letter}`);
    if (options.json) context.printJson({ ambiguous: name, candidates });
    throw new CommandError(exit.usage, `${name} may be ${candidates.join(', ')}: name one of them`);
  }
  const { tenant, letter } = found[0]!;
  const timeline = await reader.timeline(tenant, letter);
  const facts = await reader.facts(tenant, letter);
  const isPrivate = isPrivateLetter(timeline);
  const hidden = isPrivate && !(await privateReader(data, options, context))(tenant);
  await recordAccess(
    context,
    storePlace,
    [tenant],
    options.save === undefined ? 'show' : 'export',
    `${tenant}/${letter}${isPrivate ? ` (private, content ${hidden ? 'hidden' : 'shown'})` : ''}`,
  );
  if (hidden && options.save !== undefined)
    throw new CommandError(
      exit.finding,
      `${tenant}/${letter} is a private De-Mail: privateMail.operators of ${tenant} does not name ${operator().name}`,
    );
  const shown = hidden ? timeline.map(withoutContent) : timeline;
  const described = { ...describeLetter(tenant, letter, shown, facts), private: isPrivate, hidden };
  if (options.save !== undefined) await saveObjects(reader, tenant, described.objects, options.save);
  if (options.json) context.printJson(described);
  else {
    context.print(`${tenant}/${letter}${hidden ? '  private: subject and content are hidden' : ''}`);
    for (const [recipient, names] of Object.entries(described.facts))
      context.print(`  ${recipient}: ${names.map((f) => f.fact).join(', ')}`);
    context.print('timeline');
    for (const entry of shown) for (const line of describeEntry(entry)) context.print(`  ${line}`);
    context.print('objects');
    for (const object of described.objects)
      context.print(
        `  entry ${object.entry}  ${object.role}  ${object.size} bytes  SHA-256 ${object.sha256}${options.save === undefined ? '' : `  ${object.file}`}`,
      );
  }
  return exit.good;
}

/** Was it erased? Then the log still says by which class and basis. */
async function unknown(reader: Reader, name: string): Promise<string> {
  const place = /^([a-z0-9][a-z0-9-]{0,62})\/(\d{1,15})$/.exec(name);
  const erased = place === null ? null : await reader.erasure(place[1]!, Number(place[2]));
  return erased === null
    ? `no message is known as ${name}`
    : `${name} was erased on ${erased.time}: class ${erased.class}, ${erased.legalBasis} (entry ${erased.tenant}/${erased.index})`;
}

function readQuery(options: SearchOptions): SearchQuery {
  const limit = options.limit === undefined ? undefined : Number(options.limit);
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit > 0))
    throw new CommandError(exit.usage, `--limit ${options.limit}: a whole number from 1 on`);
  return {
    ...pick('tenant', options.tenant),
    ...pick('address', options.address),
    ...pick('messageId', options.messageId),
    ...pick('privateId', options.privateId),
    ...pick('subject', options.subject),
    ...pick('fileReference', options.fileReference),
    ...pick('kind', options.kind as EntryKind | undefined),
    ...pick('since', readTime('--since', options.since)),
    ...pick('until', readTime('--until', options.until)),
    ...pick('fact', options.fact),
    ...pick('limit', limit),
  };
}

function pick<K extends keyof SearchQuery>(
  key: K,
  value: SearchQuery[K] | undefined,
): Pick<SearchQuery, K> | Record<string, never> {
  return value === undefined ? {} : ({ [key]: value } as Pick<SearchQuery, K>);
}

function readTime(option: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const time = new Date(text);
  if (Number.isNaN(time.getTime()))
    throw new CommandError(
      exit.usage,
      `${option} ${text}: a time such as 2026-03-01 or 2026-03-01T08:00:00Z`,
    );
  return time.toISOString();
}

async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(path), hash);
  } catch (error) {
    throw new CommandError(exit.usage, `${path}: ${(error as Error).message}`, error);
  }
  return hash.digest('hex');
}

async function saveObjects(
  reader: Reader,
  tenant: string,
  objects: readonly LetterObject[],
  directory: string,
): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const { object, body, file } of objects) {
    await pipeline(
      async function* () {
        yield* await bytesOf(reader, tenant, object, 0);
        if (body !== undefined) yield* await bytesOf(reader, tenant, body.object, body.from);
      },
      createWriteStream(join(directory, file), { flags: 'wx' }),
    );
  }
}

async function bytesOf(
  reader: Reader,
  tenant: string,
  object: string,
  from: number,
): Promise<AsyncIterable<Buffer>> {
  const opened = await reader.object(tenant, object);
  if (opened === null) throw new CommandError(exit.finding, `object ${tenant}/${object} is missing`);
  return opened.read(from);
}
