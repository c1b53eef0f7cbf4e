/** XML from outside: bounded, without DOCTYPE, and never an exception. */
import { isUtf8 } from 'node:buffer';
import { DOMParser, type Document, type Element, type Node, ParseError } from '@xmldom/xmldom';

/** Largest document that is read; a confirmation has some 20 KiB. */
const MAX_XML_BYTES = 1024 * 1024;
/** Most markup that is read: bounds the tree, whatever the size. */
const MAX_TAGS = 10_000;

export type XmlResult =
  | { readonly ok: true; readonly root: Element }
  | { readonly ok: false; readonly reason: string };

/** Parses UTF-8 XML. Refused, with a reason: DOCTYPE (entities), other encodings, whatever is too large. */
export function parseXml(bytes: Buffer): XmlResult {
  if (bytes.length > MAX_XML_BYTES)
    return refuse(`XML has ${bytes.length} bytes, more than ${MAX_XML_BYTES}`);
  if (!isUtf8(bytes)) return refuse('XML is not UTF-8');
  const text = bytes.toString('utf8').replace(/^\ufeff/, '');
  const declared = /^<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.-]{1,40})["']/.exec(text)?.[1];
  if (declared !== undefined && !/^(utf-8|us-ascii)$/i.test(declared))
    return refuse(`XML encoding ${declared}`);
  if (/<!doctype/i.test(text)) return refuse('XML has a DOCTYPE');
  if (countTags(text) > MAX_TAGS) return refuse(`XML has more than ${MAX_TAGS} tags`);
  try {
    const parser = new DOMParser({
      onError(level, message) {
        if (level !== 'warning') throw new ParseError(message);
      },
    });
    const document: Document = parser.parseFromString(text, 'text/xml');
    const root = document.documentElement;
    return root === null ? refuse('XML has no element') : { ok: true, root };
  } catch (error) {
    return refuse(`XML cannot be read: ${String((error as Error).message).slice(0, 200)}`);
  }
}

/** Child elements, of the given namespace and local name where they are given. */
export function childElements(parent: Element, namespace?: string, name?: string): Element[] {
  const found: Element[] = [];
  for (let node: Node | null = parent.firstChild; node !== null; node = node.nextSibling) {
    if (node.nodeType !== node.ELEMENT_NODE) continue;
    const element = node as Element;
    if (namespace !== undefined && element.namespaceURI !== namespace) continue;
    if (name === undefined || element.localName === name) found.push(element);
  }
  return found;
}

function refuse(reason: string): XmlResult {
  return { ok: false, reason };
}

function countTags(text: string): number {
  let count = 0;
  for (let at = text.indexOf('<'); at !== -1 && count <= MAX_TAGS; at = text.indexOf('<', at + 1)) count += 1;
  return count;
}
