/** How mail programs name and colour the gateway's keywords (evidence/keywords.ts). */

export const tagLanguages = ['de', 'en'] as const;
export type TagLanguage = (typeof tagLanguages)[number];

interface Tag {
  readonly keyword: string;
  readonly name: Readonly<Record<TagLanguage, string>>;
  /** `#RRGGBB` */
  readonly colour: string;
}

const green = '#2E7D32';
const red = '#C62828';
const orange = '#EF6C00';
const blue = '#1565C0';
const grey = '#546E7A';
const violet = '#6A1B9A';

/** What warns comes first: Thunderbird shows a message in the colour of its first tag. */
export const tags: readonly Tag[] = [
  { keyword: '$DeMailInvalid', name: { de: 'De-Mail ungültig', en: 'De-Mail invalid' }, colour: red },
  {
    keyword: '$DeMailNotCounted',
    name: { de: 'Bestätigung zählt nicht', en: 'Confirmation does not count' },
    colour: red,
  },
  { keyword: '$DeMailOverdue', name: { de: 'Überfällig', en: 'Overdue' }, colour: orange },
  {
    keyword: '$DeMailIndeterminate',
    name: { de: 'De-Mail ungeprüft', en: 'De-Mail not verified' },
    colour: grey,
  },
  { keyword: '$DeMailPrivate', name: { de: 'Persönlich', en: 'Private' }, colour: violet },
  {
    keyword: '$DeMailAuthoritative',
    name: { de: 'Absenderbestätigt', en: 'Sender confirmed' },
    colour: blue,
  },
  { keyword: '$DeMailRetrieved', name: { de: 'Abgeholt', en: 'Retrieved' }, colour: green },
  {
    keyword: '$DeMailReceived',
    name: { de: 'Eingegangen', en: 'Received' },
    colour: green,
  },
  {
    keyword: '$DeMailDispatched',
    name: { de: 'Versandt', en: 'Dispatched' },
    colour: blue,
  },
  { keyword: '$DeMailValid', name: { de: 'De-Mail echt', en: 'De-Mail valid' }, colour: green },
];

/** Lines of Thunderbird's user.js. It knows tags by their keyword in lower case and sorts them by `ordinal`. */
export function thunderbirdTags(language: TagLanguage): string[] {
  return tags.flatMap(({ keyword, name, colour }, position) => {
    const set = (property: string, value: string) =>
      `user_pref("mailnews.tags.${keyword.toLowerCase()}.${property}", ${JSON.stringify(value)});`;
    // Before Thunderbird's own five, which have no ordinal and sort by their keys.
    const ordinal = `!demail${String(position).padStart(2, '0')}`;
    return [set('tag', name[language]), set('color', colour), set('ordinal', ordinal)];
  });
}
