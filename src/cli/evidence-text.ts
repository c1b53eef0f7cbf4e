/** Entries and letters in words, and as the documented JSON of `evidence search` and `evidence show`. */
import type {
  CheckFact,
  ClosedLog,
  ConfirmationEntry,
  DeletionIntentEntry,
  DeletionOutcomeEntry,
  EmbeddedSignature,
  Entry,
  ObjectFact,
  ScanFact,
} from '../evidence/entry.ts';
import type { Fact } from '../evidence/facts.ts';
import type { LetterSummary } from '../store/store.ts';

/** One line of `evidence search --json`: one per message and recipient. */
export interface SearchLine {
  readonly tenant: string;
  readonly index: number;
  readonly time: string;
  readonly kind: string;
  readonly letter: number | null;
  readonly message_id: string | null;
  readonly private_id: string | null;
  readonly sender: string | null;
  readonly subject: string | null;
  readonly recipient: string | null;
  /** Names of the facts, in the order of their entries, each once. */
  readonly facts: readonly string[];
  readonly verdict: string | null;
  readonly private: boolean;
}

/** `hidden`: it is private, and its subject is not for whoever runs the command. */
export function searchLines(
  summary: LetterSummary,
  { isPrivate, hidden }: { readonly isPrivate: boolean; readonly hidden: boolean },
): SearchLine[] {
  const base = {
    tenant: summary.tenant,
    index: summary.index,
    time: summary.time,
    kind: summary.kind,
    letter: summary.letter,
    message_id: summary.messageId,
    sender: summary.sender,
    subject: hidden ? null : summary.subject,
    verdict: summary.verdict,
    private: isPrivate,
  };
  if (summary.recipients.length === 0) return [{ ...base, private_id: null, recipient: null, facts: [] }];
  return summary.recipients.map((r) => ({
    ...base,
    private_id: r.privateId,
    recipient: r.address,
    facts: [...new Set(r.facts.map((f) => f.fact))],
  }));
}

export interface LetterObject extends ObjectFact {
  readonly entry: number;
  readonly role: string;
  /** File name that `--save` gives it. */
  readonly file: string;
  /** What follows the object's bytes: the body of the submitted message, for the form handed over. */
  readonly body?: { readonly object: string; readonly from: number };
}

export function describeLetter(
  tenant: string,
  letter: number,
  timeline: readonly Entry[],
  facts: readonly Fact[],
) {
  const byRecipient: Record<string, Fact[]> = {};
  for (const fact of facts) {
    byRecipient[fact.recipient] ??= [];
    byRecipient[fact.recipient]!.push(fact);
  }
  return {
    tenant,
    letter,
    facts: byRecipient,
    timeline,
    objects: timeline.flatMap((entry) => objectsOf(entry, timeline)),
  };
}

function objectsOf(entry: Entry, timeline: readonly Entry[]): LetterObject[] {
  const number = String(entry.index).padStart(6, '0');
  if (entry.kind === 'handover-intent') {
    const { header, sha256, size, bodyFrom } = entry.handed;
    const submission = timeline.find((e) => e.kind === 'submission');
    return [
      {
        entry: entry.index,
        role: 'message as handed over',
        file: `${number}-handed-over.eml`,
        object: header.object,
        sha256,
        size,
        ...(submission?.kind === 'submission'
          ? { body: { object: submission.message.object, from: bodyFrom } }
          : {}),
      },
    ];
  }
  if (!('message' in entry)) return [];
  const role = {
    submission: 'message as submitted',
    inbound: 'message as received',
    confirmation: 'confirmation',
    notification: 'notification',
    'sent-copy': "provider's Sent copy",
    refused: 'message refused',
    notice: 'notice of the gateway',
  }[entry.kind];
  return [
    { entry: entry.index, role, file: `${number}-${entry.kind}.eml`, ...entry.message },
    ...signatureObjects(entry, number),
  ];
}

function signatureObjects(entry: Entry, number: string): LetterObject[] {
  const list = ('signatures' in entry ? entry.signatures : undefined) ?? [];
  return list.flatMap(({ object, kind, part }, i) =>
    object === undefined
      ? []
      : [
          {
            entry: entry.index,
            role: `signature ${kind} in part ${part}`,
            file: `${number}-signature-${i + 1}.p7s`,
            ...object,
          },
        ],
  );
}

