/**
 * Makes a small store with an entry of most kinds: `node test/stores/make-store.ts test/stores/v1`. Run once per
 * release that changes the format; what it made is committed and never made again.
 */
import { createHash } from 'node:crypto';
import { createIndexer } from '../../src/mime/structure.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Fetched, StagedMessage, Store } from '../../src/store/store.ts';

const tenant = 'stadt-waren';
const max = 'max.mustermann@buerger.de-mail.example';
const eva = 'eva.muster@buerger.de-mail.example';
const sender = 'erika.mustermann@stadt-waren.de-mail.example';
const erika = { type: 'user', name: 'erika.mustermann@stadt-waren.example' } as const;

async function stage(store: Store, text: string): Promise<StagedMessage> {
  const writer = store.stage(tenant);
  const indexer = createIndexer();
  indexer.push(Buffer.from(text));
  await writer.write(Buffer.from(text));
  return { object: await writer.finish(), index: indexer.finish() };
}

const directory = process.argv[2];
if (directory === undefined) throw new Error('usage: node test/stores/make-store.ts DIRECTORY');

let now = Date.parse('2026-11-24T08:00:00Z');
const store = await openSqliteStore({ directory, originPrefix: 'gateway.example', clock: () => (now += 1000) });
await store.openTenant(tenant);

const submittedHeader = `From: ${erika.name}\r\nTo: ${max}\r\nMessage-ID: <1@stadt-waren.example>\r\nSubject: Bescheid\r\n`;
// Longer than 128 KiB, so that the object lies in a file; it compresses well in the repository.
const body = `\r\nSehr geehrter Herr Mustermann,\r\n${'anbei der Bescheid.\r\n'.repeat(7_000)}`;
const message = await stage(store, submittedHeader + body);
const { letter } = await store.acceptSubmission(tenant, {
  actor: { ...erika, address: '192.0.2.7' },
  listener: 'submission',
  envelope: { from: erika.name, recipients: [{ address: max, notify: ['SUCCESS'] }, { address: eva }], ret: 'HDRS', envid: 'e1' },
  sender,
  header: { messageId: '<1@stadt-waren.example>', subject: 'Bescheid', from: erika.name, date: null },
  attachments: [{ name: 'bescheid.pdf', type: 'application/pdf', size: 3, sha256: createHash('sha256').update('pdf').digest('hex') }],
  options: ['dispatch', 'receipt'],
  clientPrivateId: 'AZ-1',
  removedHeaders: [{ name: 'X-de-mail-auth-level', value: 'high' }],
  transactions: [
    { id: 0, privateId: 'AZ-1.0123456789abcdef0123456789abcdef', to: [max], cc: [], bcc: [] },
    { id: 1, privateId: 'AZ-1.fedcba9876543210fedcba9876543210', to: [], cc: [], bcc: [eva] },
  ],
  message,
  deposits: [{ owner: erika, mailbox: 'Gesendet', reason: 'sender', prefix: Buffer.alloc(0), flags: ['\\Seen'] }],
});

async function handOver(transaction: number, recipient: string, result: 'accepted' | 'in-doubt'): Promise<void> {
  const header = `X-de-mail-sender: ${sender}\r\n${submittedHeader}\r\n`;
  const handed = Buffer.from(header + body.slice(2));
  await store.recordHandoverIntent(tenant, {
    letter, transaction, attempt: 1, endpoint: 'smtp.provider.example:465', recipients: [recipient],
    handed: { sha256: createHash('sha256').update(handed).digest('hex'), size: handed.length, header: (await stage(store, header)).object, bodyFrom: submittedHeader.length + 2 },
    edits: [{ op: 'add', name: 'X-de-mail-sender', after: sender }],
  });
  const reply = result === 'accepted' ? '250 2.0.0 taken' : 'connection lost';
  await store.recordHandoverOutcome(tenant, {
    letter, transaction, attempt: 1, result: result === 'accepted' ? 'done' : 'in-doubt',
    recipients: [{ address: recipient, result: result === 'accepted' ? 'accepted' : 'deferred', reply }], reply, peer: { endpoint: 'smtp.provider.example:465', certificate: 'ab'.repeat(32) },
  });
}

await handOver(0, max, 'accepted');
await handOver(1, eva, 'in-doubt');

const fetched = (uid: number, staged: StagedMessage, privateId: string | null) => ({
  source: { account: 'stadt-waren', folder: 'INBOX', uidValidity: '1', uid },
  header: { messageId: `<${uid}@provider.example>`, subject: `Nachricht ${uid}`, from: sender, date: null },
  demail: { messageType: 'normal', messageId: `<${uid}@provider.example>`, privateId, sender: null, authLevel: 'high', originatorProvider: 'provider.example', options: [], chosenRecipients: [max], envelopeTo: [sender] },
  attachments: [],
  verdict: 'not-checked' as const,
  staged,
  deposits: [{ owner: erika, mailbox: 'De-Mail-Bestätigungen', reason: 'sender', prefix: Buffer.from('X-Demail-Gateway-Kind: test\r\n'), flags: [] }],
});
const confirmation: Fetched = {
  ...fetched(1, await stage(store, 'Message-ID: <1@provider.example>\r\n\r\nVersandt\r\n'), 'AZ-1.fedcba9876543210fedcba9876543210'),
  kind: 'confirmation', confirmation: 'dispatch', letter, transaction: 1, recipients: [eva], statedTime: '2026-11-24T08:00:00Z', matchedBy: 'private-id', originalMessageId: '<o@provider.example>',
};
const recorded = await store.recordFetched(tenant, confirmation);
await store.settleHandover(tenant, { letter, transaction: 1, recipients: [eva], decision: 'handed-over', by: 'dispatch-confirmation', actor: { type: 'gateway', name: 'provider link' }, reason: 'confirmed by the provider' });
await store.recordFetched(tenant, { ...fetched(2, await stage(store, 'Message-ID: <2@provider.example>\r\n\r\nAntrag\r\n'), null), kind: 'inbound' });
const crl = (await stage(store, 'revocation data')).object;
await store.recordVerdict(tenant, { about: recorded!.index, letter, recipients: [eva], verdict: 'valid', checks: [{ name: 'body-hash', result: 'passed', reason: 'it fits' }], material: [{ type: 'crl', object: crl }], nextAttempt: null });
await store.recordOverdue(tenant, { letter, confirmation: 'receipt', recipients: [max], since: '2026-11-24T08:00:00.000Z' });
await store.deliverNotice(tenant, { letter, about: 'delayed', text: 'still waiting', message: await stage(store, 'Subject: x\r\n\r\nx\r\n'), deposits: [] }, 'delay-1h');
await store.recordIncident(tenant, { incident: 'account', state: 'opened', text: 'login refused' });
await store.recordAccess(tenant, { actor: { type: 'operator', name: 'ops' }, action: 'show', query: '1' });
await store.setLock(tenant, { locked: true, actor: { type: 'operator', name: 'ops' }, reason: 'trial' });
await store.setLock(tenant, { locked: false, actor: { type: 'operator', name: 'ops' }, reason: 'trial over' });
await store[Symbol.asyncDispose]();
