/** YAML with the line of every node, so that an error can name the place an administrator must look at. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';

/** Keys and list positions from the top of the file. */
export type Path = readonly PropertyKey[];

/** Something is wrong at this place. */
export interface Finding {
  readonly path: Path;
  readonly message: string;
}

interface YamlError {
  readonly line: number;
  readonly message: string;
}

export interface LocatedYaml {
  /** The plain value; undefined where the text cannot be read at all. */
  readonly value: unknown;
  readonly errors: readonly YamlError[];
  /** Line of the node at this path; of its nearest existing parent where it is missing. From 1. */
  lineOf(path: Path): number;
}

/** A configuration is written by hand: more than this is no configuration. */
const MAX_BYTES = 4 * 1024 * 1024;
/** Expansions of YAML aliases; a handful saves typing, thousands are an attack. */
const MAX_ALIASES = 100;

/** Reads one YAML document. Total: what is wrong with the text comes back as `errors`. */
export function parseYaml(text: string): LocatedYaml {
  if (text.length > MAX_BYTES) {
    return broken(1, `the file is larger than ${MAX_BYTES / 1024 / 1024} MiB`);
  }
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false, strict: true });
  const lineAt = (offset: number): number => Math.max(1, counter.linePos(offset).line);
  const errors = [...document.errors, ...document.warnings].map((problem) => ({
    line: lineAt(problem.pos[0]),
    message: problem.message,
  }));
  if (errors.length > 0) {
    return { value: undefined, errors, lineOf: () => 1 };
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    return broken(1, error instanceof Error ? error.message : String(error));
  }

  function resolved(node: unknown): unknown {
    return isAlias(node) ? node.resolve(document) : node;
  }

  function lineOf(path: Path): number {
    let node = resolved(document.contents);
    let offset = startOf(node) ?? 0;
    for (const step of path) {
      let next: unknown;
      if (isMap(node)) {
        const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
        if (pair === undefined) break;
        offset = startOf(pair.key) ?? offset;
        next = pair.value;
      } else if (isSeq(node) && typeof step === 'number') {
        next = node.items[step];
        if (next === undefined) break;
        offset = startOf(next) ?? offset;
      } else {
        break;
      }
      node = resolved(next);
    }
    return lineAt(offset);
  }

  return { value, errors: [], lineOf };
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}

function broken(line: number, message: string): LocatedYaml {
  return { value: undefined, errors: [{ line, message }], lineOf: () => line };
}

/** `tenants[0].users[2].login` */
export function printPath(path: Path): string {
  let text = '';
  for (const step of path) {
    text += typeof step === 'number' ? `[${step}]` : text === '' ? String(step) : `.${String(step)}`;
  }
  return text === '' ? '(top)' : text;
}
