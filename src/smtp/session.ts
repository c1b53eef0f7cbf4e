/** What a session may do: login or admission, sender, recipients, message. The rules are in their own files. */
import type { TLSSocket } from 'node:tls';
import type {
  SMTPServerDataStream,
  SMTPServerEnvelope,
  SMTPServerOptions,
  SMTPServerSession,
} from 'smtp-server';
import type { Config, Language, TenantConfig } from '../config/schema.ts';
import { createAttempts } from '../directory/attempts.ts';
import type { Authenticator, Directory, Principal } from '../directory/directory.ts';
import { catalogue, GatewayError } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import { withFingerprint } from '../store/sent-copies.ts';
import type { Store } from '../store/store.ts';
import { dailyQuotaOf, explainQuota } from './daily-quota.ts';
import { type InspectDeps, inspectSubmission } from './inspect.ts';
import { Flood, takeIn } from './intake.ts';
import { checkRecipient } from './recipient-policy.ts';
import type { RelayAdmission } from './relay-admission.ts';
import { codeOf, refusal, replyTo } from './reply.ts';
import { checkSender, type Identity, type Sender } from './sender-policy.ts';
import { composeSubmission } from './submission.ts';

export type ListenerName = 'submission' | 'submissions' | 'relay';

export interface SessionDeps extends InspectDeps {
  readonly store: Pick<Store, 'stage' | 'openStaged' | 'acceptSubmission' | 'recordRefusal'>;
  /** Asked for every command, so that a reloaded configuration counts at once. */
  readonly directory: () => Directory;
  readonly authenticator: Authenticator;
  readonly limits: Config['limits'];
  readonly log: Log;
  /** True where sending is locked for the tenant (TR-01201 GS 10.2.2.1). */
  readonly isLocked?: (tenant: string) => boolean;
  /** Epoch milliseconds. */
  readonly now?: () => number;
}

export interface Handlers
  extends Required<Pick<SMTPServerOptions, 'onAuth' | 'onSecure' | 'onMailFrom' | 'onRcptTo' | 'onData'>> {
  /** Resolves when no message is being received or stored any more. */
  settled(): Promise<void>;
  /** The language that the client is answered in. */
  language(session: SMTPServerSession | undefined): Language;
}

type Callback = (error?: Error | null) => void;

