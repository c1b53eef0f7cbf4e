/**
 * The text of an HTML part, for searching: tags, comments, scripts and styles are left out, character references
 * resolved. One linear pass over pieces, a few bytes held between them; total on any input.
 */

/** Tags that stand inside words. All others part them. */
const inline = new Set(
  [
    'a',
    'abbr',
    'acronym',
    'b',
    'bdi',
    'bdo',
    'big',
    'cite',
    'code',
    'del',
    'dfn',
    'em',
    'font',
    'i',
    'ins',
  ].concat([
    'kbd',
    'label',
    'mark',
    'q',
    's',
    'samp',
    'small',
    'span',
    'strike',
    'strong',
    'sub',
    'sup',
    'tt',
    'u',
    'var',
    'wbr',
  ]),
);
/** Elements whose content is no text. */
const hidden = new Set(['script', 'style']);

/** Names of the characters from U+00A0 on, in order. */
const latin = (
  'nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 acute micro para ' +
  'middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute ' +
  'Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute ' +
  'THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde ' +
  'ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml'
).split(' ');
const named = new Map<string, string>([
  ...latin.map((name, at) => [name, String.fromCharCode(0xa0 + at)] as const),
  ...Object.entries({ amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", euro: '€', hellip: '…', bull: '•' }),
  ...Object.entries({ ndash: '–', mdash: '—', lsquo: '‘', rsquo: '’', sbquo: '‚', ldquo: '“', rdquo: '”' }),
  ...Object.entries({
    bdquo: '„',
    zwnj: '\u200c',
    zwj: '\u200d',
    ensp: ' ',
    emsp: ' ',
    thinsp: ' ',
    trade: '™',
  }),
]);

const reference =
  /&(?:#(\d{1,7})(?!\d)|#[xX]([0-9A-Fa-f]{1,6})(?![0-9A-Fa-f])|([A-Za-z][A-Za-z0-9]{1,7}));?/g;

function resolve(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(reference, (whole, decimal?: string, hex?: string, name?: string) => {
    if (name !== undefined) return named.get(name) ?? whole;
    const code = decimal === undefined ? Number.parseInt(hex!, 16) : Number(decimal);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
  });
}

/** Longest name of a tag that is told apart; longest character reference. */
const LONGEST = 40;

export function createHtmlText(): { write(piece: string): string; end(): string } {
  let held = '';
  /** What is being passed over: a tag, up to `>`; a comment; the content of a hidden element. */
  let inside: 'text' | 'tag' | 'comment' | 'hidden' = 'text';
  let element = '';
  let quote = '';
  let before = '';
  /** What is looked for may be cut by the end of the piece. */
  let stuck = false;

  function read(html: string, last: boolean): string {
    let text = '';
    let at = 0;
    while (at < html.length) {
      if (inside === 'text') {
        const open = html.indexOf('<', at);
        const end = open < 0 ? html.length : open;
        const safe = open < 0 && !last ? cutReference(html, at) : end;
        text += resolve(html.slice(at, safe));
        at = safe;
        if (open < 0) break;
        if (html.length - at < LONGEST && !last && !html.includes('>', at)) break;
        const [used, given] = openTag(html, at);
        at += used;
        text += given;
      } else if (inside === 'tag') at = passTag(html, at);
      else if (inside === 'comment') at = passUntil(html, at, '-->', last);
      else at = passUntil(html, at, `</${element}`, last);
      if (stuck) break;
    }
    stuck = false;
    held = html.slice(at);
    return text;
  }

  function openTag(html: string, at: number): [number, string] {
    if (html.startsWith('<!--', at)) {
      inside = 'comment';
      return [4, ''];
    }
    const name = /^<\/?([A-Za-z][^\s/>]{0,30})/.exec(html.slice(at, at + LONGEST))?.[1]?.toLowerCase();
    if (name === undefined && !/^<[!?/]/.test(html.slice(at, at + 2))) return [1, '<'];
    inside = 'tag';
    quote = '';
    before = '';
    element = name !== undefined && html[at + 1] !== '/' && hidden.has(name) ? name : '';
    return [1, name !== undefined && inline.has(name) ? '' : ' '];
  }

  /** Up to after the `>`; one in a quoted value does not count. */
  function passTag(html: string, from: number): number {
    for (let at = from; at < html.length; at++) {
      const char = html[at]!;
      if (quote !== '') {
        if (char === quote) quote = '';
      } else if (char === '>') {
        inside = element === '' ? 'text' : 'hidden';
        return at + 1;
      } else if ((char === '"' || char === "'") && before === '=') quote = char;
      if (char > ' ') before = char;
    }
    return html.length;
  }

  function passUntil(html: string, from: number, mark: string, last: boolean): number {
    const found = indexOfCaseless(html, mark, from);
    if (found >= 0) {
      // After `</script` the tag goes on.
      inside = inside === 'hidden' ? 'tag' : 'text';
      element = '';
      return found + mark.length;
    }
    if (last) return html.length;
    stuck = true;
    return Math.max(from, html.length - mark.length + 1);
  }

  return {
    write: (piece) => read(held + piece, false),
    end: () => read(held, true),
  };
}

/** The mark begins with `<` or `-`, which have no case. */
function indexOfCaseless(html: string, mark: string, from: number): number {
  for (let at = html.indexOf(mark[0]!, from); at >= 0; at = html.indexOf(mark[0]!, at + 1))
    if (html.slice(at, at + mark.length).toLowerCase() === mark) return at;
  return -1;
}

/** Where a character reference begins that the end of a piece may have cut; else the end. */
function cutReference(html: string, from: number): number {
  const amp = html.lastIndexOf('&');
  return amp >= from && html.length - amp < LONGEST && !html.includes(';', amp) ? amp : html.length;
}
