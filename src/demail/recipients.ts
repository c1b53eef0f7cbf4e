/** Recipient lists of De-Mail: `to=a@x;"B, C" <b@y>;cc=…;bcc=…` (TR-01201 IO 3.1.8, 3.1.15). */
import { formatMailbox, parseAddressList } from '../mime/address.ts';
import { decodeWords } from '../mime/words.ts';

interface Recipient {
  /** Decoded display name, or null. */
  readonly name: string | null;
  /** addr-spec in lower case. */
  readonly address: string;
}

export interface RecipientList {
  readonly to: readonly Recipient[];
  readonly cc: readonly Recipient[];
  readonly bcc: readonly Recipient[];
}

const kinds = ['to', 'cc', 'bcc'] as const;
type Kind = (typeof kinds)[number];

/**
 * Reads a list. Total: an element before any of `to=`, `cc=`, `bcc=` counts as to, what is no address is left
 * out, and an element that occurs twice (which the norm forbids) is read as one.
 */
export function parseRecipientList(value: string): RecipientList {
  const list: Record<Kind, Recipient[]> = { to: [], cc: [], bcc: [] };
  let kind: Kind = 'to';
  for (const element of splitElements(value)) {
    const head = /^[ \t]*(to|cc|bcc)[ \t]*=/i.exec(element);
    if (head !== null) kind = head[1]!.toLowerCase() as Kind;
    for (const mailbox of parseAddressList(element.slice(head?.[0].length ?? 0))) {
      if (mailbox.local === '' || mailbox.domain === '') continue;
      const name = mailbox.name === null ? null : decodeWords(mailbox.name);
      list[kind].push({ name, address: mailbox.address.toLowerCase() });
    }
  }
  return list;
}

/** The list as a header value, without white space; kinds without recipients are left out. */
export function printRecipientList(list: Partial<RecipientList>): string {
  return recipientPieces(list).join('');
}

/** The same in pieces between which the header may be folded: after each semicolon. */
export function recipientPieces(list: Partial<RecipientList>): string[] {
  const pieces = kinds.flatMap((kind) =>
    (list[kind] ?? []).map((recipient, index) => (index === 0 ? `${kind}=` : '') + printRecipient(recipient)),
  );
  return pieces.map((piece, index) => (index < pieces.length - 1 ? `${piece};` : piece));
}

/** Every address of a list, to before cc before bcc. */
export function addressesOf(list: RecipientList): string[] {
  return kinds.flatMap((kind) => list[kind].map((recipient) => recipient.address));
}

function printRecipient(recipient: Recipient): string {
  const text = formatMailbox(recipient);
  // `to=x@y` is an address, but at this place it would open the element `to`.
  if (!/^[ \t]*(to|cc|bcc)[ \t]*=/i.test(text)) return text;
  const name = recipient.name === null ? '' : `"${recipient.name.replace(/["\\]/g, '\\$&')}" `;
  return `${name}<${recipient.address}>`;
}

/** Splits at semicolons outside quoted strings, comments and angle brackets. */
function splitElements(value: string): string[] {
  const elements: string[] = [];
  let from = 0;
  let quoted = false;
  let angle = false;
  let depth = 0;
  for (let i = 0; i < value.length; i += 1) {
    const char = value[i];
    if (char === '\\' && (quoted || depth > 0)) i += 1;
    else if (quoted) quoted = char !== '"';
    else if (char === '(') depth += 1;
    else if (char === ')') depth = Math.max(0, depth - 1);
    else if (depth > 0) continue;
    else if (char === '"') quoted = true;
    else if (char === '<') angle = true;
    else if (char === '>') angle = false;
    else if (char === ';' && !angle) {
      elements.push(value.slice(from, i));
      from = i + 1;
    }
  }
  elements.push(value.slice(from));
  return elements;
}
