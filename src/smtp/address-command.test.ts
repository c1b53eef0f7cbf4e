import { expect, it } from 'vitest';
import { checkAddressCommand } from './address-command.ts';

it.each<[string, string | undefined]>([
  ['MAIL FROM:<a@b.example>', undefined],
  ['MAIL FROM:<>', undefined],
  ['mail from:<a@b.example>', undefined],
  ['MAIL FROM: <a@b.example>', undefined],
  ['MAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x', undefined],
  ['MAIL FROM:<a@b.example>  size=100 ', undefined],
  ['MAIL FROM:<a@b.example> AUTH=<>', undefined],
  ['RCPT TO:<a@b.example> NOTIFY=NEVER ORCPT=rfc822;a@b.example', undefined],
  ['MAIL FROM:<a@b.example> SMTPUTF8', 'smtputf8-not-offered'],
  ['MAIL FROM:<\xc3\xa4@b.example>', 'smtputf8-not-offered'],
  ['RCPT TO:<a@b\xc3\xbc.example>', 'smtputf8-not-offered'],
  ['MAIL FROM:<a@b.example> REQUIRETLS', 'parameter-unknown'],
  ['MAIL FROM:<a@b.example> HOLDFOR=10', 'parameter-unknown'],
  ['MAIL FROM:<a@b.example> NOTIFY=NEVER', 'parameter-unknown'],
  ['RCPT TO:<a@b.example> SIZE=1', 'parameter-unknown'],
  ['RCPT TO:<a@b.example> =x', 'parameter-unknown'],
  ['MAIL FROM:<@relay.example:a@b.example>', 'source-route'],
  ['RCPT TO: <@a.example,@b.example:c@d.example>', 'source-route'],
  ['MAIL FROM:a@b.example', 'sender-malformed'],
  ['MAIL FROM:<a@b.example', 'sender-malformed'],
  ['MAIL FROM:<a@b.example>x', 'sender-malformed'],
  ['MAIL FROM:<a b@c.example>', 'sender-malformed'],
  ['MAIL FROM:<"a b"@c.example>', 'sender-malformed'],
  ['MAIL FROM:<<a@b.example>>', 'sender-malformed'],
  ['MAIL', 'sender-malformed'],
  ['RCPT TO:', 'recipient-malformed'],
  [`RCPT TO:<${'a'.repeat(400)}@b.example>`, 'recipient-malformed'],
])('%s → %s', (line, expected) => {
  const verb = line.slice(0, 4).toUpperCase() as 'MAIL' | 'RCPT';
  expect(checkAddressCommand(verb, line, { auth: true })).toBe(expected);
});

it('AUTH= is unknown where AUTH is not offered', () => {
  expect(checkAddressCommand('MAIL', 'MAIL FROM:<a@b.example> AUTH=<>', { auth: false })).toBe(
    'parameter-unknown',
  );
});
