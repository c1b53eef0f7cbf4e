import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { checkIntegrity } from './check-message.ts';

const vectors = new URL('../../../test/vectors/', import.meta.url);
const expected = JSON.parse(readFileSync(new URL('expect.json', vectors), 'utf8')) as Record<string, string>;

/** The integrity header of these is right: only the XML inside is wrong. */
const xmlOnly = new Set(['confirm-bad-xml-time']);

test.each(readdirSync(new URL('cases/', vectors)))('%s', (file) => {
  const name = file.replace('.eml', '');
  const message = readFileSync(new URL(`cases/${file}`, vectors));
  expect(checkIntegrity(message).ok).toBe(expected[name] === 'valid' || xmlOnly.has(name));
});
