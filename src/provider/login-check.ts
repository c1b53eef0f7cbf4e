/**
 * Logging in on purpose, to see whether an account works: by IMAP and SMTP, through the same gate and with the same
 * entries as every other login. It fetches nothing and sends nothing; at level high it serves what lies there all
 * the same (TR-01201 FU 3.3.5).
 */
import type { ImapFlow } from 'imapflow';
import { readSecret } from '../config/files.ts';
import type { ProviderConfig, TenantConfig } from '../config/schema.ts';
import { loadTarget } from './connect.ts';
import { standardFetch } from './folder.ts';
import { type Gate, legalEffect, type Protocol } from './gate.ts';
import { createImapClient } from './imap-client.ts';
import { beginLogin, type LoginRecorder, type Occasion, resultOfFailure } from './logins.ts';
import { measureMailbox, usageText } from './mailbox-usage.ts';
import { openSession } from './smtp-session.ts';

export interface LoginCheckDeps {
  readonly store: LoginRecorder;
  readonly gate: Gate;
  readonly hostname: string;
}

export interface LoginFinding {
  readonly what: string;
  readonly good: boolean;
  readonly detail: string;
}

/** @param outsideHours whatever the calendar says; a lock still holds */
export async function checkLogins(
  deps: LoginCheckDeps,
  config: TenantConfig,
  occasion: Occasion,
  outsideHours: boolean,
): Promise<LoginFinding[]> {
  const findings: LoginFinding[] = [];
  await attempt(deps, config, 'imap', { occasion, outsideHours, findings }, tryImap);
  await attempt(deps, config, 'smtp', { occasion, outsideHours, findings }, trySmtp);
  return findings;
}

interface Visit {
  readonly occasion: Occasion;
  readonly outsideHours: boolean;
  /** Grows. */
  readonly findings: LoginFinding[];
}

interface Try {
  readonly provider: ProviderConfig;
  readonly hostname: string;
  readonly signal: AbortSignal;
  /** Called once the provider has let us in, with what the outcome is to say. */
  readonly loggedIn: (detail: string) => Promise<void>;
  readonly say: (what: string, good: boolean, detail: string) => void;
}

/** The gate, the intent, the login and its outcome. */
async function attempt(
  { store, gate, hostname }: LoginCheckDeps,
  { id, provider }: TenantConfig,
  protocol: Protocol,
  { occasion, outsideHours, findings }: Visit,
  work: (login: Try) => Promise<void>,
): Promise<void> {
  const what = `${protocol.toUpperCase()} login`;
  const say = (check: string, good: boolean, detail: string) => findings.push({ what: check, good, detail });
  const shut = gate.closed(protocol, outsideHours);
  if (shut !== null) return void say(what, false, `not tried: ${shut.text}`);
  using open = gate.whileOpen(protocol, outsideHours);
  const { signal } = open;
  let entered = false;
  const login = await beginLogin({ store, tenant: id }, provider, protocol, occasion);
  if (signal.aborted) return login.conclude('failed', `not tried: ${(signal.reason as Error).message}`);
  try {
    const loggedIn = async (detail: string) => {
      entered = true;
      await login.conclude('logged-in', detail);
      const served = legalEffect(provider, protocol);
      say(what, true, `logged in${served ? '; what lay there counts as picked up (FU 3.3.5)' : ''}`);
    };
    await work({ provider, hostname, signal, loggedIn, say });
  } catch (error) {
    const { message } = signal.aborted ? (signal.reason as Error) : (error as Error);
    await login.conclude(resultOfFailure(error), message.slice(0, 500));
    say(entered ? protocol.toUpperCase() : what, false, message);
  }
}

async function tryImap({ provider, signal, loggedIn, say }: Try): Promise<void> {
  const client = await createImapClient(provider, standardFetch, () => {});
  const stop = () => client.close();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await client.connect();
    await loggedIn('check: nothing was fetched');
    await lookAtFolders(client, provider, say);
    const usage = await measureMailbox(client, provider);
    const nearlyFull = usage.limit !== null && usage.used / usage.limit >= provider.mailboxWarning / 100;
    const how = usage.source === 'quota' ? 'QUOTA of the provider' : 'sum of all messages';
    say('mailbox', !nearlyFull, `${usageText(usage)} by ${how}${nearlyFull ? '; nearly full' : ''}`);
  } finally {
    signal.removeEventListener('abort', stop);
    client.close();
  }
}

/** The folders that the configuration names; `doneFolder` is made when it is needed. */
async function lookAtFolders(client: ImapFlow, provider: ProviderConfig, say: Try['say']): Promise<void> {
  const found = (await client.list()).map(({ path }) => path);
  for (const key of ['inbox', 'sentFolder', 'doneFolder'] as const) {
    const name = provider[key];
    if (name === undefined) continue;
    if (found.includes(name)) {
      const { messages = 0 } = (await client.status(name, { messages: true })) || {};
      say('folder', true, `${key} ${name}: ${messages} messages`);
    } else if (key === 'doneFolder') say('folder', true, `${key} ${name}: will be made`);
    else say('folder', false, `${key} ${name} is not there; there are ${found.join(', ')}`);
  }
  if (provider.deleteAfter === undefined) return;
  const able = client.capabilities.has('UIDPLUS') || client.capabilities.has('IMAP4REV2');
  say('deleteAfter', able, able ? 'UID EXPUNGE is offered' : 'the provider has no UID EXPUNGE (RFC 4315)');
}

async function trySmtp({ provider, hostname, signal, loggedIn }: Try): Promise<void> {
  const { user, password } = provider;
  const credentials =
    user === undefined || password === undefined ? undefined : { user, password: readSecret(password) };
  const target = await loadTarget(provider.smtp, provider);
  const session = await openSession(target, { hostname, credentials }, signal);
  session.close();
  await loggedIn('check: nothing was handed over');
}
