import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { verifyConfirmationXml } from './confirmation-xml.ts';
import { originalHeaderHash } from './original-header.ts';
import { verifySignature } from './signature.ts';
import { confirmationParts } from './testing/confirmation-parts.ts';
import type { Metadate } from './xml-acknowledgement.ts';

const vector = (name: string) => {
  const file = new URL(`../../test/vectors/cases/${name}.eml`, import.meta.url);
  return verifyConfirmationXml(confirmationParts(readFileSync(file))).acknowledgement!;
};

test.each(['confirm-dispatch-rsa-exc', 'confirm-retrieve-bp256-inc'])(
  "%s: the original's signature verifies over the repeated headers",
  (name) => {
    const { metadata, hash } = vector(name);
    const original = originalHeaderHash(metadata, hash);
    if (!original.ok) throw new Error(original.reason);
    expect(original.value).toMatchObject({ hash: 'sha256', scheme: 'ec-dsa' });
    expect(original.value.bodyHash.toString('base64')).toBe('MRiiz9UKhvhLqFD95lIizJB1zoosB2MfxaW2+N3yChE=');
    const key = new X509Certificate(original.certificate!).publicKey;
    const { signedBytes, value } = original;
    expect(verifySignature('ec-dsa', 'sha256', key, signedBytes, value.value)).toEqual({ ok: true });
    expect(original.covered.map(({ lower }) => lower)).toContain('x-de-mail-private-id');
  },
);

test('one changed original header breaks it', () => {
  const { metadata, hash } = vector('confirm-dispatch-rsa-exc');
  const changed = metadata.map((entry) =>
    entry.name === 'Subject'
      ? { ...entry, originalHeader: entry.originalHeader.replace('2026', '2027') }
      : entry,
  );
  const original = originalHeaderHash(changed, hash);
  if (!original.ok) throw new Error(original.reason);
  const key = new X509Certificate(original.certificate!).publicKey;
  expect(verifySignature('ec-dsa', 'sha256', key, original.signedBytes, original.value.value).ok).toBe(false);
});

/** Header of a message that was hashed only, as a provider's own program would hash it. */
function hashed(): { metadata: Metadate[]; hash: string } {
  const from = 'From: a@x.de-mail.example';
  const subject = 'Subject: one\r\n two';
  const unsigned = 'v=1; a=sha256; c=simple/simple; h=From:Subject;\r\n bh=AAAA; b=';
  const bytes = `${from}\r\n${subject}\r\nX-de-mail-integrity: ${unsigned}`;
  const hash = `${unsigned}${createHash('sha256').update(bytes).digest('base64')}`;
  const metadate = (originalHeader: string) => ({
    name: originalHeader.split(':')[0]!,
    value: originalHeader.slice(originalHeader.indexOf(':') + 2).replaceAll('\r\n', ''),
    originalHeader: originalHeader.replaceAll('\r\n', '\n'),
  });
  return { metadata: [from, subject, `X-de-mail-integrity: ${hash}`].map(metadate), hash };
}

test('hash only: line ends that XML turned into LF are restored', () => {
  const { metadata, hash } = hashed();
  for (const list of [metadata, metadata.slice(0, 2)]) {
    expect(originalHeaderHash(list, hash)).toMatchObject({ ok: true, fits: true });
  }
  const reversed = [metadata[2]!, metadata[1]!, metadata[0]!];
  expect(originalHeaderHash(reversed, hash)).toMatchObject({ ok: true, fits: true });
});

test('what does not fit', () => {
  const { metadata, hash } = hashed();
  expect(originalHeaderHash(metadata.slice(1), hash)).toMatchObject({ ok: true, fits: false });
  expect(originalHeaderHash(metadata, hash.replace('bh=AAAA', 'bh=BBBB'))).toMatchObject({ ok: false });
  expect(originalHeaderHash(metadata, 'nonsense')).toMatchObject({ ok: false });
  const doubled = metadata.map((entry) =>
    entry.name === 'Subject' ? { ...entry, originalHeader: `X: y\r\n${entry.originalHeader}` } : entry,
  );
  expect(originalHeaderHash(doubled, hash)).toMatchObject({ ok: true, fits: false });
});
