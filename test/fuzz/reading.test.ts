/**
 * Reading a De-Mail never fails with an exception, whatever stands there. Some thousand inputs each in every run;
 * `npm run test:long` does a million each.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { findXmlPart, readConfirmation } from '../../src/demail/confirmation.ts';
import { correlate } from '../../src/demail/correlation.ts';
import { createIntegrityCheck } from '../../src/demail/integrity.ts';
import { messageKind, readMetadata, toDemailFacts } from '../../src/demail/metadata.ts';
import { parseRecipientList, printRecipientList } from '../../src/demail/recipients.ts';
import { createParser, strangerLimits, userLimits } from '../../src/imap/codec/parser.ts';
import { decodeContent } from '../../src/mime/digest.ts';
import { headerEnd, parseHeader } from '../../src/mime/header.ts';
import { createIndexer } from '../../src/mime/structure.ts';
import { commandPieces, wholeCommands } from './imap-commands.ts';
import { mutate, random } from './mutation.ts';

const inputs = Number(process.env.FUZZ_INPUTS ?? 3000);
const seed = 1201;

const folder = new URL('../vectors/cases/', import.meta.url);
const vectors = readdirSync(folder).map((name) => readFileSync(new URL(name, folder)));
const headers = vectors.map((bytes) => bytes.subarray(0, headerEnd(bytes)));

const everyHeader = Buffer.from(
  [
    'X-de-mail-confirmation-of-dispatch: yes',
    'X-de-mail-confirmation-of-receipt: no',
    'X-de-mail-confirmation-of-retrieve: yes',
    'X-de-mail-authoritative: no',
    'X-de-mail-private: yes',
    'X-de-mail-sender: erika@amt.de-mail.de',
    'X-de-mail-chosen-recipient: to=max@x.de-mail.de;\r\n "B, C" <b@y.de>;cc=c@z.de;bcc=d@z.de',
    'X-de-mail-actual-recipient: to=max@x.de-mail.de',
    'X-de-mail-auth-level: high',
    'X-de-mail-auth-mechanism: token',
    'X-de-mail-originator-provider: provider.de-mail.de',
    'X-de-mail-message-type: confirmation of receipt',
    'X-de-mail-integrity: v=1; a=sha256; c=simple/simple; d=x; s=y; h=From:Date:Subject;\r\n bh=AAAA; b=BBBB',
    'X-de-mail-signature-certificate: MIIB\r\n AAAA',
    'X-de-mail-version: 1.8',
    'X-de-mail-private-id: gw-1',
    'X-de-mail-message-id: <1@provider>',
    'X-de-mail-account-holder: =?utf-8?q?Stadt_W=C3=A4ren?=',
    'X-de-mail-notification-type: closed-account',
    'Resent-From: a@x.de',
    'Envelope-to: max@x.de-mail.de',
    'From: Erika <erika@amt.de-mail.de>',
    'Date: Mon, 1 Jun 2026 12:00:00 +0000',
    'Message-ID: <1@x>',
    'Reply-To: r@amt.de-mail.de',
    'Subject: x',
    '',
    '',
  ].join('\r\n'),
);
const headerPieces = [
  ...[
    '\r\n',
    '\n',
    '\r',
    '\r\n ',
    '\t',
    ':',
    ': ',
    ';',
    '=',
    '"',
    '\\',
    '<',
    '>',
    '(',
    ')',
    ',',
    '@',
    '\0',
    '\xff',
  ],
  ...[
    'to=',
    'cc=',
    'BCC=',
    ' x <',
    'yes',
    'a=sha512/rsa;',
    'a=sha1;',
    'h=From;',
    'l=3;',
    'b=;',
    'bh=AA;',
    'q=dns/txt;',
  ],
  ...[
    'X-de-mail-private: yes\r\n',
    'X-DE-MAIL-SENDER:',
    '=?utf-8?b?',
    '?=',
    'a'.repeat(300),
    '"'.repeat(50),
    '('.repeat(80),
  ],
];

const xmlSeeds = vectors.flatMap((bytes) => {
  const indexer = createIndexer();
  indexer.push(bytes);
  const part = findXmlPart(indexer.finish());
  if (part === null) return [];
  const xml = decodeContent(bytes.subarray(part.bodyStart, part.bodyEnd), part.encoding).toString('latin1');
  // Without its signature it is a tenth as long, so that edits hit what is read.
  return [Buffer.from(xml.replace(/<ds:Signature[\s\S]*<\/ds:Signature>/, ''), 'latin1')];
});
const xmlPieces = [
  ...[
    '<',
    '>',
    '/>',
    '</',
    '&',
    '&#0;',
    '&#x110000;',
    '&amp;',
    '"',
    "'",
    '\0',
    '\xff',
    ']]>',
    '<!--',
    '-->',
    '<![CDATA[',
  ],
  ...[
    '<Time/>',
    '<Hash>',
    '</Metadate>',
    'xmlns="urn:x"',
    'xmlns:a=""',
    '<!DOCTYPE x [',
    '<?xml',
    '?>',
    ' x="1"',
    '<a>'.repeat(40),
  ],
];

const readers: readonly (readonly [string, readonly Buffer[], readonly string[], (input: Buffer) => void])[] =
  [
    [
      'metadata',
      [...headers, everyHeader, everyHeader],
      headerPieces,
      (input) => {
        const metadata = readMetadata(parseHeader(input));
        const facts = toDemailFacts(metadata);
        for (const address of [...facts.chosenRecipients, ...facts.envelopeTo])
          if (address !== address.toLowerCase()) throw new Error(`${address} is not in lower case`);
        messageKind(metadata.messageType);
        correlate(metadata, null);
      },
    ],
    [
      'integrity header',
      [...headers, everyHeader],
      headerPieces,
      (input) => {
        const check = createIntegrityCheck(parseHeader(input));
        if (check === null || !('push' in check)) return;
        check.push(input.subarray(0, 50));
        check.push(input.subarray(50));
        check.finish();
      },
    ],
    [
      'recipient list',
      ['to=a@x.de;"B; cc=x@y" <b@y.de>;cc=C <c@z.de>, d@z.de;bcc=e@x.de', 'to=a@x.de'].map((s) =>
        Buffer.from(s),
      ),
      headerPieces,
      (input) => {
        const list = parseRecipientList(input.toString('latin1'));
        const again = parseRecipientList(printRecipientList(list));
        const addresses = (of: typeof list) =>
          JSON.stringify([of.to, of.cc, of.bcc].map((l) => l.map((r) => r.address)));
        if (addresses(again) !== addresses(list))
          throw new Error(`${addresses(list)} became ${addresses(again)}`);
      },
    ],
    [
      'confirmation XML',
      xmlSeeds,
      xmlPieces,
      (input) => {
        const result = readConfirmation(confirmationHeader, input);
        if (!result.ok && result.reason === '') throw new Error('refused without a reason');
      },
    ],
    [
      'IMAP commands',
      wholeCommands.map((text) => Buffer.from(`a1 ${text}\r\n`)),
      commandPieces,
      (input) => {
        const parser = createParser(input.length % 2 ? strangerLimits : userLimits);
        for (const half of [
          input.subarray(0, input.length >> 1),
          input.subarray(input.length >> 1),
          filler,
        ]) {
          if (parser.dead) return;
          parser.push(half);
          for (let event = parser.next(); event !== null; event = parser.next())
            if (event.kind === 'append') input.length % 3 ? parser.accept() : parser.refuse();
        }
      },
    ],
  ];
const confirmationHeader = parseHeader(
  Buffer.from(
    'X-de-mail-message-type: confirmation of retrieve\r\nX-de-mail-chosen-recipient: to=e@a.de;cc=m@x.de\r\n\r\n',
  ),
);
const filler = Buffer.from('\r\n'.repeat(4));

describe(`${inputs} mutated inputs, seed ${seed}`, () => {
  it.each(readers)(
    '%s',
    (_, seeds, pieces, read) => {
      const next = random(seed);
      for (let count = 0; count < inputs; count++) {
        const input = mutate(next, seeds, pieces);
        try {
          read(input);
        } catch (error) {
          expect.fail(
            `input ${count}, ${JSON.stringify(input.toString('latin1'))}: ${(error as Error).stack}`,
          );
        }
      }
    },
    // A million take minutes each.
    3_600_000,
  );
});
