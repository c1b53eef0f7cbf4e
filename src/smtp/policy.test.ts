import { describe, expect, it } from 'vitest';
import type { TenantConfig } from '../config/schema.ts';
import { createDirectory } from '../directory/create.ts';
import { type DispatchOption, dispatchOptions } from '../evidence/entry.ts';
import { parseHeader } from '../mime/header.ts';
import { createIndexer } from '../mime/structure.ts';
import { checkBody, checkHeader, fromAddress, isAutomatic } from './content-policy.ts';
import { type Asking, chooseOptions } from './dispatch-options.ts';
import { checkRecipient, checkReplyTo } from './recipient-policy.ts';
import { checkFrom, checkSender, type Identity, type Sender } from './sender-policy.ts';
import { house } from './testing/house.ts';
import { optionText } from './texts.ts';

const config = house({ relays: '{ name: mta, tenants: [stadt], addresses: [127.0.0.1] }' });
const directory = createDirectory(config);
const stadt = directory.tenant('stadt')!;
const dorf = directory.tenant('dorf')!;
const user = (login: string): Identity => ({ type: 'user', principal: directory.user(login)! });
const relay: Identity = { type: 'relay', relay: config.relays[0]! };
const erika = user('erika@stadt.example');
const jan = user('jan@stadt.example');
const ida = user('ida@dorf.example');

const header = (text: string) => parseHeader(Buffer.from(text.replace(/\n/g, '\r\n')));

describe('the sender', () => {
  it.each<[string, Identity, string, string]>([
    ['erika', erika, 'erika@stadt.example', 'erika@stadt.de-mail.example'],
    ['erika', erika, 'Erika@STADT.de-mail.example', 'erika@stadt.de-mail.example'],
    ['erika', erika, 'poststelle@stadt.example', 'poststelle@stadt.de-mail.example'],
    ['erika', erika, 'jan@stadt.example', 'sender-not-permitted'],
    ['jan', jan, 'poststelle@stadt.example', 'sender-not-permitted'],
    ['erika', erika, 'ida@dorf.example', 'sender-not-permitted'],
    ['ida', ida, 'erika@stadt.de-mail.example', 'sender-not-permitted'],
    ['erika', erika, 'erika@elsewhere.example', 'sender-no-tenant'],
    ['erika', erika, 'erika@sub.stadt.example', 'sender-no-tenant'],
    ['erika', erika, '', 'sender-null'],
    ['the relay', relay, '', 'sender-null'],
    ['the relay', relay, 'anybody@stadt.example', 'anybody@stadt.de-mail.example'],
    ['the relay', relay, 'any;body@stadt.example', 'sender-not-permitted'],
    ['the relay', relay, 'ida@dorf.example', 'sender-not-permitted'],
    ['the relay', relay, 'x@elsewhere.example', 'sender-no-tenant'],
  ])('%s %# as %s', (_, identity, address, expected) => {
    const result = checkSender(directory, identity, address);
    expect(typeof result === 'string' ? result : result.demail).toBe(expected);
  });

  it.each<[string, Identity, string, string]>([
    ['erika', erika, 'poststelle@stadt.de-mail.example', 'poststelle@stadt.de-mail.example'],
    ['erika', erika, 'jan@stadt.example', 'sender-not-permitted'],
    ['erika', erika, 'ida@dorf.example', 'from-other-tenant'],
    ['erika', erika, 'x@elsewhere.example', 'from-other-tenant'],
    ['the relay', relay, 'ida@dorf.example', 'from-other-tenant'],
    ['the relay', relay, 'somebody@stadt.example', 'somebody@stadt.de-mail.example'],
  ])('%s %# in From: %s', (_, identity, address, expected) => {
    const envelope: Sender = { tenant: stadt, demail: 'erika@stadt.de-mail.example' };
    const result = checkFrom(directory, identity, envelope, address);
    expect(typeof result === 'string' ? result : result.demail).toBe(expected);
  });
});

