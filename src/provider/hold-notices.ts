/**
 * Tells a tenant's operators that its log is held. The mail is put into their mailboxes as it is: a notice with its
 * entry cannot be made, since nothing is signed.
 */
import { createHash } from 'node:crypto';
import type { Directory } from '../directory/directory.ts';
import { INBOX } from '../directory/mailboxes.ts';
import { composeNotice } from '../mime/notice.ts';
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { Hold } from '../store/logs.ts';
import type { Store } from '../store/store.ts';
import { letterhead, routeToOperators } from './notices.ts';
import { stageMessage } from './staging.ts';
import { holdText } from './texts.ts';

export interface HoldNotices {
  /** One mail for each new reason; a reason that was told is not told again, over restarts too. */
  tell(tenant: string, holds: readonly Hold[]): Promise<void>;
}

export function createHoldNotices(deps: {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly hostname: string;
  readonly log: Log;
  readonly clock: Clock;
}): HoldNotices {
  const { store, directory, hostname, log, clock } = deps;
  return {
    async tell(tenant, holds) {
      const reasons = holds.map(({ source, reason }) => `${source}: ${reason}`);
      log.error({ tenant, reasons }, 'the evidence log is held: nothing is signed, mail waits');
      const config = directory().tenant(tenant);
      if (config === undefined) return;
      const name = createHash('sha256').update(reasons.join('\n')).digest('hex').slice(0, 32);
      const messageId = `<log-held.${name}@${hostname}>`;
      const { subject, body } = holdText(config.language, config.name, tenant, reasons);
      const now = new Date(clock.now());
      for (const { owner } of routeToOperators(directory(), config).destinations) {
        await store.ensureMailboxes(tenant, owner, [{ name: INBOX, specialUse: null }]);
        const inbox = await store.mailbox(tenant, owner, INBOX);
        if (inbox === null || (await store.byMessageId(tenant, inbox.id, messageId)).length > 0) continue;
        const bytes = composeNotice({
          ...letterhead(hostname, now),
          messageId,
          to: config.operators.map((address) => ({ address })),
          subject,
          text: body,
          inReplyTo: null,
        });
        const message = await stageMessage(store, tenant, [bytes]);
        await store.appendMessage(tenant, inbox.id, { message, flags: [], internalDate: now.getTime() });
      }
    },
  };
}
