/** The signed XML of a confirmation, and whether it says what the signed header says (TR-01201 IO 3.5). */
import { type Confirmation, confirmationType, readConfirmation } from '../demail/confirmation.ts';
import { readMetadata } from '../demail/metadata.ts';
import { addressesOf, parseRecipientList } from '../demail/recipients.ts';
import type { ConfirmationType } from '../evidence/entry.ts';
import { normaliseAddress, parseAddressList } from '../mime/address.ts';
import type { HeaderField } from '../mime/header.ts';
import { decodeWords } from '../mime/words.ts';
import { check } from './check.ts';
import type { CheckResult } from './types.ts';
import { type Acknowledgement, type Metadate, readAcknowledgement } from './xml-acknowledgement.ts';
import { agreesWithDate, type Outcome } from './xml-time.ts';
import { type VerifiedXml, verifyEnveloped } from './xmldsig.ts';

export interface ConfirmationXmlInput {
  /** Decoded content of the XML part. */
  readonly xml: Buffer;
  /** The fields of the confirmation's own header that its integrity header covers, topmost of each name. */
  readonly covered: readonly HeaderField[];
}

export interface ConfirmationXmlReport {
  readonly checks: readonly CheckResult[];
  /** Null where the signature does not verify: then nothing of the XML may be used. */
  readonly signed: VerifiedXml | null;
  /** What the verified XML says; null where it does not follow the schema. */
  readonly acknowledgement: Acknowledgement | null;
  /** The same with type and recipients, which stand in the covered header alone. */
  readonly confirmation: Confirmation | null;
}

/**
 * Verifies the XML of a confirmation: signature, schema, and each thing that header and XML both say. Every
 * difference is a failed check. Whether the certificate is trusted is for the caller to find out: `signed`
 * has what that takes. Never throws.
 */
export function verifyConfirmationXml({ xml, covered }: ConfirmationXmlInput): ConfirmationXmlReport {
  const checks: CheckResult[] = [];
  const signed = verifyEnveloped(xml);
  if (!signed.ok) {
    checks.push(check('xml-signature', 'failed', signed.reason, `xml-signature-${signed.problem}`));
    return { checks, signed: null, acknowledgement: null, confirmation: null };
  }
  checks.push(
    check('xml-signature', 'passed', `the XML is what its certificate's key signed (${signed.method.uri})`),
  );
  const read = readAcknowledgement(signed.root);
  if (!read.ok || !signed.atEnd) {
    const reason = read.ok ? 'the signature is not the last element' : read.reason;
    checks.push(check('xml-schema', 'failed', reason));
    return { checks, signed, acknowledgement: null, confirmation: null };
  }
  checks.push(check('xml-schema', 'passed', 'the XML follows the schema of the norm'));
  const acknowledgement = read.message;
  const confirmation = readConfirmation(covered, signed.octets);
  if (!confirmation.ok) {
    checks.push(check('xml-type', 'failed', confirmation.reason));
    return { checks, signed, acknowledgement, confirmation: null };
  }
  checks.push(...compare(acknowledgement, confirmation.confirmation, covered));
  return { checks, signed, acknowledgement, confirmation: confirmation.confirmation };
}

/** What the XML and the covered header both say, side by side. */
function compare(
  xml: Acknowledgement,
  confirmation: Confirmation,
  covered: readonly HeaderField[],
): CheckResult[] {
  const table: readonly [string, Outcome][] = [
    ['xml-type', compareType(xml, covered)],
    ['xml-sender', compareSender(xml, covered)],
    ['xml-recipient', compareRecipient(xml, confirmation)],
    ['xml-addressee', compareAddressee(xml, covered)],
    ['xml-private-id', comparePrivateId(xml, covered)],
    ['xml-time', agreesWithDate(xml.time, readMetadata(covered).date)],
    ['xml-delivery-time', compareDeliveryTime(xml, confirmation.type)],
    ['xml-hash', compareHash(xml)],
    ['xml-metadata', compareMetadata(xml)],
  ];
  return table.map(([name, [result, reason]]) => check(name, result, reason));
}