/** An entry as lines for people. The first begins with its index and time. */
export function describeEntry(entry: Entry): string[] {
  // What stands in a message must not steer the terminal of whoever looks at it.
  const [first, ...rest] = words(entry).map((line) => line.replace(/\p{Cc}/gu, ' '));
  return [
    `${String(entry.index).padStart(6)}  ${entry.time}  ${first}`,
    ...rest.map((line) => `${' '.repeat(34)}${line}`),
  ];
}

/** `receipt (delivery-receipt: NOTIFY=SUCCESS), private (implied)`. */
function optionWords({ options, optionSources }: Extract<Entry, { kind: 'submission' }>): string {
  const said = options.map((option) => {
    const source = optionSources?.find((choice) => choice.option === option);
    if (source === undefined) return option;
    return `${option} (${source.by}${source.value === undefined ? '' : `: ${source.value}`})`;
  });
  return said.join(', ') || 'none';
}

function words(entry: Entry): string[] {
  switch (entry.kind) {
    case 'submission':
      return [
        `accepted from ${entry.actor.type} ${entry.actor.name} by ${entry.listener}: ${entry.sender} to ${entry.envelope.recipients.map((r) => r.address).join(', ')}`,
        `${entry.message.size} bytes, SHA-256 ${entry.message.sha256}; options: ${optionWords(entry)}`,
        ...(entry.fileReference === undefined ? [] : [`file reference ${entry.fileReference}`]),
        ...entry.attachments.map(
          (a) => `attachment ${a.name ?? '(no name)'}, ${a.type}, ${a.size} bytes, SHA-256 ${a.sha256}`,
        ),
        ...signatureLines(entry.signatures),
        ...scanLines(entry.scan),
        ...entry.removedHeaders.map((h) => `not honoured: ${h.name}: ${h.value}`),
        ...entry.transactions.map((t) => `hand-over ${t.id}: private-id ${t.privateId}`),
      ];
    case 'handover-intent':
      return [
        `attempt ${entry.attempt} of hand-over ${entry.transaction} begins: ${entry.endpoint}, ${entry.recipients.join(', ')}`,
        `${entry.handed.size} bytes, SHA-256 ${entry.handed.sha256}; ${entry.edits.length} header edits: ${entry.edits.map((e) => `${e.op} ${e.name}`).join(', ')}`,
      ];
    case 'handover-outcome':
      return [
        `attempt ${entry.attempt} of hand-over ${entry.transaction}: ${entry.result}; ${entry.reply}`,
        ...entry.recipients.map((r) => `${r.address}: ${r.result}: ${r.reply}`),
        `peer ${entry.peer.endpoint}${entry.peer.certificate === undefined ? '' : `, certificate SHA-256 ${entry.peer.certificate}`}`,
      ];
    case 'handover-settled':
      return [
        `hand-over ${entry.transaction} settled as ${entry.decision} by ${entry.by} (${entry.actor.name}): ${entry.reason}`,
      ];
    case 'expired':
      return [`time is over for ${entry.recipients.join(', ')}; last reply: ${entry.lastReply}`];
    case 'notice':
      return [
        `notice (${entry.about}): ${entry.text}`,
        ...entry.delivered.map((d) => `into ${d.owner} / ${d.mailbox}`),
      ];
    case 'inbound':
      return [
        `De-Mail received from ${entry.demail.sender ?? entry.header.from ?? 'unknown'}, verdict ${entry.verdict}`,
        ...deliveries(entry),
        ...checkLines(entry.checks),
        ...signatureLines(entry.signatures),
        ...scanLines(entry.scan),
      ];
    case 'confirmation':
      return [
        `${entry.confirmation} confirmation for ${entry.recipients.join(', ') || 'nobody named'}, stated time ${entry.statedTime ?? 'none'}, verdict ${entry.verdict}`,
        entry.letter === null
          ? 'fits no letter'
          : `fits ${entry.transaction === null ? 'the De-Mail received' : `hand-over ${entry.transaction}`} by ${entry.matchedBy}; ${countsWords(entry.counts)}`,
        ...checkLines(entry.comparisons),
        ...deliveries(entry),
        ...checkLines(entry.checks),
        ...signatureLines(entry.signatures),
        ...scanLines(entry.scan),
      ];
    case 'notification':
      return [
        `notification ${entry.notification}${entry.recipients.length > 0 ? ` about ${entry.recipients.join(', ')}` : ''}, verdict ${entry.verdict}`,
        ...deliveries(entry),
        ...checkLines(entry.checks),
        ...signatureLines(entry.signatures),
        ...scanLines(entry.scan),
      ];
    case 'refused':
      return [
        `REFUSED from ${entry.actor.type} ${entry.actor.name} by ${entry.listener}: ${entry.sender} to ${entry.envelope.recipients.map((r) => r.address).join(', ')}`,
        `${entry.message.size} bytes, SHA-256 ${entry.message.sha256}`,
        ...scanLines(entry.scan),
      ];
    case 'scan':
      return [
        `entry ${entry.about} scanned for malware`,
        ...scanLines(entry),
        ...entry.delivered.map((d) => `into ${d.owner} / ${d.mailbox} (${d.reason})`),
      ];
    case 'verdict':
      return [
        `verdict on entry ${entry.about}: ${entry.verdict}`,
        ...(entry.confirms === undefined
          ? []
          : [
              `${entry.confirms.confirmation} confirmation for ${entry.recipients.join(', ') || 'nobody named'}: ${countsWords(entry.confirms.counts)}`,
              ...checkLines(entry.confirms.comparisons),
            ]),
        ...checkLines(entry.checks),
        ...entry.material.map((m) => `rests on ${m.type}, ${m.size} bytes, SHA-256 ${m.sha256}`),
      ];
    case 'overdue':
      return [
        `${entry.confirmation} confirmation is overdue for ${entry.recipients.join(', ')}, handed over ${entry.since}`,
      ];
    case 'login-intent':
      return [
        `login to ${entry.account} by ${entry.protocol} at level ${entry.level} begins (${entry.actor.name}): ${entry.reason}`,
      ];
    case 'login-outcome':
      return [`login to ${entry.account} by ${entry.protocol}: ${entry.result}; ${entry.detail}`];
    case 'deletion-intent':
      return [`deletion of ${copiesText(entry)} begins: ${entry.reason}`];
    case 'deletion-outcome':
      return [`deletion of ${copiesText(entry)}: ${entry.result}; ${entry.detail}`];
    case 'opened':
      return [
        `opened by ${entry.actor.name}${entry.actor.address === undefined ? '' : ` from ${entry.actor.address}`} in ${entry.mailbox}${entry.about === undefined ? '' : ` (entry ${entry.about})`}${entry.method === undefined ? '' : `; login by ${entry.method}`}${entry.certificate === undefined ? '' : ` ${entry.certificate}`}`,
      ];
    case 'placed':
      return [
        `placed by ${entry.actor.name} (entry ${entry.about} waited for ${entry.addresses.map((address) => address || 'nobody named').join(', ')}): ${entry.reason}`,
        ...entry.delivered.map((d) => `into ${d.owner} / ${d.mailbox} (${d.reason})`),
        ...entry.forwarded.map((address) => `to be forwarded to ${address}`),
      ];
    case 'sent-copy':
      return [
        `provider's Sent copy, ${entry.letter === null ? 'fits no letter' : `of hand-over ${entry.transaction}`}, verdict ${entry.verdict}`,
        ...checkLines(entry.comparisons),
        ...checkLines(entry.checks),
      ];
    case 'forward-intent':
      return [
        `attempt ${entry.attempt} to forward to ${entry.recipients.join(', ')} at ${entry.endpoint}, SHA-256 ${entry.sha256}`,
      ];
    case 'forward-outcome':
      return [
        `forwarding: ${entry.result}; ${entry.reply}`,
        ...entry.recipients.map((r) => `${r.address}: ${r.result}: ${r.reply}`),
      ];
    case 'log-opened':
      return [
        `log ${entry.origin} opened with key ${entry.key}`,
        ...(entry.predecessor === undefined ? [] : closedLines(entry.predecessor)),
      ];
    case 'lost':
      return [`lost: this entry stood in the log ${entry.origin}, which was closed`];
    case 'imported':
      return [
        `${entry.entries} entries imported by ${entry.actor.name}, from the log ${entry.origin}${entry.erased === 0 ? '' : `, ${entry.erased} of them erased before`}`,
        `export of SHA-256 ${entry.export.sha256}; seals and renewals: ${entry.archiveTimestamps.map(([there, here]) => `${there} is ${here} here`).join(', ') || 'none'}`,
      ];
    case 'log-key':
      return [
        `log key changed by ${entry.actor.name} to ${entry.key}: ${entry.reason}`,
        ...(entry.until === undefined ? [] : [`the key before signs too until ${entry.until}`]),
      ];
    case 'access':
      return [`${entry.actor.name}: ${entry.action} ${entry.query}`];
    case 'operation':
      return [`${entry.actor.name}: ${entry.action} ${entry.subject}: ${entry.reason}`];
    case 'incident':
      return [`incident ${entry.incident} ${entry.state}: ${entry.text}`];
    case 'retention-hold':
      return [
        `${entry.actor.name}: ${entry.held ? 'legal hold' : 'legal hold released'}${entry.fileReference === undefined ? '' : ` for the file reference ${entry.fileReference}`}: ${entry.reason}`,
      ];
    case 'erasure-proposed':
      return [
        `${entry.actor.name} proposes to erase this letter (${entry.legalBasis}), copies in mailboxes ${entry.copies}: ${entry.reason}`,
      ];
    case 'erased':
      return [
        `${entry.entries.length} entries of ${entry.letters.length} letters erased${entry.again ? ' again' : ''}, class ${entry.class}, ${entry.legalBasis}; by ${entry.actors.map((a) => a.name).join(' and ')}`,
      ];
    case 'sealed':
      return [
        `entries ${entry.from} to ${entry.to - 1} sealed (${entry.digest}) at ${entry.genTime} by ${entry.authority}, archive timestamp ${entry.archiveTimestamp}`,
      ];
    case 'renewed':
      return [
        `archive timestamps ${entry.covers.join(', ')} renewed (${entry.method}, ${entry.digest}) at ${entry.genTime} by ${entry.authority}`,
        ...entry.excluded.map(({ index, reason }) => `! entry ${index} is not covered: ${reason}`),
      ];
  }
}

