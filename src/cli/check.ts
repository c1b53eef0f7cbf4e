/** `check`: what would keep the gateway from working, found before it does. Changes nothing, and logs in nowhere without --login. */
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, stat, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import Database from 'better-sqlite3';
import type { Command } from 'commander';
import type { Config, ProviderConfig } from '../config/schema.ts';
import { createCalendar } from '../demail/calendar.ts';
import { pathsOf } from '../preservation/configured-copies.ts';
import { recoveryNote } from '../store/recovery.ts';
import { openSqliteReader, type StorePaths } from '../store/sqlite/open.ts';
import { checkCopies } from './check-copies.ts';
import { probeEndpoint } from './check-endpoints.ts';
import { type LoginOptions, logIn, tenantsToLogIn } from './check-login.ts';
import { type Look, preservationLooks } from './check-preservation.ts';
import { examine, type Result } from './check-result.ts';
import { checkRetention } from './check-retention.ts';
import { probeScanner } from './check-scanner.ts';
import { searchTextLooks } from './check-search-text.ts';
import { checkWitnesses } from './check-witnesses.ts';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { connectToGateway } from './control.ts';
import { exit } from './exit.ts';
import { loadFor } from './load.ts';
import { openReader } from './reader.ts';

const soonMs = 30 * 86_400_000;
const rehearsalMs = 366 * 86_400_000;
const leastFreeBytes = 1024 ** 3;

export function register(program: Command, context: Context): void {
  withCommonOptions(
    program
      .command('check')
      .description(
        'check configuration, certificates, ports, providers, store and disk; exit 1 on a finding',
      ),
  )
    .option('--login', 'log in to the accounts too; at level high this serves what lies there')
    .option('--tenant <id>', 'with --login: this account alone')
    .option('--reason <text>', 'with --login: why; needed at level high, it becomes part of the evidence')
    .option('--outside-hours', 'with --login: although the login calendar says no')
    .action(context.action((options: CheckOptions) => check(options, context)));
}

type CheckOptions = CommonOptions & LoginOptions;

async function check(options: CheckOptions, context: Context) {
  const { config, configFile } = loadFor(options, context);
  const tenants = tenantsToLogIn(config, options);
  const results: Result[] = [{ check: 'configuration', subject: configFile, good: true, detail: 'valid' }];
  results.push(...(await checkCertificates(config)));
  results.push(...(await checkPorts(config)));
  results.push(...(await checkEndpoints(config)));
  results.push(...(await checkScanner(config)));
  results.push(...checkCalendars(config));
  results.push(...checkAnchors(config));
  results.push(...(await checkStore(config)));
  results.push(...(await checkWitnesses(config)));
  results.push(...(await lookAt('preservation', preservationLooks(config, pathsOf(config)))));
  results.push(...(await lookAt('search text', searchTextLooks(config, pathsOf(config)))));
  results.push(...(await checkIncidents(config)));
  if (tenants.length > 0) {
    const findings = await logIn(config, tenants, options);
    results.push(
      ...findings.map(({ tenant, what, good, detail }) => ({
        check: 'login',
        subject: `${tenant} ${what}`,
        good,
        detail,
      })),
    );
  }
  for (const result of results) {
    if (options.json) context.printJson(result);
    else {
      const mark = !result.good ? 'FINDING' : result.warning ? 'WARNING' : 'ok     ';
      context.print(`${mark}  ${result.check}  ${result.subject}: ${result.detail}`);
    }
  }
  const findings = results.filter((result) => !result.good).length;
  if (!options.json) context.print(`${results.length} checks, ${findings} findings`);
  return findings === 0 ? exit.good : exit.finding;
}

/** One lost key folder must not destroy the evidence: is there a copy, and did anybody ever try it? */
function checkRecovery(config: Config, paths: StorePaths): Result[] {
  const warning = (subject: string, detail: string): Result => ({
    check: 'recovery key',
    subject,
    good: true,
    warning: true,
    detail,
  });
  if ((config.keys?.recovery ?? []).length === 0)
    return [
      warning(
        paths.keys,
        'no keys.recovery: whoever loses this folder loses the evidence; make a recovery key (keys recovery)',
      ),
    ];
  return config.tenants.map(({ id }) => {
    const note = recoveryNote(paths.recovery, id);
    if (note === null) return warning(id, 'no recovery copy yet; made at the next start');
    if (note.rehearsed === undefined) return warning(id, 'never rehearsed: keys rehearse --key FILE');
    const detail = `rehearsed ${note.rehearsed}`;
    return Date.now() - Date.parse(note.rehearsed) > rehearsalMs
      ? warning(id, `${detail}, more than a year ago: keys rehearse --key FILE`)
      : { check: 'recovery key', subject: id, good: true, detail };
  });
}