/** TR-01201 FU: one system address per kind. */
const systemAddresses: Record<string, ConfirmationType> = {
  versandbestaetigung: 'dispatch',
  eingangsbestaetigung: 'receipt',
  abholbestaetigung: 'retrieval',
};

function compareType(xml: Acknowledgement, covered: readonly HeaderField[]): Outcome {
  const type = confirmationType(covered);
  const local = xml.sender.trim().toLowerCase().split('@')[0]!;
  const meant = systemAddresses[local];
  if (meant === undefined) {
    return ['failed', `${JSON.stringify(xml.sender.slice(0, 253))} is no system address of a confirmation`];
  }
  return meant === type
    ? ['passed', `header and system address both say ${type}`]
    : ['failed', `the header says ${type}, the system address of the XML ${meant}`];
}

function compareSender(xml: Acknowledgement, covered: readonly HeaderField[]): Outcome {
  const { sender, from } = readMetadata(covered);
  const inXml = normaliseAddress(xml.sender.trim());
  const fromAddresses = parseAddressList(from ?? '').map(({ address }) => address.toLowerCase());
  const said = [...(sender === null ? [] : [sender]), ...fromAddresses];
  if (inXml === null) return ['failed', 'Sender of the XML is no address'];
  if (said.length === 0) return ['failed', 'the covered header names no sender'];
  const other = said.find((address) => address !== inXml);
  return other === undefined
    ? ['passed', `header and XML both name ${inXml}`]
    : ['failed', `the XML names ${inXml}, the header ${other}`];
}

/** The recipient stands in the covered header alone; it must be one of the original's. */
function compareRecipient(xml: Acknowledgement, confirmation: Confirmation): Outcome {
  const chosen = originalValue(xml.metadata, 'x-de-mail-chosen-recipient');
  if (chosen === null) return ['failed', 'the XML does not say whom the original was for'];
  const originals = addressesOf(parseRecipientList(chosen));
  if (confirmation.recipients.length === 0) {
    return originals.length === 0
      ? ['failed', 'the original had no recipient']
      : // No contradiction, but no statement either: what it counts for is decided when it is bound to a letter.
        ['passed', `the header does not say which of ${originals.length} recipients is meant`];
  }
  const stranger = confirmation.recipients.find((address) => !originals.includes(address));
  if (stranger !== undefined) return ['failed', `${stranger} was no recipient of the original`];
  const inProse = recipientsInText(xml.text);
  const other = inProse.find(
    (address) => !(confirmation.type === 'dispatch' ? originals : confirmation.recipients).includes(address),
  );
  return other === undefined
    ? ['passed', 'the original was for whom the confirmation names']
    : ['failed', `its text names ${other}, the header ${confirmation.recipients.join(', ').slice(0, 300)}`];
}

/**
 * Addresses in the line `Empfänger:` of the text that the norm proposes (IO 3.5.1); providers may word it otherwise,
 * and then it says nothing. The first line alone: the subject of the original follows further below.
 */
function recipientsInText(text: string): string[] {
  const line = /^[ \t]*Empf(?:ä|ae)nger:(.{0,10000})$/imu.exec(text.slice(0, 100_000));
  return parseAddressList(line?.[1]?.replaceAll(';', ',') ?? '').flatMap(
    ({ address }) => normaliseAddress(address) ?? [],
  );
}

