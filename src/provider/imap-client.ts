/** The IMAP client for a provider's account, made and not connected yet: connecting is a login. */
import { ImapFlow } from 'imapflow';
import { readSecret } from '../config/files.ts';
import type { ProviderConfig } from '../config/schema.ts';
import { imapOptions, loadTarget } from './connect.ts';
import type { FetchSettings } from './folder.ts';

/**
 * `onNews` is called for every sign of the server and at the end of the connection.
 * @throws Error naming the file or secret that cannot be read
 */
export async function createImapClient(
  provider: ProviderConfig,
  settings: FetchSettings,
  onNews: () => void,
): Promise<ImapFlow> {
  const target = await loadTarget(provider.imap, provider);
  const credentials =
    provider.user === undefined || provider.password === undefined
      ? undefined
      : { user: provider.user, pass: readSecret(provider.password) };
  const client = new ImapFlow({
    ...imapOptions(target),
    ...(credentials === undefined ? {} : { auth: credentials }),
    clientInfo: { name: 'demail-gateway' },
    disableCompression: true,
    connectionTimeout: 30_000,
    greetingTimeout: 30_000,
    socketTimeout: settings.silence,
    autoIdleDelay: 500,
    // A lost IDLE goes unnoticed: each poll ends it, and it never lasts longer than this.
    maxIdleTime: 5 * 60_000,
    maxLineLength: 8 * 1024 * 1024,
    maxLiteralSize: 2 * settings.chunkSize,
    maxResponseSize: 16 * 1024 * 1024,
  });
  // Before connect: an error that nobody listens to would end the process.
  for (const event of ['error', 'close', 'exists'] as const) client.on(event, onNews);
  return client;
}
