import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { createRelayAdmission } from './relay-admission.ts';

const certificate = Buffer.from('not looked into: the fingerprint alone counts');
const fingerprint = createHash('sha256').update(certificate).digest('hex');
const admission = createRelayAdmission([
  {
    name: 'by-address',
    tenants: ['stadt'],
    addresses: ['192.0.2.7', '10.1.0.0/16', '2001:db8::/32'],
    certificates: [],
    role: 'staff',
  },
  {
    name: 'by-certificate',
    tenants: ['dorf'],
    addresses: [],
    certificates: [fingerprint],
    role: 'application',
  },
]);

it.each<[string, Buffer | undefined, string | undefined]>([
  ['192.0.2.7', undefined, 'by-address'],
  ['::ffff:192.0.2.7', undefined, 'by-address'],
  ['192.0.2.8', undefined, undefined],
  ['10.1.255.255', undefined, 'by-address'],
  ['10.2.0.0', undefined, undefined],
  ['2001:db8::9', undefined, 'by-address'],
  ['2001:db9::9', undefined, undefined],
  ['198.51.100.1', certificate, 'by-certificate'],
  ['192.0.2.7', certificate, 'by-certificate'],
  ['198.51.100.1', Buffer.from('another'), undefined],
  ['', undefined, undefined],
  ['nonsense', undefined, undefined],
])('%s with certificate %s is %s', (address, peer, name) => {
  expect(admission.admit(address, peer)?.name).toBe(name);
});

it('nobody is admitted without relays', () => {
  expect(createRelayAdmission([]).admit('127.0.0.1', certificate)).toBeUndefined();
});

it('another list counts as soon as it replaces the first', () => {
  const renewed = createRelayAdmission([]);
  renewed.replace([
    { name: 'neu', tenants: ['stadt'], addresses: ['192.0.2.7'], certificates: [], role: 'staff' },
  ]);
  expect(renewed.admit('192.0.2.7', undefined)?.name).toBe('neu');
});
