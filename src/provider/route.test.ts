import { describe, expect, it } from 'vitest';
import { routeInbound, routeToSender, routeWaiting } from './route.ts';
import { testDirectory } from './testing/tenants.ts';

const erika = { type: 'user', name: 'erika@stadt.example' };
const jan = { type: 'user', name: 'jan@stadt.example' };
const poststelle = { type: 'shared', name: 'Poststelle' };

function route(envelopeTo: string[], actualRecipients: string[], isPrivate = false, forward?: string) {
  const directory = testDirectory({ forward });
  return routeInbound(directory, directory.tenant('stadt')!, { envelopeTo, actualRecipients }, isPrivate);
}

const owners = (r: ReturnType<typeof route>) => r.destinations.map((d) => d.owner);

describe('inbound', () => {
  it('goes by Envelope-to before anything else', () => {
    const r = route(
      ['erika@stadt.de-mail.example'],
      ['erika@stadt.de-mail.example', 'jan@stadt.de-mail.example'],
    );
    expect(owners(r)).toEqual([erika]);
  });

  it('without Envelope-to, goes to the actual recipients of this tenant alone', () => {
    const r = route(
      [],
      ['erika@stadt.de-mail.example', 'erika@dorf.de-mail.example', 'max@buerger.de-mail.example'],
    );
    expect(owners(r)).toEqual([erika]);
  });

  it('gives each of several recipients a copy, and two addresses of one mailbox one', () => {
    const r = route(
      ['erika@stadt.de-mail.example', 'poststelle@stadt.de-mail.example', 'ERIKA@stadt.de-mail.example'],
      [],
    );
    expect(owners(r)).toEqual([erika, poststelle]);
  });

  it.each([
    ['nobody here', ['nobody@stadt.de-mail.example'], []],
    ['nobody at all', [], []],
    ['other tenants only', ['erika@dorf.de-mail.example'], ['max@buerger.de-mail.example']],
    // The copy of a Bcc recipient must not reach those whom chosen-recipient names.
    ['an unknown Bcc recipient', ['nobody@stadt.de-mail.example'], ['erika@stadt.de-mail.example']],
  ])('for %s goes to the fallback mailbox', (_who, envelopeTo, actual) => {
    expect(owners(route(envelopeTo, actual))).toEqual([poststelle]);
  });

  it('private mail that fits nobody goes to nobody', () => {
    const r = route(['nobody@stadt.de-mail.example'], [], true);
    expect(r).toMatchObject({ destinations: [], forward: [], waiting: ['nobody@stadt.de-mail.example'] });
  });

  it('private mail goes to the one it fits, and to no fallback besides', () => {
    const r = route(['erika@stadt.de-mail.example', 'nobody@stadt.de-mail.example'], [], true);
    expect(owners(r)).toEqual([erika]);
  });

  it('private mail goes into a shared mailbox only where the configuration says so by name', () => {
    const directory = testDirectory();
    const stadt = directory.tenant('stadt')!;
    const to = { envelopeTo: ['poststelle@stadt.de-mail.example'], actualRecipients: [] };
    expect(routeInbound(directory, stadt, to, true)).toEqual({
      destinations: [],
      forward: [],
      waiting: ['poststelle@stadt.de-mail.example'],
      // The members learn that it came.
      withheld: [{ address: 'poststelle@stadt.de-mail.example', owners: [erika], forward: [], waits: true }],
    });
    expect(owners(routeInbound(directory, stadt, to, false))).toEqual([poststelle]);
    stadt.privateMail.shared = ['Poststelle'];
    expect(owners(routeInbound(directory, stadt, to, true))).toEqual([poststelle]);
  });

  it('private mail goes to a fallback only where one is named for it', () => {
    const directory = testDirectory();
    const stadt = directory.tenant('stadt')!;
    stadt.privateMail.fallback = 'jan@stadt.example';
    for (const envelopeTo of [['nobody@stadt.de-mail.example'], ['poststelle@stadt.de-mail.example'], []]) {
      const r = routeInbound(directory, stadt, { envelopeTo, actualRecipients: [] }, true);
      expect(owners(r)).toEqual([jan]);
      expect(r.waiting).toEqual([]);
    }
  });

  it('private mail that names nobody waits for nobody in particular', () => {
    expect(route([], [], true)).toMatchObject({ destinations: [], waiting: [''] });
    expect(route([], [], false).waiting).toEqual([]);
  });

  it('is forwarded to internal addresses', () => {
    const r = route(['erika@stadt.de-mail.example', 'amt@stadt.de-mail.example'], [], false, 'both');
    expect(r.forward).toEqual(['erika@stadt.example', 'amt@stadt.example']);
    expect(owners(r)).toEqual([erika]);
  });

  it('private mail is forwarded only where the configuration says so by name', () => {
    const erikas = ['erika@stadt.de-mail.example'];
    const told = { address: erikas[0], owners: [], forward: ['erika@stadt.example'] };
    const both = route(erikas, [], true, 'both');
    expect(both).toMatchObject({ forward: [], waiting: [], withheld: [{ ...told, waits: false }] });
    expect(owners(both)).toEqual([erika]);
    expect(route(erikas, [], true, 'only')).toMatchObject({
      destinations: [],
      forward: [],
      waiting: erikas,
      withheld: [{ ...told, waits: true }],
    });
    const directory = testDirectory({
      forward: 'both',
      forwardTo: { host: 'mail.stadt.example', port: 25, includePrivate: true },
    });
    const to = { envelopeTo: erikas, actualRecipients: [] };
    expect(routeInbound(directory, directory.tenant('stadt')!, to, true).forward).toEqual([
      'erika@stadt.example',
    ]);
  });

  it('without a facade there are no mailboxes', () => {
    const r = route([], [], false, 'only');
    expect(r.destinations).toEqual([]);
    expect(r.forward).toEqual(['poststelle@stadt.example']);
  });
});

