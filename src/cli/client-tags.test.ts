import { expect, it } from 'vitest';
import { letterKeywordNames, NOT_COUNTED, optionKeywords, verdictKeywords } from '../evidence/keywords.ts';
import { tags, thunderbirdTags } from './client-tags.ts';

it('every keyword that the gateway sets has a tag, and no other', () => {
  const all = [
    ...verdictKeywords,
    ...letterKeywordNames,
    ...optionKeywords(['private', 'authoritative'], true),
    NOT_COUNTED,
  ];
  expect(tags.map(({ keyword }) => keyword).sort()).toEqual([...all].sort());
});

it('gives lines that Thunderbird reads: the keyword in lower case, the value as a string', () => {
  expect(thunderbirdTags('de').slice(0, 3)).toEqual([
    'user_pref("mailnews.tags.$demailinvalid.tag", "De-Mail ungültig");',
    'user_pref("mailnews.tags.$demailinvalid.color", "#C62828");',
    'user_pref("mailnews.tags.$demailinvalid.ordinal", "!demail00");',
  ]);
  expect(new Set(thunderbirdTags('en')).size).toBe(3 * tags.length);
});
