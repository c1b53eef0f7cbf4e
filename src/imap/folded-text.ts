/**
 * Text as SEARCH compares it: upper and lower case are one, so are compatibility forms (NFKC, so composed and
 * decomposed letters too), ß and ss, and ä, ö, ü with ae, oe, ue, as German registers sort them (DIN 5007-2): who
 * looks for Mueller finds Müller. Invisible characters are left out; whatever parts words is one blank.
 */

const letters: Readonly<Record<string, string>> = { ä: 'ae', ö: 'oe', ü: 'ue', ß: 'ss', ς: 'σ' };
const invisible = /[\u00ad\u200b-\u200f\u2060\ufeff]/g;
const blanks = /[\s\p{Cc}]+/gu;
const plain = /^[\n\r\t -~]*$/;

/** Never contains a line end or another control character. */
export function fold(text: string): string {
  if (plain.test(text)) return text.toLowerCase().replace(/[\n\r\t ]+/g, ' ');
  return text
    .replace(invisible, '')
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[äöüßς]/g, (letter) => letters[letter]!)
    .replace(blanks, ' ');
}

/** Longest run without an ASCII character that is kept whole: a letter with all its marks is shorter. */
const LONGEST_RUN = 1024;

/** Folds text that comes in pieces as if it came in one. */
export function createFold(): { write(piece: string): string; end(): string } {
  let held = '';
  let blank = false;
  const give = (text: string): string => {
    const folded = fold(text);
    const given = blank && folded.startsWith(' ') ? folded.slice(1) : folded;
    if (folded !== '') blank = folded.endsWith(' ');
    return given;
  };
  return {
    write(piece) {
      const text = held + piece;
      // What follows an ASCII character may still become one letter with it.
      let cut = text.length - 1;
      while (cut > 0 && text.charCodeAt(cut) > 127) cut--;
      if (text.length - cut > LONGEST_RUN) cut = text.length;
      held = text.slice(Math.max(cut, 0));
      return give(text.slice(0, Math.max(cut, 0)));
    },
    end() {
      const rest = give(held);
      held = '';
      return rest;
    },
  };
}
