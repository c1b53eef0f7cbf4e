/** Addresses and the recipient lists of TR-01201 IO 3.1.8, in the simulator's own reading. */

export interface RecipientLists {
  readonly to: readonly string[];
  readonly cc: readonly string[];
  readonly bcc: readonly string[];
}

const addrSpec = /^[^\s@"<>(),:;\\[\]]{1,64}@[a-z0-9-]+(?:\.[a-z0-9-]+)+$/;

/** Lower-cased addr-spec out of `addr`, `<addr>` or `Name <addr>`; undefined if it is none. */
export function addressOf(text: string): string | undefined {
  const inAngles = /<([^<>]*)>\s*$/.exec(text)?.[1];
  const address = (inAngles ?? text).trim().toLowerCase();
  return address.length <= 253 && addrSpec.test(address) ? address : undefined;
}

/** Splits outside of quoted strings and angle brackets. */
function splitOutsideQuotes(text: string, separators: string): string[] {
  const parts: string[] = [];
  let part = '';
  let quoted = false;
  for (let index = 0; index < text.length; index++) {
    const character = text[index]!;
    if (quoted && character === '\\') {
      part += character + (text[++index] ?? '');
    } else if (character === '"') {
      quoted = !quoted;
      part += character;
    } else if (!quoted && separators.includes(character)) {
      parts.push(part);
      part = '';
    } else {
      part += character;
    }
  }
  return [...parts, part];
}

/**
 * `to=a@x;b@y;cc=c@z`: each of to, cc, bcc at most once, in any case, addresses separated by `;`.
 * Returns a sentence instead where the value breaks the rule.
 */
export function parseRecipients(value: string): RecipientLists | string {
  const lists = { to: [] as string[], cc: [] as string[], bcc: [] as string[] };
  const seen = new Set<string>();
  let current: 'to' | 'cc' | 'bcc' | undefined;
  for (const part of splitOutsideQuotes(value, ';')) {
    let rest = part.trim();
    const key = /^(to|cc|bcc)\s*=/i.exec(rest);
    if (key) {
      current = key[1]!.toLowerCase() as 'to' | 'cc' | 'bcc';
      if (seen.has(current)) return `${current} occurs twice`;
      seen.add(current);
      rest = rest.slice(key[0].length).trim();
    }
    if (current === undefined) return 'it must begin with to=, cc= or bcc=';
    if (rest === '') return `${current} has an empty address`;
    const address = addressOf(rest);
    if (address === undefined) return `${rest.slice(0, 80)} is no address`;
    lists[current].push(address);
  }
  return lists;
}

export function printRecipients(lists: RecipientLists): string {
  return (['to', 'cc', 'bcc'] as const)
    .filter((key) => lists[key].length > 0)
    .map((key) => `${key}=${lists[key].join(';')}`)
    .join('; ');
}

/** RFC 5322 3.2.2: comments nest, and hold no address. */
function withoutComments(text: string): string {
  let depth = 0;
  return text.replace(/\\.|"(?:[^"\\]|\\.)*"|[()]|[^\\"()]+|["\\]/gs, (token) => {
    if (token === '(') depth++;
    else if (token === ')' && depth > 0) depth--;
    else if (depth === 0) return token;
    return ' ';
  });
}

/** The addresses of a From or Reply-To field, in order; undefined where one cannot be read. */
export function mailboxesOf(value: string): string[] | undefined {
  const addresses = splitOutsideQuotes(withoutComments(value), ',').map(addressOf);
  return addresses.includes(undefined) ? undefined : (addresses as string[]);
}

/** Does a pattern such as `*.de-mail.example` or `stadt.de-mail.example` hold for the address's domain? */
export function domainMatches(address: string, patterns: readonly string[]): boolean {
  const domain = address.slice(address.lastIndexOf('@') + 1).toLowerCase();
  return patterns.some((pattern) =>
    pattern.startsWith('*.') ? domain.endsWith(pattern.slice(1)) : domain === pattern,
  );
}