describe('a recipient', () => {
  it.each([
    ['max@buerger.de-mail.example', { address: 'max@buerger.de-mail.example' }],
    ['Max@Buerger.DE-Mail.example', { address: 'max@buerger.de-mail.example' }],
    ['max@de-mail.example', 'recipient-outside-demail'],
    ['erika@stadt.example', 'recipient-outside-demail'],
    ['max@gmail.example', 'recipient-outside-demail'],
    ['postmaster', 'recipient-outside-demail'],
    ['max@[192.0.2.1]', 'recipient-outside-demail'],
  ])('%s', (address, expected) => {
    expect(checkRecipient(directory, address)).toEqual(expected);
  });
});

describe('Reply-To', () => {
  it.each<[string, string | undefined]>([
    ['', undefined],
    ['Reply-To: Erika <erika@stadt.example>', undefined],
    ['Reply-To: erika@stadt.de-mail.example, Poststelle <Poststelle@Stadt.example>', undefined],
    ['reply-to: "M, E" <erika@stadt.example>', undefined],
    ['Reply-To: nobody.yet@stadt.example', undefined],
    ['Reply-To: max@buerger.de-mail.example', 'max@buerger.de-mail.example'],
    ['Reply-To: erika@stadt.example, erika@web.example', 'erika@web.example'],
    ['Reply-To: ida@dorf.de-mail.example', 'ida@dorf.de-mail.example'],
    ['Reply-To: erika@sub.stadt.example', 'erika@sub.stadt.example'],
    ['Reply-To: er;ika@stadt.example', 'er'],
    ['Reply-To: erika', 'erika'],
    ['Reply-To:', '-'],
    ['Reply-To: undisclosed:;', '-'],
  ])('%j', (text, outside) => {
    expect(checkReplyTo(directory, stadt, header(`${text}\n`))).toEqual(
      outside === undefined ? undefined : { code: 'reply-to-outside-demail', detail: outside },
    );
  });
});

describe('From', () => {
  it.each([
    ['From: Erika <erika@stadt.example>\n', 'erika@stadt.example'],
    ['from: erika@stadt.example\n', 'erika@stadt.example'],
    ['From: "M, E" <erika@stadt.example>\n', 'erika@stadt.example'],
    ['From: G: erika@stadt.example;\n', 'erika@stadt.example'],
    ['From: a@stadt.example, b@stadt.example\n', 'from-multiple'],
    ['From: a@stadt.example\nFrom: b@stadt.example\n', 'from-multiple'],
    ['From: a@stadt.example\nFrom:\n', 'from-multiple'],
    ['To: a@stadt.example\n', 'from-missing'],
    ['From:\n', 'from-missing'],
    ['From: undisclosed:;\n', 'from-missing'],
    ['From: Erika\n', 'from-missing'],
    ['From: @stadt.example\n', 'from-missing'],
  ])('%j', (text, expected) => {
    const result = fromAddress(header(text));
    expect('address' in result ? result.address : result.code).toBe(expected);
  });
});

describe('the header', () => {
  it.each<[string, string | undefined]>([
    ['From: a@b\nTo: c@d\nSubject: x\nReceived: 1\nReceived: 2\nX-A: 1\nX-A: 2\n', undefined],
    ['Subject: x\nSubject: y\n', 'Subject occurs twice'],
    ['To: a@b\nTO: c@d\n', 'TO occurs twice'],
    ['Message-ID: <a@b>\nMessage-ID: <a@b>\n', 'Message-ID occurs twice'],
    ['Subject: x\n folded\nno field\n', 'line 3 is no header field'],
    [' folded from the start\n', 'line 1 is no header field'],
    ['From erika@stadt.example Mon Nov 24 09:00:00 2026\nSubject: x\n', 'line 1 is no header field'],
    ['X: y\n'.repeat(1001), 'more than 1000 fields'],
  ])('%#', (text, detail) => {
    const result = checkHeader(header(text));
    expect(result).toEqual(
      detail === undefined
        ? undefined
        : { code: 'header-malformed', detail: { de: expect.any(String), en: detail } },
    );
  });

  it.each<[string, boolean]>([
    ['Auto-Submitted: no\n', false],
    ['Auto-Submitted: No (really)\n', false],
    ['Auto-Submitted: auto-replied\n', true],
    ['Auto-Submitted: auto-generated; x=y\n', true],
    ['Auto-Submitted:\n', true],
    ['Precedence: bulk\n', true],
    ['Precedence: auto_reply\n', true],
    ['Precedence: first-class\n', false],
    ['X-Autoreply: yes\n', true],
    ['X-Auto-Response-Suppress: All\nSubject: Bescheid\n', false],
    ['X-Auto-Response-Suppress: All\nSubject: Automatische Antwort: Bescheid\n', true],
    ['X-Auto-Response-Suppress: DR, OOF, AutoReply\nSubject: =?utf-8?Q?Automatic_reply=3A_x?=\n', true],
    ['Subject: Automatische Antwort: Bescheid\n', false],
    ['Content-Type: multipart/report; report-type=delivery-status; boundary=x\n', true],
    ['Content-Type: multipart/mixed; boundary=x\n', false],
    ['Subject: x\n', false],
  ])('%j is automatic: %s', (text, expected) => {
    expect(isAutomatic(header(text))).toBe(expected);
  });
});

