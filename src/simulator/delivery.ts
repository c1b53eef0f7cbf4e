/** From the recipient's provider into the mailbox: TR-01201 FU 6.4 and 6.5, in the order of their steps. */
import { forwarded, forwarder, mayForward, sentOn } from './forwarding.ts';
import { headerValue } from './header.ts';
import type { Sealed } from './integrity.ts';
import { asked, type Issuing } from './issuing.ts';
import type { Mailboxes } from './mailboxes.ts';
import type { Account } from './options.ts';
import { holdsMalware, type Obstacle, obstacleTo } from './undeliverable.ts';

export interface DeliveryDeps {
  readonly mailboxes: Mailboxes;
  readonly issuing: Issuing;
  accountOf(address: string): Account | undefined;
  /** The receipt confirmation is due. */
  received(message: Sealed, address: string, account: Account): void;
  /** It lies in the INBOX. */
  deposited(account: Account, message: Sealed, address: string): void;
  now(): Date;
}

/**
 * Delivers a message to an address, and to where that sends it on.
 * @param via addresses it came by, in order
 */
export async function deliver(
  message: Sealed,
  address: string,
  deps: DeliveryDeps,
  via: readonly string[] = [],
): Promise<void> {
  const { mailboxes, issuing, now } = deps;
  const account = deps.accountOf(address);
  const isPrivate = headerValue(message.fields, 'X-de-mail-private') === 'yes';
  // Steps 42 to 48.
  const obstacle = obstacleTo(address, account, isPrivate);
  if (obstacle || !account) return refuse(message, address, obstacle!, issuing);
  const passed = [...via, address];
  // Steps 49 and 50: not even laid into the mailbox.
  if (account.movedTo !== undefined) {
    if (passed.includes(account.movedTo)) return refuse(message, address, loop(address), issuing);
    return deliver(sentOn(message, account.movedTo), account.movedTo, deps, passed);
  }
  // Steps 54 to 57.
  if (account.behaviour === 'malware' || holdsMalware(message.body)) {
    return warn(message, address, issuing, now());
  }
  // Steps 66 to 70. What was forwarded was confirmed by whom it was addressed to.
  const first = forwarder(message) === undefined;
  const retrieval = first && asked(message, 'retrieval');
  await mailboxes.layIntoInbox(account, address, await issuing.shown(message), retrieval);
  if (first && asked(message, 'receipt')) deps.received(message, address, account);
  deps.deposited(account, message, address);
  // Steps 71 to 74.
  const target = account.forwardsTo;
  if (target === undefined || passed.includes(target)) return;
  if (mayForward(account, message)) {
    return deliver(forwarded(message, address, target, now()), target, deps, passed);
  }
  await issuing.notify(message.fields, {
    to: target,
    type: 'other',
    subject: 'Nachricht eingegangen',
    text: `Im Postfach von ${address} ist eine Nachricht eingegangen, die nicht weitergeleitet wird.`,
  });
}

function loop(address: string): Obstacle {
  return {
    type: 'other',
    subject: 'Nachricht nicht zustellbar',
    text: `Die Nachricht konnte nicht zugestellt werden: ${address} sendet sie im Kreis nach.`,
  };
}

/** Step 45: to the sender, or to whoever forwarded it. */
function refuse(message: Sealed, address: string, obstacle: Obstacle, issuing: Issuing): Promise<void> {
  const { type, subject, text, toBoth = false } = obstacle;
  const by = forwarder(message);
  return issuing.notify(message.fields, {
    type,
    subject,
    text,
    signed: toBoth,
    ...(toBoth ? { cc: [address] } : {}),
    ...(by === undefined ? {} : { to: by }),
  });
}

/** FU 6.5, step 56: a signed confirmation instead of the plain notification where one was asked for. */
async function warn(message: Sealed, address: string, issuing: Issuing, time: Date): Promise<void> {
  const original = message.fields;
  if (asked(message, 'dispatch') || asked(message, 'receipt') || asked(message, 'retrieval')) {
    return issuing.confirm({ kind: 'malware', original, recipients: [address], time });
  }
  await issuing.notify(original, {
    type: 'other',
    subject: 'Schadsoftware-Warnung',
    text: `In der Nachricht an ${address} wurde Schadsoftware gefunden. Die Nachricht wurde gelöscht.`,
    cc: [address],
    malware: true,
  });
}