function checkCertificates(config: Config): Promise<Result[]> {
  const files = new Set([
    config.tls.certificate,
    ...config.tls.clientAuthorities,
    ...config.tenants.flatMap(({ provider, delivery, senderSignatures, privateMail }) => [
      ...senderSignatures.anchors,
      ...(provider.clientIdentity ? [provider.clientIdentity.certificate] : []),
      ...provider.trustAnchors,
      ...provider.signatureAnchors,
      ...privateMail.certificateAuthorities,
      ...(delivery.forward?.trustAnchors ?? []),
    ]),
  ]);
  return Promise.all(
    [...files].map((file) =>
      examine('certificate', file, async () => {
        const { validToDate } = new X509Certificate(await readFile(file));
        const left = validToDate.getTime() - Date.now();
        if (left < 0) throw new Error(`has expired on ${validToDate.toISOString()}; replace it`);
        if (left < soonMs) throw new Error(`expires on ${validToDate.toISOString()}; replace it before`);
        return `valid until ${validToDate.toISOString().slice(0, 10)}`;
      }),
    ),
  );
}

async function checkPorts(config: Config): Promise<Result[]> {
  using gateway = existsSync(config.data) ? await connectToGateway(config.data) : null;
  const running =
    gateway && ((await gateway.ask({ command: 'status' })) as { ports: Record<string, number> });
  return Promise.all(
    Object.entries(config.listeners).map(([name, { address, port }]) =>
      examine('port', `listeners.${name} ${address}:${port}`, async () => {
        if (running?.ports[name] !== undefined) return 'held by the running gateway';
        await bind(address, port);
        return 'free';
      }),
    ),
  );
}

function bind(address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = 'in use by another program; stop that or choose another port';
      reject(error.code === 'EADDRINUSE' ? new Error(taken) : error);
    });
    server.listen(port, address, () => server.close(() => resolve()));
  });
}

function checkEndpoints(config: Config): Promise<Result[]> {
  return Promise.all(
    config.tenants.flatMap(({ id, provider, delivery: { forward } }) => [
      examine('provider', `${id} SMTP`, () => probeProvider(provider, 'smtp')),
      examine('provider', `${id} IMAP`, () => probeProvider(provider, 'imap')),
      ...(forward === undefined
        ? []
        : [examine('own server', id, () => probeEndpoint(forward, forward.protocol, forward.trustAnchors))]),
    ]),
  );
}

/** A local connector shows the client certificate for whoever connects to it: that is a login already. */
async function probeProvider(provider: ProviderConfig, protocol: 'smtp' | 'imap'): Promise<string> {
  const endpoint = provider[protocol];
  if (endpoint.security === 'none') return 'not tried: a connector logs in by itself (--login tries it)';
  return await probeEndpoint(endpoint, protocol, provider.trustAnchors);
}

async function checkScanner({ malware, limits }: Config): Promise<Result[]> {
  if (malware === undefined) return [];
  const { socket, host, port } = malware.clamd;
  const place = socket ?? `${host}:${port}`;
  return [await examine('malware scanner', place, () => probeScanner(malware, limits.messageSize))];
}

/** A confirmation counts only under an anchor: without any, all that the gateway is for stays unproven. */
function checkAnchors(config: Config): Result[] {
  return config.tenants.map(({ id, provider: { signatureAnchors, trustAnchors } }) => ({
    check: 'anchors',
    subject: id,
    good: signatureAnchors.length + trustAnchors.length > 0,
    detail:
      signatureAnchors.length > 0
        ? `confirmations count under ${signatureAnchors.join(', ')}`
        : trustAnchors.length > 0
          ? `confirmations count under ${trustAnchors.join(', ')} (provider.trustAnchors)`
          : 'no confirmation will ever count: name the authority of their signatures in provider.signatureAnchors',
  }));
}

