/** Whole sessions over a real store: what is accepted, and what hostile clients get. */
import { createHash } from 'node:crypto';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Entry, SubmissionEntry } from '../evidence/entry.ts';
import { ERIKA, letter, MAX, PASSWORD, startGateway, type TestGateway } from './testing/gateway.ts';
import { dial, type Wire } from './testing/wire.ts';

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway[Symbol.asyncDispose]());

async function relay(): Promise<Wire> {
  const wire = await dial(gateway.ports.relay);
  await wire.say('EHLO mta.stadt.example');
  return wire;
}

/** The entry that a 250 names. */
async function accepted(reply: string): Promise<Entry & SubmissionEntry> {
  const [, tenant, index] = /^250 2\.0\.0 Accepted as ([a-z-]+)\/(\d+)$/.exec(reply) ?? [];
  expect(reply).toMatch(/^250 2\.0\.0 Accepted as /);
  return (await gateway.store.submissionOf(tenant!, Number(index)))!;
}

async function stored(entry: Entry & SubmissionEntry): Promise<string> {
  const object = await gateway.store.object(entry.tenant, entry.message.object);
  const chunks: Buffer[] = [];
  for await (const chunk of object!.read()) chunks.push(chunk);
  return Buffer.concat(chunks).toString('latin1');
}

async function size(tenant = 'stadt'): Promise<number> {
  return (await gateway.store.head(tenant)).size;
}

describe('a mail from a client', () => {
  it('is stored as it came, with everything that is known about it', async () => {
    await using wire = await dial(gateway.ports.submission);
    expect(await wire.login(ERIKA, PASSWORD)).toMatch(/^235 2\.7\.0 /);
    await wire.say(`MAIL FROM:<${ERIKA}> SIZE=500 BODY=8BITMIME RET=HDRS ENVID=abc`);
    await wire.say(
      `RCPT TO:<Max@Buerger.De-Mail.Example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;max@buerger.de-mail.example`,
    );
    await wire.say('RCPT TO:<moritz@buerger.de-mail.example>');
    await wire.say('DATA');
    const text = letter(
      [
        'X-de-mail-private-id: AZ 4711',
        'X-de-mail-auth-level: high',
        'X-de-mail-confirmation-of-receipt: no',
      ],
      '..ein Punkt\r\n.\r\nGr\xfc\xdfe',
    );
    const entry = await accepted(await wire.data(text));
    expect(await stored(entry)).toBe(text);
    expect(entry).toMatchObject({
      kind: 'submission',
      actor: { type: 'user', name: ERIKA, address: '127.0.0.1' },
      listener: 'submission',
      envelope: {
        from: ERIKA,
        ret: 'HDRS',
        envid: 'abc',
        recipients: [
          { address: MAX, notify: ['SUCCESS', 'FAILURE'], orcpt: 'rfc822;max@buerger.de-mail.example' },
          { address: 'moritz@buerger.de-mail.example' },
        ],
      },
      sender: 'erika@stadt.de-mail.example',
      header: { messageId: '<1@stadt.example>', subject: 'Bescheid', from: ERIKA, date: null },
      message: { sha256: createHash('sha256').update(Buffer.from(text, 'latin1')).digest('hex') },
      options: ['dispatch', 'receipt'],
      optionSources: [
        { option: 'dispatch', by: 'default' },
        // A delivery receipt was asked for; the header of somebody who is no application says nothing.
        { option: 'receipt', by: 'delivery-receipt', value: 'NOTIFY=SUCCESS' },
      ],
      clientPrivateId: 'AZ 4711',
      removedHeaders: [
        { name: 'X-de-mail-auth-level', value: 'high' },
        { name: 'X-de-mail-confirmation-of-receipt', value: 'no' },
      ],
      transactions: [
        { id: 0, to: [MAX], cc: [], bcc: [] },
        { id: 1, to: [], cc: [], bcc: ['moritz@buerger.de-mail.example'] },
      ],
      delivered: [{ owner: ERIKA, mailbox: 'Sent', reason: 'sent' }],
    });
    expect(entry.transactions[0]!.privateId).toMatch(/^AZ 4711\.[0-9a-f]{32}$/);
    const owner = { type: 'user', name: ERIKA } as const;
    const sent = await gateway.store.mailbox('stadt', owner, 'Sent');
    const [row] = (await gateway.store.messages('stadt', sent!.id)).slice(-1);
    expect(row).toMatchObject({ flags: ['\\Seen'], size: text.length });
  });

  it('may come by nodemailer, over TLS', async () => {
    const before = await size();
    const transport = createTransport({
      host: '127.0.0.1',
      port: gateway.ports.submissions,
      secure: true,
      auth: { user: ERIKA, pass: PASSWORD },
      tls: { rejectUnauthorized: false },
    });
    const { response } = await transport.sendMail({
      from: ERIKA,
      to: MAX,
      subject: 'Über TLS',
      text: 'Gruß',
    });
    transport.close();
    expect((await accepted(response)).header.subject).toBe('Über TLS');
    expect(await size()).toBe(before + 1);
  });

  it('may be sent as a shared mailbox; the entry names who did, and the copy is in their own Gesendet', async () => {
    await using wire = await dial(gateway.ports.submissions, { rejectUnauthorized: false });
    await wire.login(ERIKA, PASSWORD);
    await wire.open('poststelle@stadt.de-mail.example', MAX);
    const entry = await accepted(await wire.data(letter().replace(ERIKA, 'poststelle@stadt.example')));
    expect(entry).toMatchObject({
      actor: { type: 'user', name: ERIKA },
      sender: 'poststelle@stadt.de-mail.example',
      delivered: [{ owner: ERIKA, mailbox: 'Sent' }],
    });
  });

  it('logs in by AUTH LOGIN with an initial response, and Outlook puts a space after the colon', async () => {
    await using wire = await dial(gateway.ports.submissions, { rejectUnauthorized: false });
    await wire.say('EHLO outlook');
    expect(await wire.say(`AUTH LOGIN ${Buffer.from(ERIKA).toString('base64')}`)).toBe('334 UGFzc3dvcmQ6');
    expect(await wire.say(Buffer.from(PASSWORD).toString('base64'))).toMatch(/^235 /);
    expect(await wire.say(`MAIL FROM: <${ERIKA}>`)).toMatch(/^250 2\.1\.0 /);
  });
});

