import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { moduleOf } from './hsm.ts';

const good = { module: '/lib/p11.so', token: 'gateway', key: '0a1b', pinFile: '/etc/pin', publicKey: 'PEM' };
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hsm-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function described(text: string) {
  writeFileSync(join(directory, 'hsm.json'), text);
  return () => moduleOf(directory);
}

it('reads the description of a security module, and knows a folder without one', () => {
  expect(moduleOf(directory)).toBeNull();
  expect(described(JSON.stringify(good))()).toEqual(good);
});

it.each([
  ['{', /hsm\.json: .*JSON/],
  ['null', /hsm\.json: is no object/],
  ['[]', /hsm\.json: module has to be text/],
  [JSON.stringify({ ...good, token: 7 }), /hsm\.json: token has to be text/],
  [JSON.stringify({ ...good, pin: '1234' }), /hsm\.json: pin is not known here/],
  [JSON.stringify({ ...good, key: 'key 1' }), /hsm\.json: key has to be the hex id/],
])('names file and fault of %s', (text, message) => {
  expect(described(text)).toThrow(message);
});
