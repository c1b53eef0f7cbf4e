import { describe, expect, it } from 'vitest';
import { routeInbound, routeToSender } from './route.ts';
import { testDirectory } from './testing/tenants.ts';

const erika = { type: 'user', name: 'erika@stadt.example' };
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
    expect(r).toEqual({ destinations: [], forward: [], unknown: ['nobody@stadt.de-mail.example'] });
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
      unknown: ['poststelle@stadt.de-mail.example'],
    });
    expect(owners(routeInbound(directory, stadt, to, false))).toEqual([poststelle]);
    stadt.privateMail.shared = true;
    expect(owners(routeInbound(directory, stadt, to, true))).toEqual([poststelle]);
  });

  it('is forwarded to internal addresses', () => {
    const r = route(['erika@stadt.de-mail.example', 'amt@stadt.de-mail.example'], [], false, 'both');
    expect(r.forward).toEqual(['erika@stadt.example', 'amt@stadt.example']);
    expect(owners(r)).toEqual([erika]);
  });

  it('private mail is forwarded only where the configuration says so by name', () => {
    const erikas = ['erika@stadt.de-mail.example'];
    expect(route(erikas, [], true, 'both').forward).toEqual([]);
    expect(route(erikas, [], true, 'only')).toMatchObject({ destinations: [], forward: [] });
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
