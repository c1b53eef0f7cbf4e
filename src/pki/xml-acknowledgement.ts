/** The XML of confirmations and notifications by the norm's schema: TR-01201 IO 3.5.3, strictly. */
import type { Element, Node } from '@xmldom/xmldom';
import { childElements } from '../demail/xml.ts';
import { shown } from './xml-algorithms.ts';
import { type DateTime, parseDateTime } from './xml-time.ts';

const NAMESPACE = 'urn:de-mail';
const XMLNS = 'http://www.w3.org/2000/xmlns/';
const XSI = 'http://www.w3.org/2001/XMLSchema-instance';
/** A message has some thirty metadata. */
const MAX_METADATA = 200;

/** One header of the original: table 24. */
export interface Metadate {
  readonly name: string;
  /** Unfolded. */
  readonly value: string;
  /** As received, folds kept: what was hashed. Line ends may be LF where they were CRLF. */
  readonly originalHeader: string;
}

/** `Acknowledge-Message`: table 23. */
export interface Acknowledgement {
  readonly sender: string;
  readonly metadata: readonly Metadate[];
  readonly subject: string;
  readonly text: string;
  /** The complete X-de-mail-integrity value of the original, folds kept. */
  readonly hash: string;
  readonly time: DateTime;
  /** Retrieval alone: when the message was deposited. */
  readonly deliveryTime: DateTime | null;
}

export type SchemaResult<T> =
  | { readonly ok: true; readonly message: T }
  | { readonly ok: false; readonly reason: string };

/** Reads an `Acknowledge-Message` whose signature has been taken out by the enveloped transform. */
export function readAcknowledgement(root: Element): SchemaResult<Acknowledgement> {
  return reading(() => {
    const children = sequence(root, 'Acknowledge-Message', [
      'Sender',
      'Metadata',
      'Subject',
      'Text',
      'Hash',
      'Time',
      'DeliveryTime?',
    ]);
    const [sender, metadata, subject, text, hash, time, deliveryTime] = children;
    return {
      sender: textOf(sender!),
      metadata: readMetadata(metadata!),
      subject: textOf(subject!),
      text: textOf(text!),
      hash: textOf(hash!),
      time: dateTimeOf(time!),
      deliveryTime: deliveryTime === null ? null : dateTimeOf(deliveryTime!),
    };
  });
}

function readMetadata(element: Element): Metadate[] {
  const children = elementContent(element);
  if (children.length === 0) throw new SchemaError('Metadata is empty');
  if (children.length > MAX_METADATA)
    throw new SchemaError(`Metadata has more than ${MAX_METADATA} elements`);
  return children.map((child) => {
    const [name, value, originalHeader] = sequence(child, 'Metadate', ['Name', 'Value', 'OriginalHeader']);
    return { name: textOf(name!), value: textOf(value!), originalHeader: textOf(originalHeader!) };
  });
}

class SchemaError extends Error {}

function reading<T>(read: () => T): SchemaResult<T> {
  try {
    return { ok: true, message: read() };
  } catch (error) {
    if (error instanceof SchemaError) return { ok: false, reason: error.message };
    throw error;
  }
}

/** The children of `element` by name, in this order; null where one that ends in `?` is missing. */
function sequence(element: Element, name: string, names: readonly string[]): (Element | null)[] {
  expectName(element, name);
  const children = elementContent(element);
  let at = 0;
  const found = names.map((entry) => {
    const wanted = entry.replace('?', '');
    const child = children[at];
    if (child !== undefined && child.namespaceURI === NAMESPACE && child.localName === wanted) {
      at += 1;
      return child;
    }
    if (entry.endsWith('?')) return null;
    const there = child === undefined ? 'nothing' : shown(child.tagName);
    throw new SchemaError(`${name} has ${there} where ${wanted} must stand`);
  });
  if (at < children.length) throw new SchemaError(`${name} has ${shown(children[at]!.tagName)} at its end`);
  return found;
}

function expectName(element: Element, name: string): void {
  if (element.namespaceURI !== NAMESPACE || element.localName !== name) {
    throw new SchemaError(`${shown(element.tagName)} is no ${name} of ${NAMESPACE}`);
  }
}

/** Child elements of an element that has no text and no attributes of its own. */
function elementContent(element: Element): Element[] {
  expectNoAttributes(element);
  for (let node: Node | null = element.firstChild; node !== null; node = node.nextSibling) {
    if (isText(node) && /[^\t\n\r ]/.test(node.nodeValue ?? '')) {
      throw new SchemaError(`${shown(element.tagName)} has text between its elements`);
    }
  }
  return childElements(element);
}

/** xs:string: text and nothing else. */
function textOf(element: Element): string {
  expectNoAttributes(element);
  let text = '';
  for (let node: Node | null = element.firstChild; node !== null; node = node.nextSibling) {
    if (!isText(node)) throw new SchemaError(`${shown(element.tagName)} has more than text`);
    text += node.nodeValue ?? '';
  }
  return text;
}

function dateTimeOf(element: Element): DateTime {
  const time = parseDateTime(textOf(element));
  if (time === null) throw new SchemaError(`${shown(element.tagName)} is no xs:dateTime`);
  return time;
}

function isText(node: Node): boolean {
  return node.nodeType === node.TEXT_NODE || node.nodeType === node.CDATA_SECTION_NODE;
}

function expectNoAttributes(element: Element): void {
  for (let i = 0; i < element.attributes.length; i += 1) {
    const { namespaceURI, localName, name } = element.attributes.item(i)!;
    // XML Schema part 1, 2.6.3 allows a hint at the schema anywhere.
    const permitted = namespaceURI === XMLNS || (namespaceURI === XSI && localName === 'schemaLocation');
    if (!permitted) throw new SchemaError(`${shown(element.tagName)} has the attribute ${shown(name)}`);
  }
}