describe('a mail from a relay', () => {
  it('names the relay, the asserted From, and leaves a copy with the owner of the address', async () => {
    await using wire = await relay();
    await wire.open('jan@stadt.example', MAX);
    const entry = await accepted(await wire.data(letter().replace(ERIKA, 'jan@stadt.example')));
    expect(entry).toMatchObject({
      actor: { type: 'relay', name: 'mta', address: '127.0.0.1' },
      listener: 'relay',
      header: { from: 'jan@stadt.example' },
      sender: 'jan@stadt.de-mail.example',
      delivered: [{ owner: 'jan@stadt.example', mailbox: 'Sent' }],
    });
  });

  it('that is private leaves no copy in a shared mailbox, whoever sends it', async () => {
    await using village = await startGateway({
      relays: '{ name: mta, tenants: [dorf], addresses: [127.0.0.1] }',
    });
    await using wire = await dial(village.ports.relay);
    await wire.say('EHLO mta.dorf.example');
    const deliveries = [];
    for (const [from, header] of [
      ['rathaus@dorf.example', 'Sensitivity: Private'],
      ['rathaus@dorf.example', 'Sensitivity: Normal'],
      ['ida@dorf.example', 'Sensitivity: Private'],
    ] as const) {
      await wire.open(from, MAX);
      const reply = await wire.data(letter([header]).replace(ERIKA, from));
      const entry = await village.store.submissionOf('dorf', Number(/dorf\/(\d+)$/.exec(reply)?.[1]));
      deliveries.push([entry!.options.includes('private'), ...entry!.delivered.map(({ owner }) => owner)]);
    }
    expect(deliveries).toEqual([[true], [false, 'shared:Rathaus'], [true, 'ida@dorf.example']]);
  });

  it('comes for its own tenants alone, whatever its From says', async () => {
    const before = [await size('stadt'), await size('dorf')];
    await using wire = await relay();
    expect(await wire.open('ida@dorf.example', MAX)).toMatch(/^550 5\.7\.1 /);
    expect(await wire.say('RSET')).toMatch(/^250 /);
    for (const from of ['ida@dorf.example', 'ida@dorf.de-mail.example', 'x@elsewhere.example']) {
      await wire.open(ERIKA, MAX);
      expect(await wire.data(letter().replace(ERIKA, from))).toMatch(/^550 5\.7\.1 The From address/);
    }
    expect([await size('stadt'), await size('dorf')]).toEqual(before);
  });
});

