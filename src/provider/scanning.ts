/**
 * Malware in what is fetched: scanned before copies are made. Where it is found, or nobody can tell yet, the message
 * is evidence at once and its copies wait; they are looked at again every minute, and only then go their way.
 */
import type { TenantConfig } from '../config/schema.ts';
import type { Directory } from '../directory/directory.ts';
import { depositPlace } from '../directory/mailboxes.ts';
import type { Entry, ScanFact } from '../evidence/entry.ts';
import { keywordOf, verdictKeywords } from '../evidence/keywords.ts';
import { isPrivateEntry } from '../evidence/private.ts';
import { letterOf } from '../evidence/projection.ts';
import { ClamdUnavailable } from '../inspection/clamd.ts';
import type { Scanned, Scanner } from '../inspection/scanner.ts';
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { Deposit, Fetched, HeldMessage, MailboxOwner, Store } from '../store/store.ts';
import type { Incidents } from './incidents.ts';
import { composeMail, deliver, type TellOperators } from './notices.ts';
import type { Reports } from './reports.ts';
import { type Rounds, startRounds } from './rounds.ts';
import { incidentTexts, malwareText, type Said } from './texts.ts';

export interface ScanningDeps {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly tenant: string;
  /** Absent where no scanner is configured. */
  readonly scanner?: Scanner | undefined;
  readonly hostname: string;
  readonly incidents: Incidents;
  readonly tell: TellOperators;
  readonly reports: Pick<Reports, 'confirmed'>;
  readonly log: Log;
  readonly clock: Clock;
}

export interface Scanning extends Rounds {
  /** Scans a message that came, and says what its entry is to say; `hold` where its copies must wait. */
  first(fetched: Fetched): Promise<Fetched>;
  /** Copies wait: looks at them as soon as may be. */
  wake(): void;
}

/** So many are scanned in one go. */
const atOnce = 20;
const anHour = 3_600_000;
const malwareKeyword = '$DeMailMalware';

const downIncident = 'malware-scanner';
const sizeIncident = 'malware-scanner-limit';
const scanText: Said = { de: 'Die Prüfung auf Schadsoftware', en: 'Scanning for malware' };

export function startScanning(deps: ScanningDeps): Scanning {
  const { store, scanner } = deps;
  const rounds = startRounds(
    deps,
    (stopped) => lookOnce(deps, stopped),
    'held messages could not be scanned',
  );
  return {
    ...rounds,
    async first(fetched) {
      // Also where nobody gets a copy by now: private mail may be placed later. A Sent copy never is.
      if (scanner === undefined || fetched.kind === 'sent-copy') return fetched;
      const scan = await scanMessage(scanner, store.openStaged(fetched.staged.object).read());
      watch(deps);
      if (scan.deliver) return { ...fetched, scan: scan.fact };
      // Delivery reports go out beside the confirmation that they report.
      return { ...fetched, scan: scan.fact, hold: true, notices: [] };
    },
    wake() {
      // The look that runs may have begun before.
      void rounds.look().then(() => rounds.look());
    },
  };
}

/** Why no copy of a fetched message may be made, in words; null where none of this stands against it. */
export async function keptBack(store: Store, tenant: string, entry: Entry): Promise<string | null> {
  const about = entry.index;
  if (!('scan' in entry) || entry.scan === undefined || entry.scan.result === 'clean') return null;
  if (
    (await store.held(tenant, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)).some(
      (m) => m.index === about,
    )
  )
    return 'it is not scanned for malware yet';
  const later = await store.timeline(tenant, letterOf(entry) ?? about);
  const scan = later.findLast((other) => other.kind === 'scan' && other.about === about) ?? entry.scan;
  return 'result' in scan && scan.result === 'infected' ? 'it contains malware' : null;
}

/** What the log says of a scan, and whether the copies go to their owners. */
interface Decision {
  readonly fact: ScanFact;
  readonly deliver: boolean;
  /** It will come out otherwise later. */
  readonly open?: 'away' | 'too-large';
}

async function scanMessage(scanner: Scanner, content: AsyncIterable<Uint8Array>): Promise<Decision> {
  const scanned = await scanner.scan(content).catch((error: unknown): Scanned | ClamdUnavailable => {
    if (error instanceof ClamdUnavailable) return error;
    throw error;
  });
  if (scanned instanceof ClamdUnavailable)
    return { fact: notScanned(scanned.message), deliver: false, open: 'away' };
  if (scanned.result !== 'too-large') return { fact: scanned, deliver: scanned.result === 'clean' };
  const fact = notScanned("larger than clamd's StreamMaxLength");
  return scanner.config.tooLarge === 'pass'
    ? { fact, deliver: true }
    : { fact, deliver: false, open: 'too-large' };
}

function notScanned(detail: string): ScanFact {
  return { result: 'not-scanned', detail: detail.slice(0, 300) };
}

/** The listener uses the same scanner: what it met becomes an incident here. */
function watch({ scanner, incidents, tenant }: ScanningDeps): void {
  if (scanner === undefined) return;
  const { problem } = scanner;
  if (problem === null) incidents.close(tenant, downIncident, incidentTexts.worksAgain(scanText));
  else incidents.open(tenant, downIncident, incidentTexts.fails(scanText, problem));
}

