/** XML that may carry a signature: parsed within bounds, and looked through before anything trusts it. */
import type { Element, Node } from '@xmldom/xmldom';
import { parseXml } from '../demail/xml.ts';

/** Deepest element; a SAML assertion with a full identity card has 9. */
const MAX_DEPTH = 32;
/** Canonical forms sort and look up attributes: a thousand on one element would cost seconds. */
const MAX_ATTRIBUTES_PER_ELEMENT = 32;
const MAX_ATTRIBUTES = 2_000;

export type DocumentResult =
  | { readonly ok: true; readonly root: Element; readonly text: string }
  | { readonly ok: false; readonly reason: string };

/**
 * Parses XML that is to be verified. UTF-8 only. Refused, each with a reason in words: DOCTYPE, entities,
 * other encodings, XML 1.1, processing instructions, characters that XML 1.0 forbids, and more depth,
 * attributes or bytes than any confirmation or assertion has. Never throws.
 *
 * `text` is what was parsed, without byte order mark.
 */
export function parseSigned(bytes: Buffer): DocumentResult {
  try {
    return parse(bytes);
  } catch (error) {
    return refuse(`XML cannot be read: ${String((error as Error).message).slice(0, 200)}`);
  }
}

function parse(bytes: Buffer): DocumentResult {
  // UTF-16 without a byte order mark is mostly ASCII with zeros, so valid UTF-8 to a careless reader.
  if (bytes.includes(0)) return refuse('XML has zero bytes: it is no UTF-8');
  const parsed = parseXml(bytes);
  if (!parsed.ok) return parsed;
  const text = bytes.toString('utf8').replace(/^\ufeff/, '');
  const version = /^<\?xml[^>]{0,200}?version\s*=\s*["']([^"']{0,20})["']/.exec(text)?.[1];
  if (version !== undefined && version !== '1.0') return refuse(`XML version ${version}`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly what XML 1.0 2.2 leaves out
  if (/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/.test(text)) return refuse('XML has forbidden characters');
  const problem = structureProblem(parsed.root);
  return problem === null ? { ok: true, root: parsed.root, text } : refuse(problem);
}

/** Every element of a tree in document order, without recursion: depth is the sender's choice. */
export function* elementsOf(root: Element): Generator<Element> {
  for (const { node } of walk(root)) {
    if (node.nodeType === node.ELEMENT_NODE) yield node as Element;
  }
}

/** Whether a comment stands anywhere below: text around it could be read in pieces. */
export function hasComment(root: Element): boolean {
  for (const { node } of walk(root)) {
    if (node.nodeType === node.COMMENT_NODE) return true;
  }
  return false;
}

function structureProblem(root: Element): string | null {
  let attributes = 0;
  for (const { node, depth } of walk(root)) {
    if (depth > MAX_DEPTH) return `XML is deeper than ${MAX_DEPTH} elements`;
    // xml-crypto would take the data of an instruction for text.
    if (node.nodeType === node.PROCESSING_INSTRUCTION_NODE) return 'XML has a processing instruction';
    if (node.nodeType === node.ENTITY_REFERENCE_NODE) return 'XML has an entity reference';
    if (node.nodeType !== node.ELEMENT_NODE) continue;
    const { length } = (node as Element).attributes;
    attributes += length;
    if (length > MAX_ATTRIBUTES_PER_ELEMENT) return `XML has an element with ${length} attributes`;
    if (attributes > MAX_ATTRIBUTES) return `XML has more than ${MAX_ATTRIBUTES} attributes`;
  }
  return null;
}

function* walk(root: Element): Generator<{ node: Node; depth: number }> {
  let node: Node | null = root;
  let depth = 1;
  while (node !== null) {
    yield { node, depth };
    if (node.firstChild !== null) {
      node = node.firstChild;
      depth += 1;
      continue;
    }
    while (node !== null && node !== root && node.nextSibling === null) {
      node = node.parentNode;
      depth -= 1;
    }
    node = node === null || node === root ? null : node.nextSibling;
  }
}

function refuse(reason: string): DocumentResult {
  return { ok: false, reason };
}
