/**
 * Delivery status reports (RFC 3464) to the sender of a letter: who wants to hear of what (RFC 3461 4.1), and what
 * they say. Success is what the provider confirms: `delivered` by a receipt confirmation, `relayed` by a dispatch
 * confirmation where no other follows. Once for each recipient and action, in the commit of what is reported.
 */
import type { TenantConfig } from '../config/schema.ts';
import type { Directory } from '../directory/directory.ts';
import type { ConfirmationType, Entry, RecipientResult, SubmissionEntry } from '../evidence/entry.ts';
import { composeDsn, type DsnInput } from '../mime/dsn.ts';
import { headerEnd } from '../mime/header.ts';
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import { CorruptObject, type NamedNotice, type Store } from '../store/store.ts';
import { letterhead, stageNotice } from './notices.ts';
import { shownHeader, shownSubject } from './private-report.ts';
import { routeToSender } from './route.ts';
import { confirmedNote } from './texts.ts';

type Letter = Entry & SubmissionEntry;

interface Report {
  readonly action: 'failed' | 'delayed' | 'relayed' | 'delivered';
  /** Names it within the letter. */
  readonly once: string;
  /** Delayed: until when attempts go on. */
  readonly until?: Date;
  /** Host that said so. */
  readonly remoteMta?: string | null;
  readonly note?: string;
}

export interface Confirmed {
  readonly type: ConfirmationType;
  readonly recipients: readonly string[];
  /** Time that the confirmation states (RFC 3339), or null. */
  readonly statedTime: string | null;
  /** FQDN of the provider that confirms, or null. */
  readonly provider: string | null;
}

export interface DeliveryReports {
  /** Null where there is nobody to tell of. */
  compose(letter: Letter, results: readonly RecipientResult[], report: Report): Promise<NamedNotice | null>;
  /** `relayed` for a letter without confirmations: there, nothing more will ever be known (RFC 3461 5.2.2). */
  handedOver(letter: Letter, recipients: readonly string[]): Promise<NamedNotice[]>;
  confirmed(letter: Letter, confirmed: Confirmed): Promise<NamedNotice[]>;
}

export interface DeliveryReportDeps {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly tenant: string;
  readonly hostname: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** What stands in a header of the provider may be anything. */
const hostName = /^[a-z0-9-]+(\.[a-z0-9-]+){0,20}$/i;
/** A message returned in full (RET=FULL) is cut to its header above this many bytes. */
const longestReturn = 256 * 1024;

export function createDeliveryReports(deps: DeliveryReportDeps): DeliveryReports {
  const { store, tenant, clock, hostname, log } = deps;

  /** RET=FULL gives the message back where it failed, otherwise its header (RFC 3461 4.3). */
  async function returned(letter: Letter, { action }: Report): Promise<DsnInput['original']> {
    // What is for level high (TR-01201 FU 3.3) must not travel on as a plain mail.
    const headers = shownHeader(letter);
    if (headers !== null) return { headers };
    const full = action === 'failed' && letter.envelope.ret?.toUpperCase() === 'FULL';
    try {
      const object = await store.object(tenant, letter.message.object);
      if (object === null) return { headers: Buffer.alloc(0) };
      const chunks: Buffer[] = [];
      for await (const chunk of object.read(0, longestReturn)) chunks.push(chunk);
      const bytes = Buffer.concat(chunks);
      return full && object.size <= longestReturn
        ? { message: bytes }
        : { headers: bytes.subarray(0, headerEnd(bytes)) };
    } catch (error) {
      if (!(error instanceof CorruptObject)) throw error;
      // A letter that cannot be read must not keep its confirmations from being recorded.
      log.error({ tenant, letter: letter.index, error: error.message }, 'letter cannot be returned');
      return { headers: Buffer.alloc(0) };
    }
  }

  async function compose(
    letter: Letter,
    results: readonly RecipientResult[],
    report: Report,
  ): Promise<NamedNotice | null> {
    const config = deps.directory().tenant(tenant);
    if (config === undefined || results.length === 0) return null;
    const { action, once, until, remoteMta, note } = report;
    const bytes = composeDsn({
      ...letterhead(hostname, new Date(clock.now())),
      to: [{ address: letter.header.from ?? letter.envelope.from }],
      inReplyTo: letter.header.messageId,
      language: config.language,
      reportingMta: hostname,
      envid: letter.envelope.envid ?? null,
      arrivalDate: new Date(letter.time),
      letterSubject: shownSubject(letter),
      recipients: results.map(({ address, reply }) => ({
        address,
        orcpt: envelopeOf(letter, address)?.orcpt ?? null,
        action,
        status: /^\d{3}[ -](\d\.\d{1,3}\.\d{1,3})\b/.exec(reply)?.[1] ?? null,
        diagnostic: reply,
        remoteMta: remoteMta ?? null,
        willRetryUntil: until ?? null,
        note: note ?? null,
      })),
      original: await returned(letter, report),
    });
    const recipients = results.map(({ address }) => address);
    const notice = await stageNotice(store, config, routeToSender(deps.directory(), config, letter), {
      letter: letter.index,
      about: action,
      text: [recipients.join(', '), results[0]!.reply || note].filter(Boolean).join(': '),
      recipients,
      bytes,
    });
    return { ...notice, once };
  }

  /** One report each: recipients are confirmed one by one, and in any order. */
  async function succeeded(
    letter: Letter,
    recipients: readonly string[],
    report: (config: TenantConfig) => Omit<Report, 'once'>,
  ): Promise<NamedNotice[]> {
    const config = deps.directory().tenant(tenant);
    const told = [...new Set(recipients)].filter((address) => wants(letter, address, 'SUCCESS'));
    if (config === undefined) return [];
    const notices: NamedNotice[] = [];
    for (const address of told) {
      const about = report(config);
      const once = `${about.action}/${address}`;
      const notice = await compose(letter, [{ address, result: 'accepted', reply: '' }], { ...about, once });
      if (notice !== null) notices.push(notice);
    }
    return notices;
  }

  const asked = ({ options }: Letter, type: ConfirmationType) => options.includes(type);
  return {
    compose,
    handedOver: async (letter, recipients) =>
      asked(letter, 'dispatch') || asked(letter, 'receipt')
        ? []
        : succeeded(letter, recipients, () => ({ action: 'relayed' })),
    async confirmed(letter, { type, recipients, statedTime, provider }) {
      if (type === 'retrieval' || (type === 'dispatch' && asked(letter, 'receipt'))) return [];
      return succeeded(letter, recipients, ({ language }) => ({
        action: type === 'receipt' ? 'delivered' : 'relayed',
        remoteMta: provider !== null && hostName.test(provider) ? provider : null,
        note: confirmedNote(language, type, statedTime),
      }));
    },
  };
}

function envelopeOf(letter: SubmissionEntry, address: string) {
  const wanted = address.toLowerCase();
  return letter.envelope.recipients.find((r) => r.address.toLowerCase() === wanted);
}

/** RFC 3461 4.1: without NOTIFY, failures and delays are told. */
export function wants(
  letter: SubmissionEntry,
  address: string,
  condition: 'FAILURE' | 'DELAY' | 'SUCCESS',
): boolean {
  const notify = envelopeOf(letter, address)?.notify;
  if (notify === undefined || notify.length === 0) return condition !== 'SUCCESS';
  return notify.includes(condition);
}