function copiesText({ account, folder, copies }: DeletionOutcomeEntry | DeletionIntentEntry): string {
  const named = copies.map(({ uid, entry }) => `UID ${uid} (entry ${entry})`);
  return `${copies.length} copies in ${account}/${folder}: ${named.join(', ') || 'none'}`;
}

function closedLines(log: ClosedLog): string[] {
  return [
    `log ${log.origin} before it was closed at ${log.size} entries by ${log.actor.name}: ${log.reason}`,
    ...log.known.map(({ source, reason }) => `${source}: ${reason}`),
  ];
}

const marks = { passed: '+', failed: '!', undecided: '?' };

/** Reasons quote what stands in messages: nothing of that may steer the terminal. */
function checkLines(checks: readonly CheckFact[] | undefined): string[] {
  return (checks ?? []).map(({ name, result, reason }) => printable(`${marks[result]} ${name}: ${reason}`));
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e\u00a0-\uffff]/g, '\ufffd');
}

function signatureLines(signatures: readonly EmbeddedSignature[] | undefined): string[] {
  return (signatures ?? []).flatMap(({ kind, part, signer, sha256, verdict, signedAt, checks }) => [
    printable(
      `signed by the sender: ${kind} in part ${part} by ${signer ?? 'unknown'}${signedAt === undefined ? '' : ` at ${signedAt}`}, verdict ${verdict}, SHA-256 ${sha256}`,
    ),
    ...checkLines(checks),
  ]);
}

