/** `report.json`: what the entries of a letter say, put together for programs. A pure function of them. */
import type { Entry } from '../entry.ts';
import { type Fact, factsOf } from '../facts.ts';
import { isPrivateEntry } from '../private.ts';
import { standingFacts } from '../standing.ts';
import type { BundleLayout } from './layout.ts';

export const REPORT_FORMAT = 'demail-gateway/evidence-report/v1';

/** The evidence record over an entry. */
export interface Sealed {
  readonly manifest: string;
  readonly record: string;
  /** RFC 3339 time of its first time-stamp; null where it cannot be read. */
  readonly since: string | null;
}

export interface ReportFact {
  readonly fact: Fact['fact'];
  /** RFC 3339 time at which the gateway recorded it. */
  readonly recorded: string;
  /** Index of the entry that says so. */
  readonly entry: number;
  /** The peer's words: its reply, or the time that a confirmation states. */
  readonly detail: string | null;
}

export interface EvidenceReport {
  readonly format: typeof REPORT_FORMAT;
  readonly tenant: string;
  readonly letter: number;
  /** Kind of the letter's own entry. */
  readonly kind: Entry['kind'];
  readonly time: string;
  readonly private: boolean;
  readonly messageId: string | null;
  readonly subject: string | null;
  readonly sender: string | null;
  readonly options: readonly string[];
  readonly fileReference: string | null;
  readonly recipients: readonly {
    readonly address: string;
    /** What stands by now. */
    readonly facts: readonly ReportFact[];
    /** All that was ever stated, also what was answered or taken back since. */
    readonly history: readonly ReportFact[];
  }[];
  readonly files: readonly {
    readonly name: string;
    readonly entry: number;
    readonly sha256: string;
    readonly size: number;
  }[];
  readonly entries: readonly {
    readonly index: number;
    readonly time: string;
    readonly kind: Entry['kind'];
    readonly files: readonly string[];
    /** Null: under no seal yet. */
    readonly sealed: Sealed | null;
  }[];
  /** Entries that no evidence record covers yet. */
  readonly unsealed: readonly number[];
}

/** @throws TypeError where an entry does not have the form of its kind, or the letter's own is missing */
export function reportOf(
  { tenant, letter }: { readonly tenant: string; readonly letter: number },
  layout: BundleLayout,
  sealed: ReadonlyMap<number, Sealed>,
): EvidenceReport {
  const entries = layout.entries.map(({ entry }) => entry);
  const own = entries.find(({ index }) => index === letter);
  if (own === undefined) throw new TypeError(`entry ${letter}, which the bundle is about, is missing`);
  const header = 'header' in own ? own.header : null;
  const history = entries.flatMap(factsOf).filter((fact) => fact.letter === letter);
  const verdicts = entries.flatMap((entry) =>
    entry.kind === 'verdict' ? [{ index: entry.index, about: entry.about, verdict: entry.verdict }] : [],
  );
  const standing = standingFacts(history, verdicts);
  const recipients = [...new Set([...addressesOf(own), ...history.map(({ recipient }) => recipient)])].sort();
  return {
    format: REPORT_FORMAT,
    tenant,
    letter,
    kind: own.kind,
    time: own.time,
    private: entries.some(isPrivateEntry),
    messageId: header?.messageId ?? null,
    subject: header?.subject ?? null,
    sender: senderOf(own),
    options: 'options' in own ? own.options : 'demail' in own ? own.demail.options : [],
    fileReference: own.kind === 'submission' ? (own.fileReference ?? null) : null,
    recipients: recipients.map((address) => ({
      address,
      facts: standing.filter(({ recipient }) => recipient === address).map(reported),
      history: history.filter(({ recipient }) => recipient === address).map(reported),
    })),
    files: [
      ...layout.objects.map(({ name, entry, fact }) => ({
        name,
        entry,
        sha256: fact.sha256,
        size: fact.size,
      })),
      ...layout.composed.map(({ name, entry, sha256, size }) => ({ name, entry, sha256, size })),
    ].sort((a, b) => (a.name < b.name ? -1 : 1)),
    entries: layout.entries.map(({ entry, files, objects }) => ({
      index: entry.index,
      time: entry.time,
      kind: entry.kind,
      files: [files.entry, files.salt, files.proof, ...objects],
      sealed: sealed.get(entry.index) ?? null,
    })),
    unsealed: entries.map(({ index }) => index).filter((index) => !sealed.has(index)),
  };
}

export function printReport(report: EvidenceReport): string {
  return `${JSON.stringify(report, null, 2)}\n`;
}

function reported({ fact, time, index, detail }: Fact): ReportFact {
  return { fact, recorded: time, entry: index, detail };
}

function addressesOf(entry: Entry): readonly string[] {
  if (entry.kind === 'submission' || entry.kind === 'refused')
    return entry.envelope.recipients.map(({ address }) => address);
  return [];
}

function senderOf(entry: Entry): string | null {
  if (entry.kind === 'submission' || entry.kind === 'refused') return entry.sender;
  if ('demail' in entry) return entry.demail.sender ?? entry.header.from;
  return null;
}
