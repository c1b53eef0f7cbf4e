/** How full the account's mailbox is: by the provider's own figures (QUOTA), else by the sum of what lies there. */
import type { ImapFlow } from 'imapflow';
import type { ProviderConfig } from '../config/schema.ts';

export interface MailboxUsage {
  /** Bytes. */
  readonly used: number;
  /** Bytes; null where neither provider nor configuration says. */
  readonly limit: number | null;
  readonly source: 'quota' | 'sum';
}

/** Longest list of folders that is summed up. */
const mostFolders = 1_000;

/**
 * RFC 9208 where the server offers it; `provider.mailboxSize` is the limit where it does not say one.
 * @throws what the connection throws
 */
export async function measureMailbox(client: ImapFlow, provider: ProviderConfig): Promise<MailboxUsage> {
  const quota = await client.getQuota(provider.inbox);
  const storage = quota ? quota.storage : undefined;
  if (storage?.usage !== undefined) {
    return { used: storage.usage, limit: storage.limit ?? provider.mailboxSize ?? null, source: 'quota' };
  }
  return { used: await sumOfSizes(client), limit: provider.mailboxSize ?? null, source: 'sum' };
}

/** Opens each folder, read-only. */
async function sumOfSizes(client: ImapFlow): Promise<number> {
  let used = 0;
  for (const { path, flags } of (await client.list()).slice(0, mostFolders)) {
    if (flags.has('\\Noselect') || flags.has('\\NonExistent')) continue;
    const lock = await client.getMailboxLock(path, { readOnly: true });
    try {
      if (!client.mailbox || client.mailbox.exists === 0) continue;
      for await (const { size } of client.fetch('1:*', { size: true })) used += size ?? 0;
    } finally {
      lock.release();
    }
  }
  return used;
}

/** `12.5 MiB / 1.0 GiB (1 %)`, or without a limit `12.5 MiB`. */
export function usageText({ used, limit }: Pick<MailboxUsage, 'used' | 'limit'>): string {
  if (limit === null || limit === 0) return sizeText(used);
  return `${sizeText(used)} / ${sizeText(limit)} (${Math.round((used / limit) * 100)} %)`;
}

function sizeText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
