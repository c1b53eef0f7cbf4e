/** `verify`: what a De-Mail, a confirmation or its XML proves, offline and without a store. */
import { createReadStream, existsSync } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { looksLikeProof } from '../evidence/proof.ts';
import { readRevocationFolder, readTrustFolder, revocationMemory } from '../pki/revocation-sources.ts';
import type { Circumstances } from '../pki/signer.ts';
import type { VerdictReport } from '../pki/types.ts';
import { UnusableInput, verifyDeMail, verifyXmlFile } from '../pki/verify-demail.ts';
import type { Context } from './context.ts';
import { CommandError, type ExitCode, exit } from './exit.ts';
import { looksLikeArchive, verifyBundleFile } from './verify-bundle.ts';
import { verifyProofFile } from './verify-proof.ts';
import { type ShownSignature, senderSignatures } from './verify-signatures.ts';

/** The XML of confirmations has some 20 KiB. */
const MAX_XML_BYTES = 4 * 1024 * 1024;

interface VerifyOptions {
  readonly trust?: string;
  readonly logKey?: string[];
  readonly witnessKey?: string[];
  readonly crl?: string;
  readonly time?: string;
  readonly json?: boolean;
  readonly printSignedBytes?: boolean;
}

export function register(program: Command, context: Context): void {
  program
    .command('verify')
    .description(
      'verify De-Mails, confirmations and bundles offline: integrity, signatures, certificates, time-stamps',
    )
    .argument(
      '<files...>',
      'messages (.eml), signed XML, .tlog-proof or bundles; the kind is told by the content',
    )
    .option(
      '--trust <directory>',
      'certificates of the anchors, PEM or DER; others there help to build paths',
    )
    .option('--log-key <key...>', 'verifier keys of the log, for a .tlog-proof or a bundle')
    .option('--witness-key <key...>', 'verifier keys of witnesses, for a .tlog-proof')
    .option('--crl <directory>', 'CRLs and OCSP responses, PEM or DER')
    .option('--time <time>', 'a moment at which the files are known to have existed (default: now)')
    .option('--json', 'print JSON, one object per file')
    .option(
      '--print-signed-bytes',
      'write the canonical bytes that the integrity header covers, and nothing else',
    )
    .action(context.action((files: string[], options: VerifyOptions) => verify(files, options, context)));
}

async function verify(files: readonly string[], options: VerifyOptions, context: Context): Promise<ExitCode> {
  if (options.printSignedBytes && files.length > 1)
    throw new CommandError(exit.usage, '--print-signed-bytes: one file at a time');
  const proofs = new Set<string>();
  for (const file of files) if (await isProof(file)) proofs.add(file);
  const keys = { logKeys: options.logKey ?? [], witnessKeys: options.witnessKey ?? [] };
  const codes: ExitCode[] = [];
  for (const file of proofs) codes.push(await verifyProofFile(file, keys, options.json ?? false, context));
  const bundles = new Set<string>();
  for (const file of files) if (await isBundle(file)) bundles.add(file);
  const others = files.filter((file) => !proofs.has(file) && !bundles.has(file));
  if (bundles.size > 0) {
    const circumstances = await readCircumstances(options);
    for (const file of bundles)
      codes.push(await verifyBundleFile(file, circumstances, { ...options, logKeys: keys.logKeys }, context));
  }
  if (others.length > 0) {
    const circumstances = await readCircumstances(options);
    for (const file of others) codes.push(await verifyFile(file, circumstances, options, context));
  }
  return worst(codes);
}

async function isProof(file: string): Promise<boolean> {
  return looksLikeProof(await firstBytes(file).catch(() => Buffer.alloc(0)));
}

async function isBundle(file: string): Promise<boolean> {
  if (existsSync(join(file, 'tenant.json'))) return true;
  return looksLikeArchive(await firstBytes(file).catch(() => Buffer.alloc(0)));
}

/** By what files are judged. @throws CommandError (usage) where there is no anchor */
export async function readCircumstances(
  options: Pick<VerifyOptions, 'trust' | 'crl' | 'time'>,
): Promise<Circumstances> {
  if (options.trust === undefined)
    throw new CommandError(exit.usage, '--trust <directory> is needed for messages, XML and bundles');
  const circumstances: Circumstances = {
    trust: await readable('--trust', options.trust, readTrustFolder),
    revocation: revocationMemory(
      options.crl === undefined ? [] : await readable('--crl', options.crl, readRevocationFolder),
    ),
    time: readTime(options.time),
  };
  if (circumstances.trust.anchorsAt(circumstances.time).length === 0)
    throw new CommandError(
      exit.usage,
      `--trust ${options.trust}: no self-issued certificate in it, so no anchor`,
    );
  return circumstances;
}