describe('no mail of one tenant goes out with an address of another', () => {
  const addresses = {
    stadt: ['erika@stadt.example', 'erika@stadt.de-mail.example', 'poststelle@stadt.example'],
    dorf: ['ida@dorf.example', 'ida@dorf.de-mail.example'],
  };
  const foreign = [
    ...addresses.dorf.map((address) => [ERIKA, ERIKA, address] as const),
    ...addresses.stadt.map((address) => ['ida@dorf.example', 'ida@dorf.example', address] as const),
  ];
  it.each(foreign)('%s, own address %s, foreign %s', async (login, own, other) => {
    await using wire = await dial(gateway.ports.submissions, { rejectUnauthorized: false });
    await wire.login(login, PASSWORD);
    expect(await wire.open(other, MAX)).toMatch(/^550 5\.7\.1 You have no right/);
    await wire.open(own, MAX);
    expect(await wire.data(letter().replace(ERIKA, other))).toMatch(/^550 5\.7\.1 /);
    await wire.open(own, MAX);
    const both = letter().replace(`From: Erika <${ERIKA}>`, `From: <${own}>, <${other}>`);
    expect(await wire.data(both)).toMatch(/^550 5\.7\.1 Message has several/);
    await wire.open(own, MAX);
    const asSender = letter().replace(ERIKA, own).replace('Subject', `Sender: ${other}\r\nSubject`);
    expect(await wire.data(asSender)).toMatch(/^550 5\.7\.1 The From address/);
    await wire.open(own, MAX);
    const entry = await accepted(
      await wire.data(letter([`Reply-To: ${own}`]).replace(/<erika.*>/, `<${own}>`)),
    );
    expect(own).toContain(entry.tenant);
  });
});

describe('the dialogue', () => {
  it('offers what it can, AUTH after STARTTLS alone', async () => {
    await using wire = await dial(gateway.ports.submission);
    expect(wire.greeting).toMatch(/^220 gateway\.example ESMTP/);
    const plain = await wire.say('EHLO client.example');
    expect(plain.split('|').map((line) => line.slice(4))).toEqual([
      'gateway.example',
      'PIPELINING',
      '8BITMIME',
      'ENHANCEDSTATUSCODES',
      'DSN',
      'STARTTLS',
      'SIZE 47185920',
    ]);
    await wire.secure();
    expect(await wire.say('EHLO client.example')).toContain('|250-AUTH PLAIN LOGIN|');
  });

  it('forgets what was said before STARTTLS, and drops what was pipelined behind it', async () => {
    await using wire = await dial(gateway.ports.relay);
    await wire.say('EHLO mta.example');
    await wire.say(`MAIL FROM:<${ERIKA}>`);
    const injected = `RCPT TO:<${MAX}>\r\nDATA\r\n${letter()}.\r\n`.repeat(60);
    wire.socket.write(`STARTTLS\r\n${injected}`);
    expect(await wire.reply()).toMatch(/^220 /);
    await wire.handshake();
    // The first reply inside TLS belongs to the first command inside TLS.
    expect(await wire.say(`RCPT TO:<${MAX}>`)).toMatch(/^503 /);
    expect(await wire.say('EHLO mta.example')).toMatch(/^250-/);
    expect(await wire.say(`RCPT TO:<${MAX}>`)).toMatch(/^503 /);
  });

  it('takes a whole mail pipelined, and answers in order', async () => {
    await using wire = await relay();
    wire.write(`MAIL FROM:<${ERIKA}>\r\nRCPT TO:<max@mail.example>\r\nRCPT TO:<${MAX}>\r\nDATA\r\n`);
    const replies = [await wire.reply(), await wire.reply(), await wire.reply(), await wire.reply()];
    expect(replies.map((reply) => reply.slice(0, 3))).toEqual(['250', '550', '250', '354']);
    await accepted(await wire.data(letter()));
  });

  it('takes commands byte by byte', async () => {
    await using wire = await relay();
    for (const byte of `MAIL FROM:<${ERIKA}>\r\n`) wire.write(byte);
    expect(await wire.reply()).toMatch(/^250 2\.1\.0 /);
  });

  it.each(['NOOP\n', 'NO\rOP\r\n', 'NO\0OP\r\n', '\n', 'NOOP\r\r\n'])(
    'refuses %j and goes on',
    async (bytes) => {
      await using wire = await relay();
      wire.write(bytes);
      expect(await wire.reply()).toBe('500 5.5.2 Command lines end with CRLF');
      expect(await wire.say('NOOP')).toMatch(/^250 /);
    },
  );

  it('ends with a client that sends nonsense', async () => {
    await using wire = await relay();
    wire.write('NOOP\n'.repeat(100_000));
    const replies: string[] = [];
    for (let reply = await wire.reply(); reply !== 'closed'; reply = await wire.reply()) replies.push(reply);
    expect(replies.length).toBeLessThanOrEqual(11);
    await using other = await relay();
    expect(await other.say('NOOP')).toMatch(/^250 /);
  });

  it('answers a command of endless length by closing', async () => {
    await using wire = await relay();
    wire.write(`NOOP ${'x'.repeat(100_000)}`);
    expect(await wire.reply()).toMatch(/^421 4\.5\.2 /);
    expect(await wire.reply()).toBe('closed');
  });

  it.each(['WIZ', 'SHELL', 'KILL', 'XCLIENT NAME=x', 'XFORWARD NAME=x', 'BDAT 10 LAST', 'TURN', 'EXPN x'])(
    'does not know %s',
    async (command) => {
      await using wire = await relay();
      expect(await wire.say(command)).toMatch(/^500 5\.5\.2 /);
    },
  );

  it('keeps an xn-- domain as it came', async () => {
    await using wire = await relay();
    await wire.open(ERIKA, 'max@xn--brger-kva.de-mail.example');
    const entry = await accepted(await wire.data(letter()));
    expect(entry.envelope.recipients).toEqual([{ address: 'max@xn--brger-kva.de-mail.example' }]);
  });
});

