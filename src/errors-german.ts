/** The catalogue in German, and which of both a client is told. docs/smtp-replies.md explains each. */
import type { Language } from './config/schema.ts';
import { catalogue, type ErrorCode } from './errors.ts';

/** Errors that no SMTP client meets. */
const ofMailboxes = {
  'mailbox-unknown': 'Dieses Postfach gibt es nicht',
  'mailbox-exists': 'Ein Postfach dieses Namens gibt es schon',
  'mailbox-name-invalid': 'Das geht mit diesem Postfach oder Namen nicht',
  'mailbox-not-permitted': 'Das dürfen Sie in diesem Postfach nicht',
  'quota-exceeded':
    'Ihr Postfach ist voll; löschen Sie Nachrichten, oder fragen Sie den Betrieb nach mehr Platz',
} as const satisfies Partial<Record<ErrorCode, string>>;

const ofSmtp = {
  'recipient-outside-demail':
    'Der Empfänger ist keine De-Mail-Adresse; dieses Gateway sendet nur De-Mails. Entfernen Sie ihn und senden Sie noch einmal',
  'recipient-malformed':
    'Die Adresse des Empfängers ist fehlerhaft; berichtigen Sie sie und senden Sie noch einmal',
  'sender-not-permitted':
    'Sie dürfen von dieser Adresse nicht senden; nehmen Sie Ihre eigene oder fragen Sie den Betrieb des Gateways',
  'sender-no-tenant':
    'Die Domain des Absenders gehört zu keinem Mandanten dieses Gateways; nehmen Sie Ihre eigene Adresse oder fragen Sie den Betrieb',
  'sender-malformed':
    'Die Adresse des Absenders ist fehlerhaft; berichtigen Sie sie und senden Sie noch einmal',
  'sender-null':
    'Nachrichten ohne Absender (Unzustellbarkeitsmeldungen) werden nicht als De-Mail gesandt; leiten Sie sie anders',
  'authentication-required': 'Melden Sie sich zuerst an, über TLS',
  'authentication-failed': 'Anmeldename oder Passwort ist falsch',
  'authentication-limited':
    'Zu viele fehlgeschlagene Anmeldungen; warten Sie einige Minuten und versuchen Sie es noch einmal',
  'tls-required': 'Vor der Anmeldung wird verschlüsselt: stellen Sie STARTTLS oder den TLS-Port ein',
  'relay-not-admitted': 'Dieser Rechner ist nicht als Relay zugelassen; fragen Sie den Betrieb des Gateways',
  'message-too-large': 'Die Nachricht ist größer als erlaubt; senden Sie sie in Teilen',
  'too-many-recipients': 'Zu viele Empfänger in einer Nachricht; senden Sie in Teilen',
  'bare-line-end':
    'Die Nachricht enthält ein einzelnes CR oder LF (RFC 5321 2.3.8); das sendende Programm muss CRLF schreiben',
  'command-line-end': 'Befehle enden mit CRLF',
  'line-too-long':
    'Die Nachricht hat eine längere Zeile, als RFC 5321 4.5.3.1.6 erlaubt; das sendende Programm muss sie kodieren',
  'from-missing': 'Die Nachricht hat keinen Absender im Kopf; geben Sie genau eine Adresse in From an',
  'from-multiple': 'Die Nachricht hat mehrere Absender im Kopf; geben Sie genau eine Adresse in From an',
  'from-other-tenant':
    'Die Adresse in From gehört nicht zum Mandanten des Absenders; senden Sie beide von einem Mandanten',
  'reply-to-outside-demail':
    'Die Antwortadresse (Reply-To) muss eine De-Mail-Adresse dieses Mandanten sein, denn an sie gehen Bestätigungen; nehmen Sie Ihre eigene oder keine',
  'header-malformed':
    'Der Kopf der Nachricht ist nicht lesbar; berichtigen Sie ihn und senden Sie noch einmal',
  'automatic-reply':
    'Automatische Antworten und Abwesenheitsnotizen werden nicht als De-Mail gesandt; schreiben Sie selbst, wenn es gewollt ist',
  'winmail-dat':
    'Die Nachricht enthält winmail.dat (Outlook-Rich-Text); senden Sie sie als HTML oder Nur-Text',
  'smtputf8-not-offered':
    'Adressen mit Umlauten und anderen Zeichen außerhalb von ASCII werden nicht unterstützt; nehmen Sie eine in ASCII',
  'source-route':
    'Wege in Adressen werden nicht angenommen (RFC 5321 Anhang C); geben Sie nur die Adresse an',
  'parameter-unknown':
    'Ein Parameter von MAIL oder RCPT wird nicht unterstützt; nehmen Sie, was EHLO anbietet',
  'option-not-permitted': 'Diese Versandoption ist für diesen Absender nicht zugelassen; senden Sie ohne sie',
  'option-needs-high':
    'Diese Versandoption verlangt das Authentisierungsniveau hoch, das das Konto des Mandanten nicht hat; senden Sie ohne sie',
  'option-unknown':
    'Die Angabe im Betreff nennt keine Versandoption, oder Ja und Nein zu derselben; berichtigen Sie sie und senden Sie noch einmal',
  'option-pseudonym':
    'Eine Pseudonym-Adresse kann nicht absenderbestätigt senden; senden Sie von einer anderen Adresse oder ohne die Option',
  'malware-found':
    'Die Nachricht enthält Schadsoftware und wurde nicht angenommen; bereinigen Sie Ihren Rechner, entfernen Sie den Anhang und senden Sie noch einmal',
  'malware-not-scanned':
    'Die Nachricht ist größer, als auf Schadsoftware geprüft werden kann; senden Sie sie in Teilen oder fragen Sie den Betrieb',
  'scanner-unavailable':
    'Die Nachricht kann im Augenblick nicht auf Schadsoftware geprüft werden; versuchen Sie es später noch einmal',
  'daily-quota':
    'Die Tagesmenge an De-Mails auf Authentisierungsniveau normal ist erreicht; senden Sie wieder, wenn der Tag vorbei ist',
  'daily-quota-alone':
    'Diese Nachricht allein übersteigt die Tagesmenge an De-Mails auf Authentisierungsniveau normal; senden Sie an weniger Empfänger',
  'tenant-locked': 'Das Senden ist für diesen Mandanten gesperrt; fragen Sie den Betrieb',
  'evidence-held':
    'Das Nachweisprotokoll dieses Mandanten ist angehalten, nichts kann aufgezeichnet werden; versuchen Sie es später noch einmal, der Betrieb weiß davon',
  'rate-limited': 'Zu viele Nachrichten in kurzer Zeit; versuchen Sie es später noch einmal',
  'store-unavailable': 'Die Nachricht konnte nicht gespeichert werden; versuchen Sie es später noch einmal',
  'store-full': 'Der Speicher des Gateways ist voll; versuchen Sie es später noch einmal',
  'shutting-down': 'Das Gateway wird beendet; versuchen Sie es später noch einmal',
  'too-many-connections': 'Zu viele Verbindungen; schließen Sie einige und versuchen Sie es noch einmal',
} as const satisfies Record<Exclude<ErrorCode, keyof typeof ofMailboxes>, string>;

const german: Readonly<Record<ErrorCode, string>> = { ...ofSmtp, ...ofMailboxes };

/** In the order of docs/smtp-replies.md. */
export const smtpErrors = Object.keys(ofSmtp) as (keyof typeof ofSmtp)[];

/** What is wrong and what helps. */
export function errorText(code: ErrorCode, language: Language): string {
  return language === 'de' ? german[code] : catalogue[code].text;
}
