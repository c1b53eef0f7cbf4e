/** Every row of docs/smtp-replies.md, provoked on the wire. */
import { createHash, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { catalogue, GatewayError } from '../errors.ts';
import type { smtpErrors } from '../errors-german.ts';
import { createScanner } from '../inspection/scanner.ts';
import { MALWARE, startClamdPeer } from '../inspection/testing/clamd-peer.ts';
import {
  ERIKA,
  identities,
  letter,
  MAX,
  PASSWORD,
  startGateway,
  type TestGateway,
  type TestGatewayOptions,
} from './testing/gateway.ts';
import { dial, type Wire } from './testing/wire.ts';

type Case = readonly [TestGatewayOptions, (gateway: TestGateway) => Promise<string>];

const plain: TestGatewayOptions = {};

/** After a login as erika. */
function asErika(work: (wire: Wire) => Promise<string>, options: TestGatewayOptions = plain): Case {
  return [
    options,
    async ({ ports }) => {
      await using wire = await dial(ports.submission);
      expect(await wire.login(ERIKA, PASSWORD)).toMatch(/^235 2\.7\.0 /);
      return await work(wire);
    },
  ];
}

/** On the relay listener, after EHLO. */
function asRelay(work: (wire: Wire) => Promise<string>, options: TestGatewayOptions = plain): Case {
  return [
    options,
    async ({ ports }) => {
      await using wire = await dial(ports.relay);
      await wire.say('EHLO mta.stadt.example');
      return await work(wire);
    },
  ];
}

function message(text: string, options?: TestGatewayOptions): Case {
  return asRelay(async (wire) => {
    expect(await wire.open(ERIKA, MAX)).toMatch(/^354 /);
    return wire.data(text);
  }, options);
}

/** With a scanner whose StreamMaxLength is `limit`; the message is sent by the relay. */
function scanned(text: string, limit: number, running = true): Case {
  return [
    plain,
    async () => {
      await using clamd = await startClamdPeer();
      clamd.behaviour.limit = limit;
      if (!running) clamd.behaviour.answer = 'cut';
      await using gateway = await startGateway({
        scanner: createScanner({ clamd: clamd.address, tooLarge: 'hold' }),
      });
      return await message(text)[1](gateway);
    },
  ];
}

const tnef = ['MIME-Version: 1.0', 'Content-Type: application/ms-tnef; name=winmail.dat'];

const cases: Record<(typeof smtpErrors)[number], Case> = {
  'recipient-outside-demail': asErika((wire) => wire.open(ERIKA, 'max@mail.example')),
  'recipient-malformed': asRelay((wire) => wire.open(ERIKA, 'max@@buerger.de-mail.example')),
  'sender-not-permitted': asErika((wire) => wire.open('jan@stadt.example')),
  'sender-no-tenant': asErika((wire) => wire.open('erika@elsewhere.example')),
  'sender-malformed': asErika((wire) => wire.say('MAIL FROM:erika')),
  'sender-null': asRelay((wire) => wire.open('')),
  'authentication-required': [
    plain,
    async ({ ports }) => {
      await using wire = await dial(ports.submission);
      await wire.say('EHLO client.example');
      return await wire.open(ERIKA);
    },
  ],
  'authentication-failed': [
    plain,
    async ({ ports }) => {
      await using wire = await dial(ports.submissions, { rejectUnauthorized: false });
      return await wire.login(ERIKA, 'wrong');
    },
  ],
  'authentication-limited': [
    { limits: 'failedLoginsPerUser: 1' },
    async ({ ports }) => {
      await using wire = await dial(ports.submissions, { rejectUnauthorized: false });
      await wire.login(ERIKA, 'wrong');
      return await wire.login(ERIKA, PASSWORD);
    },
  ],
  'tls-required': [
    plain,
    async ({ ports }) => {
      await using wire = await dial(ports.submission);
      await wire.say('EHLO client.example');
      return await wire.say('AUTH PLAIN AGEAYg==');
    },
  ],
  'relay-not-admitted': asRelay((wire) => wire.open(ERIKA), {
    relays: '{ name: mta, tenants: [stadt], addresses: [192.0.2.1] }',
  }),
  'message-too-large': message(letter([], 'x\r\n'.repeat(500)), { limits: 'messageSize: 1KiB' }),
  'too-many-recipients': asRelay((wire) => wire.open(ERIKA, MAX, 'moritz@buerger.de-mail.example'), {
    limits: 'recipients: 1',
  }),
  'bare-line-end': message(letter([], 'one\ntwo')),
  'command-line-end': asRelay((wire) => {
    wire.write('NOOP\n');
    return wire.reply();
  }),
  'line-too-long': message(letter([], 'x'.repeat(1001))),
  'from-missing': message(letter().replace(/^From.*\r\n/, '')),
  'from-multiple': message(letter().replace('From: ', 'From: jan@stadt.example, ')),
  'from-other-tenant': message(letter().replace(ERIKA, 'ida@dorf.example')),
  'reply-to-outside-demail': message(letter(['Reply-To: erika@web.example'])),
  'header-malformed': message(letter(['Subject: twice'])),
  'automatic-reply': message(letter(['Auto-Submitted: auto-replied'])),
  'winmail-dat': message(letter(tnef)),
  'smtputf8-not-offered': asRelay((wire) => wire.say(`MAIL FROM:<${ERIKA}> SMTPUTF8`)),
  'source-route': asRelay((wire) => wire.say(`MAIL FROM:<@relay.example:${ERIKA}>`)),
  'parameter-unknown': asRelay((wire) => wire.say(`MAIL FROM:<${ERIKA}> REQUIRETLS`)),
  'option-not-permitted': message(letter().replace('Bescheid', '[De-Mail: absenderbestaetigt] x')),
  'option-needs-high': message(letter(['Sensitivity: Private'])),
  'option-unknown': message(letter().replace('Bescheid', '[De-Mail: eilig] x')),
  'option-pseudonym': asRelay(
    async (wire) => {
      const pseudonym = 'pn_47@dorf.example';
      expect(await wire.open(pseudonym, MAX)).toMatch(/^354 /);
      return wire.data(letter().replace(ERIKA, pseudonym).replace('Bescheid', '[absenderbestaetigt] x'));
    },
    { relays: '{ name: mta, tenants: [dorf], addresses: [127.0.0.1] }' },
  ),
  'daily-quota': asRelay(
    async (wire) => {
      await wire.open(ERIKA, MAX);
      return wire.data(letter());
    },
    {
      around: (store) => ({
        ...store,
        acceptSubmission: () => Promise.reject(new GatewayError('daily-quota', 'messages 100')),
      }),
    },
  ),
  'daily-quota-alone': asRelay(
    async (wire) => {
      await wire.open(ERIKA, MAX, 'moritz@buerger.de-mail.example');
      return wire.data(letter());
    },
    { dailyQuota: 'recipients: 1' },
  ),
  'tenant-locked': asRelay((wire) => wire.open(ERIKA), { isLocked: (tenant) => tenant === 'stadt' }),
  'evidence-held': message(letter(), {
    around: (store) => ({
      ...store,
      async acceptSubmission(tenant, submission) {
        await store.holdLog(tenant, { source: 'test', reason: 'restored', knownSize: 9, knownNote: null });
        return await store.acceptSubmission(tenant, submission);
      },
    }),
  }),
  'rate-limited': asRelay(
    async (wire) => {
      await wire.open(ERIKA);
      await wire.say('RSET');
      return await wire.open(ERIKA);
    },
    { limits: 'messagesPerMinutePerSender: 1', now: () => 0 },
  ),
  'malware-found': scanned(letter([], MALWARE), 1e6),
  'malware-not-scanned': scanned(letter(), 10),
  'scanner-unavailable': scanned(letter(), 1e6, false),
  'store-unavailable': message(letter(), {
    around: (store) => ({
      ...store,
      acceptSubmission: () => Promise.reject(new Error('the writer has ended')),
    }),
  }),
  'store-full': message(letter(), {
    around: (store) => ({
      ...store,
      acceptSubmission: () => Promise.reject(Object.assign(new Error('commit'), { code: 'SQLITE_FULL' })),
    }),
  }),
  'shutting-down': [
    plain,
    async ({ ports, service }) => {
      await using wire = await dial(ports.relay);
      const closed = service.close();
      const reply = await wire.reply();
      await wire[Symbol.asyncDispose]();
      await closed;
      return reply;
    },
  ],
  'too-many-connections': [
    { limits: 'smtpSessionsPerAddress: 1' },
    async ({ ports }) => {
      await using first = await dial(ports.relay);
      await first.say('NOOP');
      await using second = await dial(ports.relay);
      // `dial` has read the refusal in place of a greeting.
      return second.greeting;
    },
  ],
};

/** For the cases that need nothing special. */
let usual: TestGateway;
beforeAll(async () => {
  usual = await startGateway();
});
afterAll(() => usual[Symbol.asyncDispose]());

it.each(Object.entries(cases))('%s', async (code, [options, provoke]) => {
  const { smtp, enhanced, text } = catalogue[code as keyof typeof cases];
  await using special = options === plain ? null : await startGateway(options);
  const gateway = special ?? usual;
  expect(await provoke(gateway)).toContain(`${smtp} ${enhanced} ${text}`);
  // Nothing that was refused leaves a trace.
  expect((await gateway.store.head('stadt')).size).toBe(1);
});

it('a relay is admitted by its certificate, from any address', async () => {
  const { client } = await identities();
  const fingerprint = createHash('sha256').update(new X509Certificate(client.certificate).raw).digest('hex');
  await using gateway = await startGateway({
    relays: `{ name: mta, tenants: [stadt], certificates: [${fingerprint}] }`,
  });
  await using wire = await dial(gateway.ports.relay);
  await wire.say('EHLO mta.example');
  expect(await wire.open(ERIKA)).toContain('550 5.7.1 This host is not admitted');
  await wire.secure({ cert: client.certificate, key: client.key });
  expect(await wire.open(ERIKA, MAX)).toMatch(/^354 /);
});

describe('refusals in German', () => {
  let german: TestGateway;
  beforeAll(async () => {
    german = await startGateway({
      languages: { stadt: 'de', dorf: 'de' },
      dailyQuota: 'messages: 3, recipients: 20',
      now: () => Date.parse('2026-11-24T12:00:00Z'),
    });
  });
  afterAll(() => german[Symbol.asyncDispose]());

  it('name option, control and remedy, in ASCII', async () => {
    await using wire = await dial(german.ports.submission);
    await wire.say('EHLO client.example');
    expect(await wire.open(ERIKA)).toBe('530 5.7.0 Melden Sie sich zuerst an, ueber TLS');
    expect(await wire.login(ERIKA, PASSWORD)).toMatch(/^235 /);
    expect(await wire.open(ERIKA, 'max@mail.example')).toContain('Der Empfaenger ist keine De-Mail-Adresse');
    const refused = async (text: string) => {
      await wire.say('RSET');
      expect(await wire.open(ERIKA, MAX)).toMatch(/^354 /);
      return wire.data(text);
    };
    expect(await refused(letter(['Sensitivity: Private']))).toBe(
      '550 5.7.1 Diese Versandoption verlangt das Authentisierungsniveau hoch, das das Konto des Mandanten nicht hat; senden Sie ohne sie (persoenlich, verlangt durch die Vertraulichkeit)',
    );
    expect(await refused(letter().replace('Bescheid', '=?utf-8?Q?[De-Mail:_=C3=A4ltlich]?='))).toContain(
      '(aeltlich)',
    );
    expect(await refused(letter(['Reply-To: erika@web.example']))).toMatch(
      /nehmen Sie Ihre eigene oder keine \(erika@web\.example\)$/,
    );
    expect(await refused(letter(['Subject: zwei']))).toContain('(Subject kommt zweimal vor)');
  });

  it('of the quota: two at once never both take the last one, and the end of the day is named', async () => {
    const replies = await Promise.all(
      Array.from({ length: 6 }, async () => {
        await using wire = await dial(german.ports.relay);
        await wire.say('EHLO mta.example');
        expect(await wire.open(ERIKA, MAX)).toMatch(/^354 /);
        return await wire.data(letter());
      }),
    );
    expect(replies.filter((reply) => reply.startsWith('250 '))).toHaveLength(3);
    const refused = new Set(replies.filter((reply) => !reply.startsWith('250 ')));
    expect([...refused]).toEqual([
      '450 4.7.1 Die Tagesmenge an De-Mails auf Authentisierungsniveau normal ist erreicht; senden Sie wieder, wenn der Tag vorbei ist (Nachrichten: 3 von 3 verbraucht; wieder ab 25.11.2026, 00:00 Uhr, Europe/Berlin)',
    ]);
  });
});

it('who may be of several tenants is answered in the language that they share, else in English', async () => {
  await using mixed = await startGateway({
    languages: { stadt: 'de', dorf: 'en' },
    relays: '{ name: mta, tenants: [dorf, stadt], addresses: [127.0.0.1] }',
  });
  await using wire = await dial(mixed.ports.relay);
  await wire.say('EHLO mta.example');
  expect(await wire.open('')).toContain('Mail without a sender');
  await wire.secure();
  expect(await wire.open('')).toContain('Mail without a sender');
  expect(await wire.open(ERIKA, 'max@mail.example')).toContain('Der Empfaenger ist keine');
});