const scanWords = { clean: 'nothing found', infected: 'MALWARE', 'not-scanned': 'not scanned yet' };

function scanLines(scan: ScanFact | undefined): string[] {
  if (scan === undefined) return [];
  const { result, detail, scanner } = scan;
  const by = scanner === undefined ? '' : ` (${scanner})`;
  return [printable(`malware scan: ${scanWords[result]}${detail === undefined ? '' : `: ${detail}`}${by}`)];
}

function countsWords(counts: ConfirmationEntry['counts']): string {
  return counts === undefined
    ? 'not compared'
    : { yes: 'it counts', provisional: 'it counts provisionally', no: 'it does NOT count' }[counts];
}

function deliveries(entry: {
  source: { account: string; folder: string; uid: number };
  message: ObjectFact;
  delivered: readonly { owner: string; mailbox: string; reason: string }[];
  waitsFor?: readonly string[];
}): string[] {
  return [
    `fetched from ${entry.source.account}/${entry.source.folder} UID ${entry.source.uid}, ${entry.message.size} bytes, SHA-256 ${entry.message.sha256}`,
    ...entry.delivered.map((d) => `into ${d.owner} / ${d.mailbox} (${d.reason})`),
    ...(entry.waitsFor ?? []).map(
      (address) => `private: waits for ${address || 'a person (nobody is named)'}`,
    ),
  ];
}
