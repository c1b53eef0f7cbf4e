/**
 * The mailbox at the provider, besides fetching: how full it is, told before it is full (TR-01201 FU 4.1: less than
 * 10 % free), and deleting old copies where the tenant wants that. It uses the connection that fetches, so that it
 * never is a login of its own.
 */
import type { ImapFlow } from 'imapflow';
import type { TenantConfig } from '../config/schema.ts';
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { Store } from '../store/store.ts';
import { deleteOldCopies } from './delete-copies.ts';
import { concernsAll, type FetchSettings, standardFetch } from './folder.ts';
import type { Incidents } from './incidents.ts';
import { type MailboxUsage, measureMailbox, usageText } from './mailbox-usage.ts';
import { incidentTexts, type Said } from './texts.ts';

export interface MailboxPolicyDeps {
  readonly store: Store;
  readonly tenant: string;
  readonly incidents: Incidents;
  readonly log: Log;
  readonly clock: Clock;
  readonly settings?: FetchSettings | undefined;
}

export interface Measured extends MailboxUsage {
  /** Epoch milliseconds. */
  readonly at: number;
}

export interface MailboxPolicy {
  /** Does what is due. Resolves with true where it had other folders open than the inbox. */
  look(client: ImapFlow, config: TenantConfig, signal: AbortSignal): Promise<boolean>;
  /** The last measurement; null before the first. */
  readonly usage: Measured | null;
}

const measureEvery = 3_600_000;
/** Summing up opens every folder. */
const sumEvery = 6 * 3_600_000;
const deleteEvery = 24 * 3_600_000;
/** Between two batches, so that new mail does not wait for old. */
const nextBatchAfter = 60_000;
const fullIncident = 'provider-mailbox-full';
/** The incident ends only this far below the warning, so that it does not come and go. Share of the limit. */
const margin = 0.05;

const measuring: Said = {
  de: 'Das Ermitteln der Belegung des Postfachs beim Anbieter',
  en: 'Measuring the mailbox at the provider',
};
const deleting: Said = {
  de: 'Das Löschen alter Kopien beim Anbieter',
  en: 'Deleting old copies at the provider',
};

export function createMailboxPolicy(deps: MailboxPolicyDeps): MailboxPolicy {
  const { tenant, clock, incidents, log } = deps;
  const settings = deps.settings ?? standardFetch;
  const stay = new Map<string, number>();
  let usage: Measured | null = null;
  let measureAt = 0;
  let deleteAt = 0;

  /** What fails here is told, and keeps no mail from being fetched. */
  async function attempt(client: ImapFlow, signal: AbortSignal, what: Said, work: () => Promise<void>) {
    const incident = what === measuring ? 'provider-mailbox-usage' : 'provider-deletion';
    try {
      await work();
      incidents.close(tenant, incident, incidentTexts.worksAgain(what));
    } catch (error) {
      if (!client.usable || signal.aborted || concernsAll(error)) throw error;
      log.warn({ error: String(error) }, 'mailbox at the provider');
      incidents.open(tenant, incident, incidentTexts.fails(what, (error as Error).message));
    }
  }

  async function measure(client: ImapFlow, { provider }: TenantConfig) {
    const measured = await measureMailbox(client, provider);
    usage = { ...measured, at: clock.now() };
    const { used, limit, source } = measured;
    measureAt = clock.now() + (source === 'sum' ? sumEvery : measureEvery);
    if (limit === null) return;
    const share = used / limit;
    const warning = provider.mailboxWarning / 100;
    if (share >= warning) incidents.open(tenant, fullIncident, incidentTexts.nearlyFull(usageText(measured)));
    else if (share < warning - margin) {
      incidents.close(tenant, fullIncident, incidentTexts.roomAgain(usageText(measured)));
    }
  }

  async function deleteDue(client: ImapFlow, config: TenantConfig, signal: AbortSignal) {
    const { inbox, doneFolder, sentFolder } = config.provider;
    const folders = new Set([sentFolder, doneFolder, inbox].filter((name) => name !== undefined));
    for (const folder of folders) {
      if (folder === doneFolder && !(await exists(client, folder))) continue;
      if (await deleteOldCopies({ ...deps, settings, stay }, client, config, folder, signal)) {
        deleteAt = clock.now() + nextBatchAfter;
      }
    }
  }

  return {
    async look(client, config, signal) {
      const now = clock.now();
      let other = false;
      if (config.provider.deleteAfter !== undefined && now >= deleteAt) {
        deleteAt = now + deleteEvery;
        other = true;
        await attempt(client, signal, deleting, () => deleteDue(client, config, signal));
        measureAt = 0;
      }
      if (now >= measureAt) {
        measureAt = now + measureEvery;
        await attempt(client, signal, measuring, () => measure(client, config));
        other ||= usage?.source !== 'quota';
      }
      return other;
    },
    get usage() {
      return usage;
    },
  };
}

/** It is made when the first message is moved there. */
async function exists(client: ImapFlow, folder: string): Promise<boolean> {
  return (await client.list()).some(({ path }) => path === folder);
}
