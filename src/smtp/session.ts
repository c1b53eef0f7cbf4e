/** What a session may do: login or admission, sender, recipients, message. The rules are in their own files. */
import type { TLSSocket } from 'node:tls';
import type {
  SMTPServerDataStream,
  SMTPServerEnvelope,
  SMTPServerOptions,
  SMTPServerSession,
} from 'smtp-server';
import type { Config } from '../config/schema.ts';
import { createAttempts } from '../directory/attempts.ts';
import type { Authenticator, Directory, Principal } from '../directory/directory.ts';
import { GatewayError } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import type { Store } from '../store/store.ts';
import { type InspectDeps, inspectSubmission } from './inspect.ts';
import { Flood, takeIn } from './intake.ts';
import { checkRecipient } from './recipient-policy.ts';
import type { RelayAdmission } from './relay-admission.ts';
import { refusal, replyTo } from './reply.ts';
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
  const rate = createAttempts({
    limit: deps.limits.messagesPerMinutePerSender,
    windowMs: 60_000,
    now: deps.now ?? Date.now,
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
    const login = (session.user as Principal | undefined)?.user.login;
    const principal = login === undefined ? undefined : deps.directory().user(login);
    if (principal === undefined) throw new GatewayError('authentication-required');
    return { type: 'user', principal };
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
    const tenant = settled.sender.tenant.id;
    const intake = await takeIn(stream, deps.store.stage(tenant), deps.limits.messageSize);
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
      const now = new Date((deps.now ?? Date.now)());
      const inspected = await inspectSubmission(deps, settled.sender.tenant, submission, now);
      if (inspected.result === 'malware') {
        kept = true;
        const { index } = await deps.store.recordRefusal(tenant, inspected.refusal);
        log.warn({ peer: session.remoteAddress, tenant, index }, 'malware refused');
        throw inspected.error;
      }
      const { letter } = await deps.store
        .acceptSubmission(tenant, inspected.submission)
        .catch(async (error: unknown) => {
          await inspected.dropSignatures();
          throw error;
        });
      return `2.0.0 Accepted as ${tenant}/${letter}`;
    } catch (error) {
      if (!kept) await intake.abort();
      throw error;
    }
  }

  /** Answers with the error's reply; what is no refusal but a failure of ours goes to the log with its cause. */
  function fail(error: unknown, session: SMTPServerSession, callback: Callback): void {
    const reply = replyTo(error);
    const about = { peer: session.remoteAddress, reply: `${reply.code} ${reply.line}` };
    if (error instanceof GatewayError && error.cause === undefined) log.info(about, 'refused');
    else log.error({ ...about, err: error }, 'failed');
    callback(refusal(error));
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
            cutOff(session, replyTo(error));
          } else if (stream.destroyed && !stream.readableEnded) {
            log.info({ peer: session.remoteAddress }, 'client went away in the middle of a message');
            callback(refusal(error));
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