describe('hostile content', () => {
  it.each<[string, string]>([
    ['a bare LF', letter([], 'one\ntwo')],
    ['a bare CR', letter([], 'one\rtwo')],
    ['a bare CR at the end', `${letter([], 'one').slice(0, -2)}\r`],
    ['LF.LF', letter([], 'one\n.\nMAIL FROM:<x@y>')],
    ['CR.CR', letter([], 'one\r.\rMAIL FROM:<x@y>')],
    ['LF.CRLF', letter([], 'one\n.\r\nMAIL FROM:<x@y>')],
    ['CRLF.LF', letter([], 'one\r\n.\nMAIL FROM:<x@y>')],
    ['CRLF.CR', letter([], 'one\r\n.\rMAIL FROM:<x@y>')],
    ['CR CRLF', letter([], 'one\r\r\ntwo')],
    ['a bare LF in the header', letter(['X-A: b\nX-C: d'])],
  ])('%s is refused, and nothing after it becomes a command', async (_, text) => {
    const before = await size();
    await using wire = await relay();
    await wire.open(ERIKA, MAX);
    // Sent as it is: no doubling of dots.
    wire.write(Buffer.from(`${text}\r\n.\r\n`, 'latin1'));
    expect(await wire.reply()).toMatch(/^550 5\.6\.0 Message contains a bare CR or LF/);
    expect(await wire.say('NOOP')).toMatch(/^250 /);
    expect(await size()).toBe(before);
  });

  it('ends the message at CRLF.CRLF wherever the packets are cut', async () => {
    await using wire = await relay();
    const text = letter([], '.\r\n..\r\nEnde');
    const doubled = text.replace(/^\./gm, '..');
    for (let cut = 0; cut < 3; cut++) {
      await wire.open(ERIKA, MAX);
      wire.socket.setNoDelay(true);
      for (let at = 0; at < doubled.length; at += cut + 1) {
        await new Promise((resolve) => wire.socket.write(doubled.slice(at, at + cut + 1), resolve));
      }
      wire.write('.\r\n');
      expect(await stored(await accepted(await wire.reply()))).toBe(text);
    }
  });

  it.each<[string, string]>([
    ['no header at all', '\r\nHallo\r\n'],
    ['nothing at all', ''],
    ['a header without end', `X-A: ${'b'.repeat(900)}\r\n`.repeat(400)],
    ['ten thousand fields', `${'A: b\r\n'.repeat(10_000)}\r\n`],
    [
      'a From of ten thousand addresses',
      letter().replace(`Erika <${ERIKA}>`, Array(10_000).fill('a@b.c').join(',\r\n ')),
    ],
    ['nested groups', letter().replace(`Erika <${ERIKA}>`, `${'('.repeat(900)}`)],
  ])('%s is refused', async (_, text) => {
    await using wire = await relay();
    await wire.open(ERIKA, MAX);
    expect(await wire.data(text)).toMatch(/^550 5\.[67]\.[01] /);
    expect(await wire.say('NOOP')).toMatch(/^250 /);
  });
});

