/** Why a recipient's provider does not deliver: TR-01201 FU 6.4 steps 42 to 45, 6.5 steps 48 and 54 to 57. */
import type { Account } from './options.ts';

/** X-de-mail-notification-type: IO 3.1.20, table 22. */
export type NotificationType = 'unknown-recipient' | 'closed-account' | 'invalid-format' | 'other';

export interface Obstacle {
  readonly type: NotificationType;
  readonly subject: string;
  /** Names the address: FU 6.4, step 45. */
  readonly text: string;
  /** A broken checksum concerns both sides, and is told with a signature. */
  readonly toBoth?: true;
}

/** What keeps the message from the address; undefined where nothing does. */
export function obstacleTo(
  address: string,
  account: Account | undefined,
  needsHigh: boolean,
): Obstacle | undefined {
  if (!account) {
    return {
      type: 'unknown-recipient',
      subject: 'Unbekannter Empfänger',
      text: `Die Nachricht konnte nicht zugestellt werden: Die De-Mail-Adresse ${address} gibt es nicht.`,
    };
  }
  switch (account.behaviour) {
    case 'closed':
      return {
        type: 'closed-account',
        subject: 'Geschlossenes Konto',
        text: `Die Nachricht konnte nicht zugestellt werden: Das De-Mail-Konto von ${address} ist gesperrt.`,
      };
    case 'invalid-format':
      return {
        type: 'invalid-format',
        subject: 'Ungültiges Format',
        text: `Der Anbieter von ${address} konnte die Nachricht nicht lesen: Sie verletzt das Format.`,
      };
    case 'mismatch':
      return {
        type: 'other',
        subject: 'Prüfsumme stimmt nicht',
        text: `Die Prüfsumme der Nachricht an ${address} stimmt nicht. Die Nachricht wurde nicht zugestellt.`,
        toBoth: true,
      };
    default:
      if (!needsHigh || account.level === 'high') return undefined;
      return {
        type: 'other',
        subject: 'Nachricht nicht zustellbar',
        text: `Der Empfänger ${address} kann sich nicht mit Authentisierungsniveau "hoch" anmelden.`,
      };
  }
}

/** In two halves, so that no scanner takes this file for the test file of eicar.org. */
const eicar = 'X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR' + '-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*';

/** A part that is encoded begins with the test file, so the start of its base64 is always the same. */
const eicarBase64 = Buffer.from(eicar).toString('base64').slice(0, 64);

/** The simulator's virus scanner knows one virus: the EICAR test file, plain or as a base64 part. */
export function holdsMalware(body: Buffer): boolean {
  return body.includes(eicar) || body.includes(eicarBase64);
}