describe('the body', () => {
  const message = (part: string) =>
    [
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      '',
      'hello',
      '--b',
      part,
      '',
      'x',
      '--b--',
      '',
    ].join('\r\n');

  it.each<[string, string, string | undefined]>([
    ['plain text', 'Subject: x\r\n\r\nhello\r\n', undefined],
    ['a PDF', message('Content-Type: application/pdf; name=winmail.pdf'), undefined],
    ['ms-tnef', message('Content-Type: application/MS-TNEF; name=x'), 'winmail-dat'],
    ['vnd.ms-tnef', message('Content-Type: application/vnd.ms-tnef'), 'winmail-dat'],
    [
      'winmail.dat by its name',
      message(
        'Content-Type: application/octet-stream; name="WinMail.dat"\r\nContent-Disposition: attachment',
      ),
      'winmail-dat',
    ],
    ['ms-tnef as the whole message', 'Content-Type: application/ms-tnef\r\n\r\nx', 'winmail-dat'],
  ])('%s', (_, text, expected) => {
    const indexer = createIndexer();
    indexer.push(Buffer.from(text));
    expect(checkBody(indexer.finish())?.code).toBe(expected);
  });
});

describe('dispatch options', () => {
  const yes = (name: string, value = 'yes') => `X-de-mail-${name}: ${value}\n`;
  const choose = (text: string, tenant: TenantConfig, more: Partial<Asking> = {}) =>
    chooseOptions({
      fields: header(text),
      tenant,
      user: undefined,
      role: 'application',
      sender: 'erika@stadt.de-mail.example',
      deliveryReceipt: false,
      ...more,
    });

  it.each<[string, string, string[] | string]>([
    ['the defaults', 'Subject: x\n', ['dispatch', 'receipt']],
    ['one less', yes('confirmation-of-receipt', 'no'), ['dispatch']],
    ['a value of its own', yes('confirmation-of-receipt', 'YES'), ['dispatch']],
    ['the topmost', yes('confirmation-of-dispatch', 'no') + yes('confirmation-of-dispatch'), ['receipt']],
    ['beyond the level', yes('private'), 'option-needs-high'],
    ['not permitted', yes('authoritative'), 'option-not-permitted'],
  ])('of the town: %s', (_, text, expected) => {
    const result = choose(text, stadt);
    expect('options' in result ? result.options : result.code).toEqual(expected);
  });

  it.each<[string, string, string[] | string]>([
    ['none by default', 'Subject: x\n', []],
    ['retrieval, which implies private', yes('confirmation-of-retrieve'), ['retrieval', 'private']],
    [
      'all',
      [
        'confirmation-of-dispatch',
        'confirmation-of-receipt',
        'confirmation-of-retrieve',
        'authoritative',
        'private',
      ]
        .map((n) => yes(n))
        .join(''),
      ['dispatch', 'receipt', 'retrieval', 'authoritative', 'private'],
    ],
  ])('of the village: %s', (_, text, expected) => {
    const result = choose(text, dorf);
    expect('options' in result ? result.options : result.code).toEqual(expected);
  });

  it('a user may have fewer than the tenant', () => {
    const janHimself = directory.user('jan@stadt.example')!.user;
    expect(choose('Subject: x\n', stadt, { user: janHimself })).toMatchObject({ options: ['dispatch'] });
    expect(choose(yes('confirmation-of-receipt'), stadt, { user: janHimself })).toEqual({
      code: 'option-not-permitted',
      detail: {
        de: 'Eingangsbestätigung, verlangt im Kopf der Nachricht (X-de-mail-...)',
        en: 'receipt confirmation, asked for in the header (X-de-mail-...)',
      },
    });
  });

  describe('the rules of the norm hold whatever control asks (TR-01201 FU 3.3)', () => {
    type Result = readonly string[] | 'option-needs-high' | 'option-not-permitted' | 'option-pseudonym';
    const open = (tenant: TenantConfig, ...permitted: DispatchOption[]): TenantConfig => ({
      ...tenant,
      options: { default: [], permitted, fromReadReceipt: true, fromImportance: true },
    });
    const all = [...dispatchOptions];
    const controls: [string, string, string[], readonly DispatchOption[]][] = [
      ['sensitivity', 'Sensitivity: Private\n', ['private'], ['private']],
      [
        'read-receipt',
        'Disposition-Notification-To: e@x\n',
        ['retrieval', 'private'],
        ['retrieval', 'private'],
      ],
      ['importance', 'Importance: high\n', ['authoritative'], ['authoritative']],
      ['subject-tag', 'Subject: [De-Mail: persoenlich] x\n', ['private'], ['private']],
      ['subject-tag', 'Subject: [Abholbestaetigung] x\n', ['retrieval', 'private'], ['retrieval', 'private']],
      ['header', 'X-de-mail-authoritative: yes\n', ['authoritative'], ['authoritative']],
    ];
    const outcome = (text: string, tenant: TenantConfig, more: Partial<Asking> = {}): Result => {
      const result = choose(text, tenant, more);
      return 'options' in result ? result.options : (result.code as Exclude<Result, readonly string[]>);
    };
    it.each(controls)('%s: %j', (by, text, expected, [option]) => {
      expect(outcome(text, open(dorf, ...all))).toEqual(expected);
      expect(choose(text, open(dorf, ...all))).toMatchObject({
        optionSources: [
          { option, by },
          ...expected.slice(1).map(() => ({ option: 'private', by: 'implied' })),
        ],
      });
      expect(outcome(text, open(stadt, ...all))).toBe('option-needs-high');
      const without = all.filter((other) => other !== option);
      expect(outcome(text, open(dorf, ...without))).toBe('option-not-permitted');
      const ida = { ...directory.user('ida@dorf.example')!.user, permittedOptions: without };
      expect(outcome(text, open(dorf, ...all), { user: ida })).toBe('option-not-permitted');
      expect(outcome(text, open(dorf, ...all), { sender: 'pn_1@dorf.de-mail.example' })).toEqual(
        option === 'authoritative' ? 'option-pseudonym' : expected,
      );
    });

    it('a retrieval confirmation stays private, even against a word of the sender', () => {
      const text = 'Subject: [De-Mail: Abholbestaetigung, nicht persoenlich] x\n';
      expect(outcome(text, open(dorf, ...all))).toEqual(['retrieval', 'private']);
    });
  });

  it('headers of staff are not honoured, but named', () => {
    const result = choose(`${yes('authoritative')}Subject: x\n`, stadt, { role: 'staff' });
    expect(result).toMatchObject({
      options: ['dispatch', 'receipt'],
      optionSources: [
        { option: 'dispatch', by: 'default' },
        { option: 'receipt', by: 'default' },
      ],
      ignored: [{ name: 'X-de-mail-authoritative', value: 'yes' }],
    });
  });

  it('a pseudonym is never authoritative, by its own wish or by default', () => {
    const pseudonym = { sender: 'pn_47@dorf.de-mail.example' };
    expect(choose('Subject: [De-Mail: absenderbestaetigt] x\n', dorf, pseudonym)).toEqual({
      code: 'option-pseudonym',
      detail: optionText('authoritative', 'subject-tag'),
    });
    const always = { ...dorf, options: { ...dorf.options, default: ['authoritative' as const] } };
    expect(choose('Subject: x\n', always, pseudonym)).toMatchObject({ options: [] });
    expect(choose('Subject: x\n', always)).toMatchObject({ options: ['authoritative'] });
  });

  it('a word that no option has is refused by its name', () => {
    expect(choose('Subject: [De-Mail: eilig] x\n', dorf)).toEqual({
      code: 'option-unknown',
      detail: 'eilig',
    });
  });
});
