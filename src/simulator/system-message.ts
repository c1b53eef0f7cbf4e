/** One mail of the provider itself: header, parts, seal (TR-01201 IO 3.4). */
import { randomUUID } from 'node:crypto';
import { encodeText, type Field, headerValue, makeField, topmost } from './header.ts';
import { type Sealed, seal } from './integrity.ts';
import type { Lies } from './lies.ts';
import { printRecipients } from './recipients.ts';
import type { HashName, Signer } from './signer.ts';

/** What every mail of this provider has in common. */
export interface Letterhead {
  /** FQDN. */
  readonly provider: string;
  readonly providerName: string;
  readonly hash: HashName;
  readonly signer: Signer;
}

export const norm = { version: '1.8', selector: 'simulator' } as const;

export interface Part {
  readonly type: string;
  /** As an attachment of that name; default: shown in the message. */
  readonly file?: string;
  readonly content: Buffer;
}

/** What one mail says. */
export interface SystemMessage {
  readonly head: Letterhead;
  readonly signed: boolean;
  readonly lies?: Lies;
  readonly sender: string;
  readonly to: string;
  readonly cc: readonly string[];
  readonly subject: string;
  readonly type: string;
  readonly time: Date;
  /** What it answers. */
  readonly original?: readonly Field[];
  readonly privateIdOf?: readonly Field[];
  readonly extra: readonly Field[];
  readonly parts: readonly Part[];
}

export function compose(draft: SystemMessage): Sealed {
  const { head, original = [] } = draft;
  const boundary = `=_${randomUUID()}`;
  const messageId = newMessageId(head.provider);
  const recipients = printRecipients({ to: [draft.to], cc: draft.cc, bcc: [] });
  const about = headerValue(original, 'Message-ID');
  const privateId = topmost(draft.privateIdOf ?? original, 'X-de-mail-private-id');
  const fields = [
    makeField('From', draft.sender),
    makeField('To', draft.to),
    ...(draft.cc.length > 0 ? [makeField('Cc', draft.cc.join(', '))] : []),
    makeField('Date', mailDate(draft.time)),
    makeField('Message-ID', messageId),
    ...(about ? [makeField('In-Reply-To', about), makeField('References', about)] : []),
    makeField('Subject', encodeText(draft.subject)),
    makeField('Auto-Submitted', 'auto-generated'),
    makeField('X-de-mail-sender', draft.sender),
    makeField('X-de-mail-chosen-recipient', recipients),
    makeField('X-de-mail-actual-recipient', recipients),
    makeField('X-de-mail-originator-provider', head.provider),
    makeField('X-de-mail-message-type', draft.type),
    makeField('X-de-mail-version', norm.version),
    ...(privateId ? [privateId] : []),
    makeField('X-de-mail-message-id', messageId),
    ...draft.extra,
    makeField('MIME-Version', '1.0'),
    { name: 'Content-Type', raw: `Content-Type: multipart/mixed;\r\n boundary="${boundary}"` },
  ];
  const body = Buffer.from(
    [...draft.parts.map((content) => part(boundary, content)), `--${boundary}--\r\n`].join(''),
    'latin1',
  );
  return seal(fields, body, {
    domain: head.provider,
    selector: norm.selector,
    hash: head.hash,
    ...(draft.lies ? { lies: draft.lies } : {}),
    ...(draft.signed ? { signer: head.signer } : {}),
  });
}

function part(boundary: string, { type, file, content }: Part): string {
  const name = file === undefined ? '' : `; name="${file}"`;
  const disposition = file === undefined ? 'inline' : `attachment; filename="${file}"`;
  const base64 = content.toString('base64').replaceAll(/.{76}/g, '$&\r\n');
  return [
    `--${boundary}`,
    `Content-Type: ${type}${name}`,
    `Content-Disposition: ${disposition}`,
    'Content-Transfer-Encoding: base64',
    '',
    base64.replace(/\r\n$/, ''),
    '',
  ].join('\r\n');
}

export function newMessageId(provider: string): string {
  return `<${randomUUID()}@${provider}>`;
}

/** RFC 5322 3.3, UTC. */
export function mailDate(time: Date): string {
  return time.toUTCString().replace('GMT', '+0000');
}