describe('a client that goes away in the middle of a message', () => {
  it('leaves nothing behind', async () => {
    const before = await size();
    const aborted = vi.fn();
    await using watched = await startGateway({
      around: (store) => ({
        ...store,
        stage(tenant) {
          const writer = store.stage(tenant);
          return {
            ...writer,
            abort: async () => {
              await writer.abort();
              aborted();
            },
          };
        },
        acceptSubmission: (tenant, submission) => store.acceptSubmission(tenant, submission),
      }),
    });
    const wire = await dial(watched.ports.relay);
    await wire.say('EHLO mta.example');
    await wire.open(ERIKA, MAX);
    wire.write(letter([], 'x'.repeat(70).concat('\r\n').repeat(10_000)));
    wire.socket.end();
    await vi.waitFor(() => expect(aborted).toHaveBeenCalled(), { timeout: 60_000 });
    await wire[Symbol.asyncDispose]();
    expect((await watched.store.head('stadt')).size).toBe(1);
    expect(await size()).toBe(before);
  });
});

describe('a message that is too large', () => {
  it('is refused in MAIL where the client says so', async () => {
    await using wire = await relay();
    expect(await wire.say(`MAIL FROM:<${ERIKA}> SIZE=47185921`)).toMatch(/^552 5\.3\.4 /);
  });

  it('is read to its end and refused; far beyond that the connection is closed', async () => {
    await using small = await startGateway({ limits: 'messageSize: 64KiB' });
    await using wire = await dial(small.ports.relay);
    await wire.say('EHLO mta.example');
    await wire.open(ERIKA, MAX);
    expect(await wire.data(letter([], 'x'.repeat(70).concat('\r\n').repeat(1_000)))).toMatch(/^552 5\.3\.4 /);
    expect(await wire.say('NOOP')).toMatch(/^250 /);
    await wire.open(ERIKA, MAX);
    wire.write('x'.repeat(70).concat('\r\n').repeat(10_000));
    expect(await wire.reply()).toMatch(/^552 5\.3\.4 /);
    expect(await wire.reply()).toBe('closed');
    expect((await small.store.head('stadt')).size).toBe(1);
  });
});

describe('limits of connections', () => {
  it('all together', async () => {
    await using small = await startGateway({ limits: 'smtpSessions: 1' });
    await using first = await dial(small.ports.relay);
    expect(first.greeting).toMatch(/^220 /);
    await using second = await dial(small.ports.relay);
    expect(second.greeting).toMatch(/^421 4\.7\.0 Too many connections/);
    expect(await second.reply()).toBe('closed');
    expect(await first.say('NOOP')).toMatch(/^250 /);
  });

  it('of one address, given back when they end', async () => {
    await using small = await startGateway({ limits: 'smtpSessionsPerAddress: 1' });
    const first = await dial(small.ports.submissions, { rejectUnauthorized: false });
    await using refused = await dial(small.ports.submissions, { rejectUnauthorized: false });
    expect(refused.greeting).toBe('closed');
    await first.say('QUIT');
    await first[Symbol.asyncDispose]();
    await vi.waitFor(
      async () => {
        await using next = await dial(small.ports.submissions, { rejectUnauthorized: false });
        expect(next.greeting).toMatch(/^220 /);
      },
      { timeout: 60_000 },
    );
  });

  it('of idleness', async () => {
    await using small = await startGateway({ limits: 'idleTimeout: 1s' });
    await using idle = await dial(small.ports.relay);
    expect(await idle.reply()).toMatch(/^421 /);
    expect(await idle.reply()).toBe('closed');
  });
});

describe('while the gateway stops', () => {
  it('a message in transfer is finished, and answered', async () => {
    const stopping = await startGateway();
    await using wire = await dial(stopping.ports.relay);
    await wire.say('EHLO mta.example');
    await wire.open(ERIKA, MAX);
    wire.write(letter().slice(0, 20));
    const closed = stopping[Symbol.asyncDispose]();
    expect(await wire.data(letter().slice(20))).toMatch(/^250 2\.0\.0 Accepted as stadt\/1$/);
    expect(await wire.reply()).toMatch(/^421 4\.3\.2 /);
    await wire[Symbol.asyncDispose]();
    await closed;
  });
});