/** It goes to the original's sender, or to the address that the sender wanted answers at (FU 3.3). */
function compareAddressee(xml: Acknowledgement, covered: readonly HeaderField[]): Outcome {
  const to = readMetadata(covered).chosenRecipients?.to.map(({ address }) => address) ?? [];
  const replyTo = parseAddressList(originalValue(xml.metadata, 'reply-to') ?? '');
  const entitled = [
    originalValue(xml.metadata, 'x-de-mail-sender') ?? '',
    ...replyTo.map(({ address }) => address),
    ...parseAddressList(originalValue(xml.metadata, 'from') ?? '').map(({ address }) => address),
  ].map((address) => address.trim().toLowerCase());
  if (to.length === 0) return ['failed', 'the covered header names no addressee'];
  const stranger = to.find((address) => !entitled.includes(address));
  return stranger === undefined
    ? ['passed', 'it is addressed to the sender of the original']
    : ['failed', `it is addressed to ${stranger}, who did not send the original`];
}

function comparePrivateId(xml: Acknowledgement, covered: readonly HeaderField[]): Outcome {
  const inHeader = readMetadata(covered).privateId;
  const inXml =
    originalValue(xml.metadata, 'x-de-mail-private-id') ?? originalValue(xml.metadata, 'x-de-mail-privat-id');
  if (inHeader === null) return ['passed', 'the header repeats no private-id'];
  return inHeader === inXml?.trim()
    ? ['passed', 'header and XML have the same private-id']
    : ['failed', 'header and XML have different private-ids'];
}

/** Deposit and login: both for a retrieval confirmation, the first for no other (DMG § 5(9)). */
function compareDeliveryTime({ time, deliveryTime }: Acknowledgement, type: ConfirmationType): Outcome {
  if (type !== 'retrieval') {
    return deliveryTime === null
      ? ['passed', 'no time of deposit, as it should be']
      : ['failed', `a ${type} confirmation has DeliveryTime, which only a retrieval confirmation may have`];
  }
  if (deliveryTime === null) return ['failed', 'a retrieval confirmation without DeliveryTime'];
  if (deliveryTime.utc === null || time.utc === null) {
    return ['undecided', 'DeliveryTime or Time has no time zone'];
  }
  return Date.parse(deliveryTime.utc) <= Date.parse(time.utc)
    ? ['passed', `deposited ${deliveryTime.text}, login ${time.text}`]
    : ['failed', `deposited ${deliveryTime.text}, after the login ${time.text}`];
}

function compareHash(xml: Acknowledgement): Outcome {
  const integrity = originalValue(xml.metadata, 'x-de-mail-integrity');
  if (integrity === null) return ['passed', 'Hash stands in no metadate besides'];
  return unspaced(integrity) === unspaced(xml.hash)
    ? ['passed', "Hash is the original's integrity header"]
    : ['failed', "Hash differs from the original's integrity header among the metadata"];
}

/** Name, Value and OriginalHeader of each metadate must be one header field. */
function compareMetadata({ metadata }: Acknowledgement): Outcome {
  for (const { name, value, originalHeader } of metadata) {
    const colon = originalHeader.indexOf(':');
    const shownName = JSON.stringify(name.trim().slice(0, 80));
    if (colon === -1 || originalHeader.slice(0, colon).trim().toLowerCase() !== name.trim().toLowerCase()) {
      return ['failed', `OriginalHeader of ${shownName} is another header`];
    }
    const original = originalHeader.slice(colon + 1);
    if (
      unspaced(original) !== unspaced(value) &&
      unspaced(decodeWords(original)) !== unspaced(decodeWords(value))
    ) {
      return ['failed', `Value of ${shownName} is not what its OriginalHeader says`];
    }
  }
  return ['passed', `${metadata.length} metadata agree with the original's headers`];
}

/** The first of that lower-case name: where a header occurs twice, the topmost counts (IO 3.1.1). */
function originalValue(metadata: readonly Metadate[], lower: string): string | null {
  return metadata.find(({ name }) => name.trim().toLowerCase() === lower)?.value ?? null;
}

/** Providers unfold in more than one way. */
function unspaced(text: string): string {
  return text.replace(/[\t\r\n ]+/g, '');
}