async function verifyFile(
  file: string,
  circumstances: Circumstances,
  options: VerifyOptions,
  context: Context,
): Promise<ExitCode> {
  let report: VerdictReport & {
    readonly signedBytes?: Buffer | null;
    readonly signatures?: readonly ShownSignature[];
  };
  try {
    report = await verdictOn(file, circumstances);
  } catch (error) {
    if (!(error instanceof UnusableInput) && (error as NodeJS.ErrnoException).code === undefined) throw error;
    const { message } = error as Error;
    if (options.json && !options.printSignedBytes)
      context.printJson({ file, verdict: null, problem: message });
    else context.warn(`${file}: unusable: ${message}`);
    return exit.usage;
  }
  if (options.printSignedBytes) {
    if (!report.signedBytes) {
      context.warn(`${file}: there is no integrity header that can be read`);
      return exit.usage;
    }
    await new Promise<void>((resolve) => process.stdout.write(report.signedBytes!, () => resolve()));
  } else if (options.json) context.printJson(toJson(file, report));
  else for (const line of toLines(file, report)) context.print(line);
  return { valid: exit.good, invalid: exit.finding, indeterminate: exit.indeterminate }[report.verdict];
}

async function verdictOn(file: string, circumstances: Circumstances) {
  const first = await firstBytes(file);
  if (first.length === 0) throw new UnusableInput('it is empty');
  if (!looksLikeXml(first)) {
    const report = await verifyDeMail(createReadStream(file), circumstances);
    return { ...report, signatures: await senderSignatures(file, circumstances) };
  }
  const { size } = await stat(file);
  if (size > MAX_XML_BYTES) throw new UnusableInput(`XML of more than ${MAX_XML_BYTES} bytes`);
  return await verifyXmlFile(await readFile(file), circumstances);
}

async function firstBytes(file: string): Promise<Buffer> {
  await using handle = await open(file);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(256), 0, 256, 0);
  return buffer.subarray(0, bytesRead);
}

/** A header field cannot begin with `<`; UTF-16 is XML too, with its byte order mark. */
function looksLikeXml(first: Buffer): boolean {
  return /^(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\s\0]*</.test(first.toString('latin1'));
}

type Report = VerdictReport & { readonly signatures?: readonly ShownSignature[] };

function toJson(
  file: string,
  { verdict, integrity, signer, signedAt, checks, material, signatures = [] }: Report,
) {
  const steps = (list: VerdictReport['checks']) =>
    list.map(({ name, code, result, reason }) => ({ name, code, result, reason }));
  return {
    file,
    verdict,
    integrity,
    signed_at: signedAt ?? null,
    signer:
      signer === undefined
        ? null
        : {
            subject: signer.subject,
            issuer: signer.issuer,
            serial: signer.serial,
            certificate_sha256: signer.certificateSha256,
          },
    checks: steps(checks),
    material: material.map(({ kind, sha256 }) => ({ kind, sha256 })),
    sender_signatures: signatures.map(({ signedAt: at, checks: own, ...rest }) => ({
      ...rest,
      signed_at: at,
      checks: steps(own),
    })),
  };
}

const marks = { passed: '+', failed: '!', undecided: '?' };

function toLines(
  file: string,
  { verdict, integrity, signer, signedAt, checks, signatures = [] }: Report,
): string[] {
  const by =
    signer === undefined
      ? ''
      : `, signed by ${signer.subject}${signedAt === undefined ? '' : ` ${signedAt}`}`;
  const kind = integrity === 'hash-only' ? ' (intact, unsigned)' : '';
  return [
    `${file}: ${verdict}${verdict === 'valid' ? kind : ''}${by}`,
    ...checks.map(({ name, result, reason }) => `  ${marks[result]} ${name}: ${printable(reason)}`),
    ...signatures.flatMap((s) => [
      printable(
        `  sender's signature ${s.kind} in part ${s.part} by ${s.signer ?? 'unknown'}: ${s.verdict ?? 'recognised, not verified'}`,
      ),
      ...s.checks.map(({ name, result, reason }) => `    ${marks[result]} ${name}: ${printable(reason)}`),
    ]),
  ];
}

/** Reasons quote what stands in messages: nothing of that may steer the terminal. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e\u00a0-\uffff]/g, '\ufffd');
}

/** Proof to the contrary outweighs everything, then what could not be looked at, then doubt. */
function worst(codes: readonly ExitCode[]): ExitCode {
  return [exit.finding, exit.usage, exit.indeterminate].find((code) => codes.includes(code)) ?? exit.good;
}

async function readable<T>(
  option: string,
  directory: string,
  read: (directory: string) => Promise<T>,
): Promise<T> {
  try {
    return await read(directory);
  } catch (error) {
    throw new CommandError(exit.usage, `${option} ${directory}: ${(error as Error).message}`, error);
  }
}

function readTime(text: string | undefined): Date {
  const time = text === undefined ? new Date() : new Date(text);
  if (!Number.isNaN(time.getTime())) return time;
  throw new CommandError(exit.usage, `--time ${text}: a time such as 2026-03-01 or 2026-03-01T08:00:00Z`);
}
