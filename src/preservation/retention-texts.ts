/** What operators are told of letters that are to be erased: names and dates, nothing of what the letters say. */
import type { TenantConfig } from '../config/schema.ts';
import type { DueLetter } from './retention-review.ts';

export type RetentionText = Readonly<Record<'de' | 'en', string>>;

/** Letters named in one mail; the others are counted, and listed by the command. */
const NAMED = 100;

export function announcement(
  tenant: Pick<TenantConfig, 'id' | 'timeZone'>,
  letters: readonly DueLetter[],
  now: number,
): RetentionText {
  const classes = [...Map.groupBy(letters, (due) => due.class)].map(([name, list]) => ({
    name,
    letters: list.toSorted((a, b) => a.until - b.until || a.letter - b.letter),
  }));
  return { de: inWords('de'), en: inWords('en') };

  function inWords(language: 'de' | 'en'): string {
    const words = phrases[language];
    const day = new Intl.DateTimeFormat(language === 'de' ? 'de-DE' : 'en-GB', {
      timeZone: tenant.timeZone,
      dateStyle: 'long',
    });
    const lines = [words.intro(letters.length), ''];
    for (const { name, letters: list } of classes) {
      lines.push(words.class(name.name, name.legalBasis, list.length, name.copies));
      // Announced only now: the time of review is theirs all the same.
      for (const { letter, until } of list.slice(0, NAMED))
        lines.push(`  ${tenant.id}/${letter}  ${day.format(Math.max(until, now + name.reviewBefore))}`);
      if (list.length > NAMED) lines.push(words.more(list.length - NAMED));
    }
    lines.push('', words.end(tenant.id));
    return lines.join('\n');
  }
}

const phrases = {
  de: {
    intro: (n: number) =>
      `Die Aufbewahrungsfrist von ${n} Schreiben endet. Sie werden ab dem genannten Tag endgültig gelöscht, wenn nichts dagegen steht:`,
    class: (name: string, basis: string, n: number, copies: 'stay' | 'remove') =>
      `Klasse ${name} (${basis}), ${n} Schreiben; Kopien in Postfächern ${copies === 'stay' ? 'bleiben' : 'werden mitgelöscht'}:`,
    more: (n: number) => `  … und ${n} weitere`,
    end: (tenant: string) =>
      `Alle: demail-gateway retention list --tenant ${tenant}. Aufhalten: demail-gateway retention hold NAME --reason … (Name wie oben).`,
  },
  en: {
    intro: (n: number) =>
      `The retention period of ${n} letters ends. From the day named on they are erased for good, unless something stands against it:`,
    class: (name: string, basis: string, n: number, copies: 'stay' | 'remove') =>
      `Class ${name} (${basis}), ${n} letters; copies in mailboxes ${copies === 'stay' ? 'stay' : 'are removed as well'}:`,
    more: (n: number) => `  … and ${n} more`,
    end: (tenant: string) =>
      `All of them: demail-gateway retention list --tenant ${tenant}. To stop it: demail-gateway retention hold NAME --reason … (name as above).`,
  },
};
