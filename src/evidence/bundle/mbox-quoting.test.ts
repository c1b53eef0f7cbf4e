import { expect, test } from 'vitest';
import { mboxMessage } from './mbox.ts';

/** As a reader of mbox takes a message out: the separator and the empty line go, one `>` of a quoted line too. */
function takeOut(mbox: Buffer): { separator: string; message: string } {
  const [separator, ...lines] = mbox.toString('latin1').replace(/\n\n$/, '\n').split('\n');
  return {
    separator: separator!,
    message: lines.map((line) => line.replace(/^>(>*From )/, '$1')).join('\r\n'),
  };
}

test.each(['From the start\r\n', '>From\r\n>From x\r\n>>From y\r\n From z\r\n', 'fromage\r\n\r\nä\xff\r\n'])(
  'quotes as qmail does, so that reading gives the very lines again: %j',
  (body) => {
    const message = `Subject: x\r\n\r\n${body}`;
    const mbox = mboxMessage(Buffer.from(message, 'latin1'), 'a@x.de', new Date('2026-03-01T08:05:09Z'));
    expect(takeOut(mbox)).toEqual({ separator: 'From a@x.de Sun Mar  1 08:05:09 2026', message });
    expect(mbox.toString('latin1').match(/^From /gm)).toHaveLength(1);
  },
);
