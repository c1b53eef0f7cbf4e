/** Identity cards of TR-01201 ID IO 2.2 to 2.5: which fields, in the order of the schema, and their values. */
import type { Account } from './options.ts';

export const cardNames = ['identity', 'address', 'age', 'over16', 'over18', 'de-mail-address'] as const;
export type CardName = (typeof cardNames)[number];

export interface IdentityCard {
  /** Name of the element below Identcard. */
  readonly element: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
}

const address = ['street', 'locality', 'country', 'de-mail-address'];
const person = [
  'surname',
  'givenname',
  'street',
  'locationOfBirth',
  'dateOfBirth',
  'locality',
  'country',
  'age',
];
const institution = ['commonName', 'street', 'locality', 'country', 'legalForm', 'authorisedRepresentative'];

const cards: Readonly<Record<CardName, { element: string; names: readonly string[] }>> = {
  identity: { element: 'NaturalPerson', names: [...person, 'de-mail-address'] },
  address: { element: 'Address', names: ['surname', 'givenname', ...address] },
  age: { element: 'Age', names: ['age', 'de-mail-address'] },
  over16: { element: 'AgeOver16', names: ['over16', 'de-mail-address'] },
  over18: { element: 'AgeOver18', names: ['over18', 'de-mail-address'] },
  'de-mail-address': { element: 'DeMailAddress', names: ['de-mail-address'] },
};

/** Where nothing else is known: the specimen of the German identity card, and a town hall. */
const specimen = {
  street: 'Heidestraße 17',
  locality: 'Köln',
  country: 'DE',
  dateOfBirth: '12.08.1964',
  locationOfBirth: 'Berlin',
  legalForm: 'Körperschaft des öffentlichen Rechts',
  authorisedRepresentative: 'Erika Mustermann',
};

/** An address of the account; institutions that own a domain have a `poststelle` there. */
export function addressOfAccount({ addresses, domains }: Account): string {
  return addresses[0] ?? `poststelle@${domains[0]}`;
}

/** @throws Error where the holder has no such card */
export function identityCard(account: Account, name: CardName, now: Date): IdentityCard {
  const legal = account.kind === 'institution';
  if (legal && name !== 'identity' && name !== 'de-mail-address') {
    throw new Error(`${account.id} is an institution and has no card ${name}`);
  }
  const card = cards[name];
  const { element, names } =
    legal && name === 'identity'
      ? { element: 'LegalPerson', names: [...institution, 'de-mail-address'] }
      : card;
  const known: Readonly<Record<string, string>> = {
    ...specimen,
    ...namesOf(account.holder),
    commonName: account.holder,
    'de-mail-address': addressOfAccount(account),
    ...account.identity,
  };
  const age = ageAt(known.dateOfBirth!, now);
  const values: Readonly<Record<string, string>> = {
    ...known,
    age: String(age),
    over16: String(age >= 16),
    over18: String(age >= 18),
  };
  return { element, fields: names.map((field) => [field, values[field]!]) };
}

function namesOf(holder: string): { surname: string; givenname: string } {
  const at = holder.lastIndexOf(' ');
  return { surname: holder.slice(at + 1), givenname: at > 0 ? holder.slice(0, at) : holder };
}

/** Whole years; `date` is dd.mm.yyyy. */
function ageAt(date: string, now: Date): number {
  const [day, month, year] = date.split('.').map(Number) as [number, number, number];
  const before = now.getUTCMonth() + 1 < month || (now.getUTCMonth() + 1 === month && now.getUTCDate() < day);
  return now.getUTCFullYear() - year - (before ? 1 : 0);
}