/** Handlers for one listener. `admission` belongs to the relay listener alone. */
export function createHandlers(
  listener: ListenerName,
  deps: SessionDeps,
  admission: RelayAdmission | undefined,
  cutOff: (session: SMTPServerSession, reply: { code: number; line: string }) => void,
): Handlers {
  const log = deps.log.child({ room: 'smtp', listener });
  const now = deps.now ?? Date.now;
  const rate = createAttempts({
    limit: deps.limits.messagesPerMinutePerSender,
    windowMs: 60_000,
    now,
  });
  const certificates = new WeakMap<SMTPServerSession, Buffer>();
  const accepted = new WeakMap<SMTPServerEnvelope, { identity: Identity; sender: Sender }>();
  const running = new Set<Promise<void>>();

  function identityOf(session: SMTPServerSession): Identity {
    if (admission !== undefined) {
      const relay = admission.admit(session.remoteAddress, certificates.get(session));
      if (relay === undefined) throw new GatewayError('relay-not-admitted');
      return { type: 'relay', relay };
    }
    // Looked up again: the login may have been removed since.
    // `false` until somebody has logged in.
    const login = (session.user as Partial<Principal> | undefined)?.user?.login;
    const principal = login === undefined ? undefined : deps.directory().user(login);
    if (principal === undefined) throw new GatewayError('authentication-required');
    return { type: 'user', principal };
  }

  /** Of the tenant; while none is known, the one that all who may be meant share, else English. */
  function language(session: SMTPServerSession | undefined): Language {
    const languages = new Set(tenantsOf(session).map((tenant) => tenant.language));
    return languages.size === 1 ? [...languages][0]! : 'en';
  }

  function tenantsOf(session: SMTPServerSession | undefined): readonly TenantConfig[] {
    const directory = deps.directory();
    // At the door nothing is known yet, not even the address.
    if (session?.remoteAddress === undefined) return directory.tenants;
    const sender = accepted.get(session.envelope)?.sender;
    if (sender !== undefined) return [sender.tenant];
    try {
      const identity = identityOf(session);
      return identity.type === 'user'
        ? [identity.principal.tenant]
        : directory.tenants.filter(({ id }) => identity.relay.tenants.includes(id));
    } catch {
      return directory.tenants;
    }
  }

  function beginMail(address: string, session: SMTPServerSession): void {
    const identity = identityOf(session);
    const sender = checkSender(deps.directory(), identity, address);
    if (typeof sender === 'string') throw new GatewayError(sender);
    if (deps.isLocked?.(sender.tenant.id)) throw new GatewayError('tenant-locked');
    const key =
      identity.type === 'user' ? identity.principal.user.login : `${identity.relay.name} ${sender.demail}`;
    if (!rate.reserve(key)) throw new GatewayError('rate-limited');
    accepted.set(session.envelope, { identity, sender });
  }

  async function receive(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<string> {
    const { envelope } = session;
    const settled = accepted.get(envelope);
    if (settled === undefined || envelope.mailFrom === false)
      throw new GatewayError('authentication-required');
    const { tenant } = settled.sender;
    const intake = await takeIn(stream, deps.store.stage(tenant.id), deps.limits.messageSize);
    /** Named by an entry, so its bytes stay. */
    let kept = false;
    try {
      const submission = composeSubmission(
        {
          ...settled,
          directory: deps.directory(),
          listener,
          peerAddress: session.remoteAddress,
          envelope: {
            from: envelope.mailFrom.address,
            recipients: envelope.rcptTo.map(({ address, dsn }) => ({
              address,
              ...(dsn?.notify && { notify: dsn.notify }),
              ...(dsn?.orcpt && { orcpt: dsn.orcpt }),
            })),
            ...(envelope.dsn?.ret && { ret: envelope.dsn.ret }),
            ...(envelope.dsn?.envid && { envid: envelope.dsn.envid }),
          },
        },
        intake,
      );
      // By it the copy that the client files itself is recognised.
      const message =
        submission.deposits.length > 0
          ? await withFingerprint(deps.store, submission.message)
          : submission.message;
      const dailyQuota = dailyQuotaOf(tenant, submission.transactions, now());
      const inspected = await inspectSubmission(deps, tenant, { ...submission, message }, new Date(now()));
      if (inspected.result === 'malware') {
        kept = true;
        const { index } = await deps.store.recordRefusal(tenant.id, inspected.refusal);
        log.warn({ peer: session.remoteAddress, tenant: tenant.id, index }, 'malware refused');
        throw inspected.error;
      }
      const { letter } = await deps.store
        .acceptSubmission(tenant.id, { ...inspected.submission, ...(dailyQuota && { dailyQuota }) })
        .catch(async (error: unknown) => {
          await inspected.dropSignatures();
          throw error;
        });
      return `2.0.0 Accepted as ${tenant.id}/${letter}`;
    } catch (error) {
      if (!kept) await intake.abort();
      throw explainQuota(error, tenant, now());
    }
  }

  /** Answers with the error's reply; what is no refusal but a failure of ours goes to the log with its cause. */
  function fail(error: unknown, session: SMTPServerSession, callback: Callback): void {
    const code = codeOf(error);
    const { smtp, enhanced, text } = catalogue[code];
    // Without the detail: it may repeat what stands in the message.
    const about = { peer: session.remoteAddress, code, reply: `${smtp} ${enhanced} ${text}` };
    if (error instanceof GatewayError && error.cause === undefined) log.info(about, 'refused');
    else log.error({ ...about, err: error }, 'failed');
    callback(refusal(error, language(session)));
  }

  function attempt(session: SMTPServerSession, callback: Callback, work: () => void): void {
    try {
      work();
    } catch (error) {
      fail(error, session, callback);
      return;
    }
    callback();
  }

  return {
    language,
    onAuth({ username, authzid, password }, session, callback) {
      // RFC 4616: acting for somebody else is not offered.
      if (!session.secure || (authzid && authzid !== username)) {
        fail(new GatewayError('authentication-failed'), session, (error) => callback(error));
        return;
      }
      deps.authenticator.login(username ?? '', password ?? '', session.remoteAddress).then(
        (user) => callback(null, { user }),
        (error: unknown) => fail(error, session, (reply) => callback(reply)),
      );
    },
    onSecure(socket, session, callback) {
      const certificate = (socket as TLSSocket).getPeerX509Certificate?.()?.raw;
      if (certificate !== undefined) certificates.set(session, certificate);
      callback();
    },
    onMailFrom({ address }, session, callback) {
      attempt(session, callback, () => beginMail(address, session));
    },
    onRcptTo(recipient, session, callback) {
      attempt(session, callback, () => {
        const checked = checkRecipient(deps.directory(), recipient.address);
        if (typeof checked === 'string') throw new GatewayError(checked);
        recipient.address = checked.address;
      });
    },
    onData(stream, session, callback) {
      const work = receive(stream, session).then(
        (text) => {
          log.debug({ peer: session.remoteAddress, text }, 'accepted');
          callback(null, text);
        },
        (error: unknown) => {
          if (error instanceof Flood) {
            cutOff(session, replyTo(error, language(session)));
          } else if (stream.destroyed && !stream.readableEnded) {
            log.info({ peer: session.remoteAddress }, 'client went away in the middle of a message');
            callback(refusal(error, language(session)));
          } else {
            fail(error, session, callback);
          }
        },
      );
      running.add(work);
      void work.finally(() => running.delete(work));
    },
    async settled() {
      await Promise.allSettled(running);
    },
  };
}
