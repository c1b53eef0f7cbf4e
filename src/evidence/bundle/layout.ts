/**
 * What lies where in a bundle (ASiC-E, ETSI EN 319 162-1): a pure function of the entries. The one who writes a bundle
 * and the one who verifies it both go by it, so a file that is too many or too few is found.
 */
import type { Entry, ObjectFact } from '../entry.ts';
import { objectsOf } from '../objects-of.ts';

export const ASIC_E = 'application/vnd.etsi.asic-e+zip';

/** Files that every bundle has. */
export const fixed = {
  mimetype: 'mimetype',
  reportJson: 'report.json',
  reportPdf: 'report.pdf',
  instructions: 'VERIFY.md',
  logKeys: 'log-keys.txt',
  sums: 'SHA256SUMS',
  sumsNote: 'SHA256SUMS.note',
} as const;

/** Entries of a letter that a bundle is made of, and read back into. */
export const MOST_ENTRIES = 10_000;

/** An object that entries name, once for all entries that do. */
export interface BundleObject {
  readonly name: string;
  readonly fact: ObjectFact;
  readonly type: string;
  /** Index of the first entry that names it. */
  readonly entry: number;
}

export interface BundleEntry {
  readonly entry: Entry;
  readonly files: EntryNames;
  /** Names of the objects that it names, each once. */
  readonly objects: readonly string[];
}

export interface EntryNames {
  readonly entry: string;
  readonly salt: string;
  readonly proof: string;
}

/** A message as it was handed over: header, then the submitted message from a byte on. */
export interface ComposedMessage {
  readonly name: string;
  readonly entry: number;
  readonly header: string;
  readonly body: string;
  readonly bodyFrom: number;
  readonly sha256: string;
  readonly size: number;
}

export interface BundleLayout {
  readonly entries: readonly BundleEntry[];
  readonly objects: readonly BundleObject[];
  readonly composed: readonly ComposedMessage[];
}

export function entryNames(index: number): EntryNames {
  const number = numbered(index);
  return { entry: `entry-${number}.json`, salt: `salt-${number}.bin`, proof: `entry-${number}.tlog-proof` };
}

/** Reads the index out of the name of an entry's file; null for any other name. */
export function entryIndexOf(name: string): number | null {
  const digits = /^entry-(\d{6,15})\.json$/.exec(name)?.[1];
  return digits !== undefined && entryNames(Number(digits)).entry === name ? Number(digits) : null;
}

/** `n` from 1. */
export function recordNames(n: number): { readonly manifest: string; readonly record: string } {
  const number = String(n).padStart(3, '0');
  return {
    manifest: `META-INF/ASiCEvidenceRecordManifest${number}.xml`,
    record: `META-INF/evidencerecord${number}.ers`,
  };
}

/** Of the `n`th checkpoint, from 1. */
export function checkpointName(n: number): string {
  return `checkpoint-${String(n).padStart(3, '0')}.txt`;
}

/**
 * Names every file that follows from the entries.
 * @param letter index of the entry that the bundle is about
 * @throws TypeError where an entry does not have the form of its kind
 */
export function layoutOf(letter: number, entries: readonly Entry[]): BundleLayout {
  const byAddress = new Map<string, BundleObject>();
  const listed: BundleEntry[] = [];
  for (const entry of entries) {
    const own = new Set<string>();
    for (const [position, { fact }] of objectsOf(entry).entries()) {
      const known = byAddress.get(fact.object) ?? {
        ...placeOf(letter, entry, fact, position),
        fact,
        entry: entry.index,
      };
      byAddress.set(fact.object, known);
      own.add(known.name);
    }
    listed.push({ entry, files: entryNames(entry.index), objects: [...own] });
  }
  const objects = [...byAddress.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    entries: listed,
    objects,
    composed: entries.flatMap((entry) => handedOver(entry, entries, byAddress)),
  };
}

function placeOf(
  letter: number,
  entry: Entry,
  fact: ObjectFact,
  position: number,
): { readonly name: string; readonly type: string } {
  const number = numbered(entry.index);
  if (entry.kind === 'verdict') return material(entry.material.find(({ object }) => object === fact.object)!);
  if (entry.kind === 'handover-intent')
    return { name: `handed-over-${number}.header`, type: 'application/octet-stream' };
  if (position > 0)
    return { name: `signature-${number}-${position}.p7s`, type: 'application/pkcs7-signature' };
  if (entry.index === letter) return { name: 'message.eml', type: MESSAGE };
  const kind = entry.kind === 'confirmation' ? entry.confirmation : entry.kind;
  return { name: `${kind}-${number}.eml`, type: MESSAGE };
}

const MESSAGE = 'message/rfc822';
const materialTypes = {
  certificate: { suffix: 'cer', type: 'application/pkix-cert' },
  crl: { suffix: 'crl', type: 'application/pkix-crl' },
  ocsp: { suffix: 'ors', type: 'application/ocsp-response' },
} as const;

function material({ type, sha256 }: ObjectFact & { readonly type: keyof typeof materialTypes }) {
  const { suffix, type: mime } = materialTypes[type];
  return { name: `${type}-${sha256.slice(0, 32)}.${suffix}`, type: mime };
}

function handedOver(
  entry: Entry,
  entries: readonly Entry[],
  objects: ReadonlyMap<string, BundleObject>,
): ComposedMessage[] {
  if (entry.kind !== 'handover-intent') return [];
  const submission = entries.find(({ index }) => index === entry.letter);
  if (submission?.kind !== 'submission') return [];
  const { header, bodyFrom, sha256, size } = entry.handed;
  return [
    {
      name: `handed-over-${numbered(entry.index)}.eml`,
      entry: entry.index,
      header: objects.get(header.object)!.name,
      body: objects.get(submission.message.object)!.name,
      bodyFrom,
      sha256,
      size,
    },
  ];
}

function numbered(index: number): string {
  return String(index).padStart(6, '0');
}
