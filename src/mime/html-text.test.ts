import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createHtmlText } from './html-text.ts';

function textOf(...pieces: readonly string[]): string {
  const html = createHtmlText();
  return pieces.map((piece) => html.write(piece)).join('') + html.end();
}

describe('the text of HTML', () => {
  it.each([
    ['Be<b>schei</b>d', 'Bescheid'],
    ['eins<br>zwei<p class="a">drei', 'eins zwei drei'],
    ['Gr&uuml;&szlig;e &amp; mehr &lt;&#228;&#xE4;&euro;', 'Grüße & mehr <ää€'],
    ['&nix; & &#99999999; &#0;', '&nix; & &#99999999; \ufffd'],
    ['a<script>if (a < b) "</p>"</SCRIPT >b<style>p{}</style>c', 'a b c'],
    ['a<!-- <b> -- > -->b', 'ab'],
    ['<!DOCTYPE html><?xml ?>a', '  a'],
    ['<a title="x > y" href=\'>\'>z</a>', 'z'],
    ["<p it's>z", ' z'],
    ['1 < 2 <3', '1 < 2 <3'],
    ['open <b', 'open '],
    ['open <!-- never', 'open '],
    ['open <script> never', 'open  '],
    ['', ''],
  ])('%j is %j', (html, text) => expect(textOf(html)).toBe(text));

  it('is the same in pieces as whole', () => {
    const token = fc.constantFrom(
      '<',
      '>',
      '</',
      '<b',
      '<!--',
      '-->',
      '<script',
      '</script',
      ' ',
      '"',
      "'",
      '=',
      '&',
      'uuml',
      ';',
      '#38',
      'x',
      '/',
    );
    fc.assert(
      fc.property(
        fc.array(token, { maxLength: 30 }),
        fc.array(fc.nat(60), { maxLength: 4 }),
        (tokens, cuts) => {
          const html = tokens.join('');
          const at = [0, ...cuts.map((cut) => Math.min(cut, html.length)).sort((a, b) => a - b), html.length];
          const pieces = at.slice(1).map((end, i) => html.slice(at[i], end));
          expect(textOf(...pieces)).toBe(textOf(html));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('takes time in proportion to hostile input', () => {
    for (const unit of ['<', '<!--', '&', '<a b="', '</script', '<script>', '&#', '<b <'])
      expect(textOf(unit.repeat(200_000)).length).toBeLessThan(2_000_000);
  });
});