async function lookOnce(deps: ScanningDeps, stopped: () => boolean): Promise<void> {
  const { store, tenant, clock, scanner, incidents } = deps;
  if (scanner !== undefined && scanner.problem !== null) await scanner.probe();
  watch(deps);
  if (scanner !== undefined && scanner.problem !== null) return;
  const held = await store.held(tenant, clock.now(), atOnce);
  let tooLarge = false;
  for (const message of held) {
    const config = deps.directory().tenant(tenant);
    if (stopped() || config === undefined) return;
    const decision = await decide(deps, message);
    if (decision.open === 'away') return watch(deps);
    if (decision.open === 'too-large') {
      tooLarge = true;
      incidents.open(tenant, sizeIncident, incidentTexts.scannerLimit(`${tenant}/${message.index}`));
      await store.planScan(tenant, message.index, clock.now() + anHour);
      continue;
    }
    await conclude(deps, config, message, decision);
  }
  if (held.length > 0 && !tooLarge) incidents.close(tenant, sizeIncident, incidentTexts.scannerLimitMet);
}

/** Without a scanner (it was taken out of the configuration) what waits for one waits no longer. */
async function decide({ store, tenant, scanner }: ScanningDeps, { object }: HeldMessage): Promise<Decision> {
  if (scanner === undefined) return { fact: notScanned('no scanner is configured any more'), deliver: true };
  const content = await store.object(tenant, object);
  if (content === null) throw new Error(`object ${object} is not in the store`);
  return await scanMessage(scanner, content.read());
}

async function conclude(
  deps: ScanningDeps,
  config: TenantConfig,
  message: HeldMessage,
  { fact, deliver: goes }: Decision,
): Promise<void> {
  const { store, tenant, log } = deps;
  const { index } = message;
  const entry = await store.entry(tenant, index);
  if (entry === null) throw new Error(`there is no entry ${tenant}/${index}`);
  // Told first: each notice has a name and is told once; the other way round a crash would swallow it.
  if (goes) await report(deps, entry);
  else await tellMalware(deps, config, entry, message, fact.detail ?? '');
  await store.recordScan(tenant, {
    about: index,
    letter: letterOf(entry),
    ...fact,
    deposits: goes ? await withVerdictOfNow(store, tenant, message) : quarantined(config, entry, message),
    forward: goes ? message.forward : null,
  });
  log.info({ tenant, about: index, result: fact.result }, 'scanned');
}

/** The delivery reports that waited with a confirmation, unless it turned out invalid meanwhile. */
async function report({ store, tenant, reports }: ScanningDeps, entry: Entry): Promise<void> {
  if (entry.kind !== 'confirmation' || entry.letter === null || entry.counts === 'no') return;
  if ((await store.latestVerdict(tenant, entry.index))?.verdict === 'invalid') return;
  const letter = await store.submissionOf(tenant, entry.letter);
  if (letter === null) return;
  const notices = await reports.confirmed(letter, {
    type: entry.confirmation,
    recipients: entry.recipients,
    statedTime: entry.statedTime,
    provider: entry.demail.originatorProvider,
  });
  for (const { once, ...notice } of notices) await store.deliverNotice(tenant, notice, once);
}

/** The verdict may have become another one while the copies waited. */
async function withVerdictOfNow(
  store: Store,
  tenant: string,
  { index, deposits }: HeldMessage,
): Promise<Deposit[]> {
  const verdict = (await store.latestVerdict(tenant, index))?.verdict ?? 'not-checked';
  if (verdict === 'not-checked') return [...deposits];
  return deposits.map((deposit) => ({
    ...deposit,
    flags: [...deposit.flags.filter((flag) => !verdictKeywords.includes(flag)), keywordOf(verdict)],
  }));
}

/** Private mail is for its addressee alone (TR-01201 FU 3.3), and malware for nobody. */
function quarantined(config: TenantConfig, entry: Entry, { deposits }: HeldMessage): Deposit[] {
  const { quarantine } = config;
  if (quarantine === undefined || isPrivateEntry(entry) || !config.delivery.facade) return [];
  const shared = config.sharedMailboxes.some(({ name }) => name === quarantine);
  const owner = { type: shared ? 'shared' : 'user', name: quarantine } as const;
  return [
    {
      owner,
      ...depositPlace(config, owner, 'quarantine'),
      reason: 'malware',
      prefix: deposits[0]?.prefix ?? new Uint8Array(),
      flags: [malwareKeyword],
    },
  ];
}

/** Whoever was to get a copy hears that it is kept back; so do the operators. The subject could be the bait. */
async function tellMalware(
  { store, tenant, hostname, clock, tell }: ScanningDeps,
  config: TenantConfig,
  entry: Entry,
  { index, deposits, forward }: HeldMessage,
  name: string,
): Promise<void> {
  const about = `${tenant}/${index}`;
  const sender = ('demail' in entry ? (entry.demail.sender ?? entry.header.from) : null) ?? '?';
  if (deposits.length > 0 || forward !== null) {
    const text = malwareText(config.language, { entry: about, sender, name });
    const to = [
      ...new Set([...deposits.map(({ owner }) => addressOf(config, owner)), ...(forward?.recipients ?? [])]),
    ];
    await deliver(
      store,
      config,
      {
        destinations: deposits.map(({ owner, reason }) => ({ owner, reason })),
        forward: forward?.recipients ?? [],
        waiting: [],
        withheld: [],
      },
      {
        letter: letterOf(entry),
        about: 'malware',
        text: `${about}: ${name}`,
        bytes: composeMail(hostname, new Date(clock.now()), to, text),
        once: `malware/${index}`,
      },
    );
  }
  await tell(config, {
    text: incidentTexts.malware(about, sender, name),
    once: `malware-operators/${index}`,
  });
}

function addressOf({ sharedMailboxes, operators }: TenantConfig, owner: MailboxOwner): string {
  if (owner.type === 'user') return owner.name;
  return sharedMailboxes.find(({ name }) => name === owner.name)?.address ?? operators[0]!;
}
