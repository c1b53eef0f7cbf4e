/** LIST arguments, plain (RFC 3501 6.3.8) and extended (RFC 5258, RFC 5819, RFC 6154). */
import { type ListRequest, type StatusItem, statusItems } from './command.ts';
import * as scan from './scanner.ts';
import { BadSyntax, type Scanner } from './scanner.ts';

const selections = ['SUBSCRIBED', 'REMOTE', 'RECURSIVEMATCH', 'SPECIAL-USE'] as const;
const returnables = ['SUBSCRIBED', 'CHILDREN', 'SPECIAL-USE'] as const;

export function listRequest(s: Scanner): ListRequest {
  const select: (typeof selections)[number][] = [];
  let extended = false;
  if (scan.peek(s) === '(') {
    extended = true;
    scan.list(s, () => select.push(known(scan.word(s), selections)), 20);
    if (select.includes('RECURSIVEMATCH') && !select.includes('SUBSCRIBED'))
      throw new BadSyntax('RECURSIVEMATCH needs SUBSCRIBED');
    scan.space(s);
  }
  const reference = scan.mailbox(s);
  scan.space(s);
  const patterns: string[] = [];
  if (scan.peek(s) === '(') {
    extended = true;
    scan.list(s, () => patterns.push(scan.pattern(s)), 100);
    if (patterns.length === 0) throw new BadSyntax('expected a mailbox pattern');
  } else patterns.push(scan.pattern(s));
  const returns: (typeof returnables)[number][] = [];
  let status: StatusItem[] | null = null;
  if (scan.take(s, ' ') && !scan.atEnd(s)) {
    extended = true;
    if (scan.word(s) !== 'RETURN') throw new BadSyntax('expected RETURN');
    scan.space(s);
    scan.list(
      s,
      () => {
        const option = scan.word(s);
        if (option === 'STATUS') {
          scan.space(s);
          status = statusList(s);
        } else returns.push(known(option, returnables));
      },
      20,
    );
  }
  return { reference, patterns, extended, select, returns, status };
}

/** STATUS items in parentheses, also inside LIST … RETURN (RFC 5819). */
export function statusList(s: Scanner): StatusItem[] {
  const items: StatusItem[] = [];
  scan.list(s, () => {
    const name = scan.word(s);
    const item = statusItems.find((known) => known === name);
    if (!item) throw new BadSyntax(`STATUS item ${name} is not known`);
    if (!items.includes(item)) items.push(item);
  });
  if (items.length === 0) throw new BadSyntax('STATUS needs an item');
  return items;
}

function known<T extends string>(word: string, options: readonly T[]): T {
  const found = options.find((option) => option === word);
  if (!found) throw new BadSyntax(`LIST option ${word.slice(0, 40)} is not known`);
  return found;
}