/** A login at level high serves what lies in the account (TR-01201 FU 3.3.5), at whatever hour it happens. */
function checkCalendars(config: Config): Result[] {
  return config.tenants
    .filter(({ provider }) => provider.authLevel === 'high')
    .map(({ id, provider: { loginCalendar } }) => ({
      check: 'calendar',
      subject: id,
      good: true,
      ...(loginCalendar === undefined
        ? {
            warning: true as const,
            detail: 'level high without provider.loginCalendar: logins, and so service of mail, at any hour',
          }
        : { detail: calendarText(loginCalendar) }),
    }));
}

/** What is open for longer than any calendar of office hours counts as always open. */
const alwaysMs = 366 * 86_400_000;

function calendarText(settings: NonNullable<ProviderConfig['loginCalendar']>): string {
  const calendar = createCalendar(settings);
  const now = Date.now();
  const text = (time: number) => new Date(time).toISOString();
  const closing = calendar.closesAt(now);
  if (closing !== null && closing - now > alwaysMs) return 'logins at any hour, as configured';
  if (closing !== null) return `logins are allowed now, until ${text(closing)}`;
  const opening = calendar.nextOpening(now);
  return `no login ${opening === null ? 'within 400 days: no window opens' : `before ${text(opening)}`}`;
}

function lookAt(check: string, looks: readonly Look[]): Promise<Result[]> {
  return Promise.all(
    looks.map(async ({ subject, look }): Promise<Result> => {
      try {
        return { check, subject, good: true, ...(await look()) };
      } catch (error) {
        return { check, subject, good: false, detail: (error as Error).message };
      }
    }),
  );
}

/** What operators were told of and what is not over yet. */
async function checkIncidents(config: Config): Promise<Result[]> {
  const paths = pathsOf(config);
  if (!existsSync(paths.file)) return [];
  using reader = openReader(paths);
  const results: Result[] = [];
  for (const { id } of config.tenants) {
    for (const { incident, since, text } of await reader.incidents(id)) {
      const detail = `since ${since}: ${text.split('\n')[0]}`;
      results.push({ check: 'incident', subject: `${id} ${incident}`, good: true, warning: true, detail });
    }
  }
  return results;
}

/** Does each log continue what is kept of it elsewhere, and is it not held? */
async function checkLogs(config: Config, paths: StorePaths): Promise<Result[]> {
  const folders = paths.checkpoints.filter((folder) => !existsSync(folder));
  return [
    ...folders.map((folder) => ({
      check: 'log',
      subject: folder,
      good: true,
      warning: true as const,
      detail: 'this folder of checkpoints is not there: it proves nothing',
    })),
    ...(await Promise.all(
      config.tenants.map(({ id }) =>
        examine('log', id, async () => {
          using reader = openSqliteReader(paths);
          const [hold] = await reader.holds(id);
          const said = hold === undefined ? reader.headProblems(id) : [hold];
          if (said.length > 0)
            throw new Error(`${said[0]!.source}: ${said[0]!.reason}; see docs/operations.md, A log is held`);
          const log = (await reader.logs(id)).at(-1);
          return log === undefined ? 'none yet' : `${log.size} entries, continues what is kept of it`;
        }),
      ),
    )),
  ];
}

async function checkStore(config: Config): Promise<Result[]> {
  const paths = pathsOf(config);
  if (!existsSync(paths.file)) {
    return [
      { check: 'store', subject: config.data, good: true, detail: 'none yet; made at the first start' },
    ];
  }
  return [
    await examine('store', paths.file, async () => {
      const database = new Database(paths.file, { readonly: true });
      try {
        const said = database.pragma('quick_check(1)', { simple: true });
        if (said !== 'ok') throw new Error(`${said}; restore the newest backup`);
        return 'structure intact (evidence verify looks at the content)';
      } finally {
        database.close();
      }
    }),
    ...(await checkLogs(config, paths)),
    await examine('keys', paths.keys, async () => {
      const { mode } = await stat(paths.keys);
      if (mode & 0o077) throw new Error(`open to others (mode ${(mode & 0o777).toString(8)}); chmod 700 it`);
      return 'readable by the owner alone';
    }),
    ...checkRecovery(config, paths),
    ...(await checkCopies(config, paths)),
    ...(await checkRetention(config, paths)),
    await examine('disk', config.data, async () => {
      const { bavail, bsize } = await statfs(config.data);
      const free = `${Math.floor((bavail * bsize) / 1024 ** 2)} MiB free`;
      if (bavail * bsize < leastFreeBytes) throw new Error(`${free}; make room`);
      return free;
    }),
  ];
}
