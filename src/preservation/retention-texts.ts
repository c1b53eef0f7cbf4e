/** What operators are told of letters that are to be erased: names and dates, nothing of what the letters say. */
import type { TenantConfig } from '../config/schema.ts';
import type { RecordGroup } from '../evidence/record-groups.ts';
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
    const records = letters.filter(({ group }) => group !== null).length;
    const lines = [words.intro(letters.length - records, records), ''];
    for (const { name, letters: list } of classes) {
      const { group } = list[0]!;
      if (group !== null) {
        // Thousands may be due on one day, and one says no more than another.
        const from = Math.max(list[0]!.until, now + name.reviewBefore);
        const places = list.map(({ letter }) => letter);
        const ends = [Math.min(...places), Math.max(...places)].map((place) => `${tenant.id}/${place}`);
        lines.push(words.records(group, name.legalBasis, list.length, day.format(from), ends));
        continue;
      }
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

const groupsDe: Readonly<Record<RecordGroup, string>> = {
  access: 'Zugriffe auf die Nachweise',
  login: 'Anmeldungen beim Anbieter',
  incident: 'Störungen',
  operation: 'Eingriffe der Betreiber',
};
const groupsEn: Readonly<Record<RecordGroup, string>> = {
  access: 'Looks at the evidence',
  login: 'Logins at the provider',
  incident: 'Incidents',
  operation: "Operators' acts",
};

const phrases = {
  de: {
    intro: (n: number, records: number) =>
      `Die Aufbewahrungsfrist von ${[
        ...(n > 0 ? [`${n} Schreiben`] : []),
        ...(records > 0 ? [`${records} Einträgen, die zu keinem Schreiben gehören,`] : []),
      ].join(' und ')} endet. Sie werden ab dem genannten Tag endgültig gelöscht, wenn nichts dagegen steht:`,
    records: (group: RecordGroup, basis: string, n: number, day: string, [first, last]: readonly string[]) =>
      `${groupsDe[group]} (${basis}): ${n} Einträge zwischen ${first} und ${last}, ab ${day}`,
    class: (name: string, basis: string, n: number, copies: 'stay' | 'remove') =>
      `Klasse ${name} (${basis}), ${n} Schreiben; Kopien in Postfächern ${copies === 'stay' ? 'bleiben' : 'werden mitgelöscht'}:`,
    more: (n: number) => `  … und ${n} weitere`,
    end: (tenant: string) =>
      `Alle: demail-gateway retention list --tenant ${tenant}. Aufhalten: demail-gateway retention hold NAME --reason … (Name wie oben).`,
  },
  en: {
    intro: (n: number, records: number) =>
      `The retention period of ${[
        ...(n > 0 ? [`${n} letters`] : []),
        ...(records > 0 ? [`${records} entries that belong to no letter`] : []),
      ].join(
        ' and ',
      )} ends. From the day named on they are erased for good, unless something stands against it:`,
    records: (group: RecordGroup, basis: string, n: number, day: string, [first, last]: readonly string[]) =>
      `${groupsEn[group]} (${basis}): ${n} entries between ${first} and ${last}, from ${day} on`,
    class: (name: string, basis: string, n: number, copies: 'stay' | 'remove') =>
      `Class ${name} (${basis}), ${n} letters; copies in mailboxes ${copies === 'stay' ? 'stay' : 'are removed as well'}:`,
    more: (n: number) => `  … and ${n} more`,
    end: (tenant: string) =>
      `All of them: demail-gateway retention list --tenant ${tenant}. To stop it: demail-gateway retention hold NAME --reason … (name as above).`,
  },
};