describe('private mail that waits', () => {
  it.each([
    ['an address that has a mailbox by now', 'erika@stadt.de-mail.example', [erika]],
    ['an address that still has none', 'nobody@stadt.de-mail.example', []],
    ['a shared mailbox that is not named for it', 'poststelle@stadt.de-mail.example', []],
    ['nobody in particular', '', []],
  ])('for %s', (_what, address, expected) => {
    const directory = testDirectory();
    expect(owners(routeWaiting(directory, directory.tenant('stadt')!, address))).toEqual(expected);
  });
});

describe('to the sender of a letter', () => {
  const header = { messageId: null, subject: null, from: 'jan@stadt.example', date: null };
  const envelope = { from: 'jan@stadt.example', recipients: [] };

  it.each([
    ['the user who acted', { type: 'user', name: 'erika@stadt.example' } as const, erika],
    [
      'the mailbox of From for a relay',
      { type: 'relay', name: 'exchange' } as const,
      { type: 'user', name: 'jan@stadt.example' },
    ],
    [
      'From where the user is gone',
      { type: 'user', name: 'weg@stadt.example' } as const,
      { type: 'user', name: 'jan@stadt.example' },
    ],
  ])('goes to %s', (_what, actor, owner) => {
    const directory = testDirectory();
    const r = routeToSender(directory, directory.tenant('stadt')!, { actor, header, envelope });
    expect(r.destinations.map((d) => d.owner)).toEqual([owner]);
  });

  it('about a private letter sent as a shared mailbox, waits, and its members are told', () => {
    const directory = testDirectory();
    const stadt = directory.tenant('stadt')!;
    const letter = {
      actor: { type: 'relay', name: 'exchange' } as const,
      header: { ...header, from: 'poststelle@stadt.example' },
      envelope,
    };
    expect(routeToSender(directory, stadt, letter, true)).toMatchObject({
      destinations: [],
      waiting: ['poststelle@stadt.example'],
      withheld: [{ owners: [erika] }],
    });
    expect(owners(routeToSender(directory, stadt, letter, false))).toEqual([poststelle]);
  });

  it('goes to the fallback mailbox where nobody fits', () => {
    const directory = testDirectory();
    const actor = { type: 'relay', name: 'exchange' } as const;
    const r = routeToSender(directory, directory.tenant('stadt')!, {
      actor,
      header: { ...header, from: 'weg@stadt.example' },
      envelope,
    });
    expect(r.destinations.map((d) => d.owner)).toEqual([poststelle]);
  });
});
