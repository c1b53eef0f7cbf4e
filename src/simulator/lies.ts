/**
 * The ways in which a hostile or broken provider can lie, each a switch of its own (`faults.lies`), to be
 * combined at will. They concern confirmations; those marked (letters) also what lies in the recipient's INBOX.
 * The copy in Sent is always honest. A lie that needs an earlier letter of the same sender is none before it.
 */
import { type Field, headerValue } from './header.ts';

export const lieNames = [
  /** `b=` holds another value (letters). */
  'integrity-hash',
  /** `bh=` is not that of the body; `b=` fits the wrong header (letters). */
  'body-hash',
  /** Integrity data and certificate are missing (letters). */
  'no-integrity',
  /** Integrity header with a hash only; the XML is signed. */
  'unsigned',
  /** The XML carries no signature; the message is signed. */
  'unsigned-xml',
  /** The certificate belongs to another key of the same provider (letters). */
  'wrong-key',
  /** The certificate's time is over (letters). */
  'expired-certificate',
  /** The certificate stands in the revocation list (letters). */
  'revoked-certificate',
  /** The certificate is its own issuer (letters). */
  'self-signed-certificate',
  /** The certificate is of an authority that nobody trusts, under the name of the right one (letters). */
  'foreign-authority',
  /** The XML confirms the sender's previous letter, the headers this one. */
  'swapped',
  /** The private-id in the header is that of the sender's previous letter. */
  'private-id',
  /** The previous confirmation of that kind comes again, byte for byte. */
  'replayed',
  /** The same confirmation comes twice, each under a message id of its own. */
  'replayed-renamed',
  /** One more confirmation, for a recipient who was never addressed. */
  'stranger',
  /** From and X-de-mail-sender are of another provider. */
  'forged-sender',
  /** The XML names another recipient than the headers. */
  'xml-recipient',
  /** The XML has sender, subject and text of another kind of confirmation than the headers. */
  'xml-type',
  /** The XML's time is a day later than that of the headers. */
  'xml-time',
  /** Subject among the OriginalHeader values is not what was hashed. */
  'original-header',
  /** `bh=` in Hash is not that of the letter. */
  'hash-bh',
  /** A true signature over an inner element, wrapped into a forged document. */
  'wrapped-xml',
  /** A document type declaration with an entity before the root. */
  'doctype-xml',
] as const;

export type Lie = (typeof lieNames)[number];
export type Lies = ReadonlySet<Lie>;

export const honest: Lies = new Set();

/** Never addressed by anyone. */
export const stranger = 'fremde.person@buerger.de-mail.example';

/** Base64 of the same length that says something else. */
export function otherBase64(value: string): string {
  return (value.startsWith('A') ? 'B' : 'A') + value.slice(1);
}

/** What of a confirmation's statement can be twisted. */
interface Statement {
  text: string;
  time: Date;
  hash: string;
  metadata: readonly Field[];
}

/** The statement as the XML gets it; PDF and headers stay as they are. */
export function twistStatement<T extends Readonly<Statement>>(content: T, lies: Lies): T {
  const twisted: Partial<Statement> = {};
  if (lies.has('xml-time')) twisted.time = new Date(content.time.getTime() + 86_400_000);
  if (lies.has('hash-bh')) {
    twisted.hash = content.hash.replace(/(\sbh=)([^;]*)/, (_, tag, value) => tag + otherBase64(value));
  }
  if (lies.has('original-header')) {
    twisted.metadata = content.metadata.map((field) =>
      field.name.toLowerCase() === 'subject' ? { ...field, raw: 'Subject: Etwas ganz anderes' } : field,
    );
  }
  if (lies.has('xml-recipient')) {
    twisted.text = content.text.replace(/^Empfänger: .*$/m, `Empfänger: ${stranger}`);
  }
  return { ...content, ...twisted };
}

/** After signing; exclusive canonical XML knows no document type, so the signature still fits. */
export function twistXml(xml: string, lies: Lies): string {
  if (!lies.has('doctype-xml')) return xml;
  return xml.replace('?>\n', '?>\n<!DOCTYPE Acknowledge-Message [<!ENTITY wer "niemand">]>\n');
}

/** What was said before; in memory only. */
export interface Memory<Confirmation> {
  /** Notes the letter; the one before it of the same sender, if there was one. */
  previousLetter(original: readonly Field[]): readonly Field[] | undefined;
  /** Notes the confirmation; the one of that kind before it, if there was one. */
  previousConfirmation(kind: string, now: Confirmation): Confirmation | undefined;
}

export function openMemory<Confirmation>(): Memory<Confirmation> {
  const letters = new Map<string, (readonly Field[])[]>();
  const confirmations = new Map<string, Confirmation>();
  return {
    previousLetter(original) {
      const sender = headerValue(original, 'X-de-mail-sender') ?? '';
      const id = (fields: readonly Field[]) => headerValue(fields, 'X-de-mail-message-id');
      const known = letters.get(sender) ?? [];
      const at = known.findIndex((letter) => id(letter) === id(original));
      if (at >= 0) return known[at - 1];
      letters.set(sender, [...known.slice(-9), original]);
      return known.at(-1);
    },
    previousConfirmation(kind, now) {
      const before = confirmations.get(kind);
      confirmations.set(kind, now);
      return before;
    },
  };
}
