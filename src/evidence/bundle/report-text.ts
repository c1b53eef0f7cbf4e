/** What the report for people says, in German and English: what is known, and what each proof says and does not say. */
import type { FactName } from '../facts.ts';
import type { EvidenceReport, ReportFact } from './report.ts';

export type Language = 'de' | 'en';

export interface ReportSection {
  readonly heading: string;
  readonly paragraphs: readonly string[];
}

const factWords: Readonly<Record<FactName, Readonly<Record<Language, string>>>> = {
  queued: { de: 'vom Gateway zum Versand angenommen', en: 'accepted by the gateway for sending' },
  attempting: {
    de: 'Übergabe an den De-Mail-Dienst begonnen',
    en: 'hand-over to the De-Mail provider begun',
  },
  'handed-over': { de: 'vom De-Mail-Dienst angenommen', en: 'taken by the De-Mail provider' },
  deferred: { de: 'vom De-Mail-Dienst vorläufig abgewiesen', en: 'put off by the De-Mail provider' },
  'in-doubt': { de: 'Ausgang der Übergabe ungewiss', en: 'outcome of the hand-over in doubt' },
  refused: { de: 'vom De-Mail-Dienst abgelehnt', en: 'refused by the De-Mail provider' },
  expired: { de: 'Frist für die Übergabe abgelaufen', en: 'time for the hand-over ran out' },
  abandoned: { de: 'Versand aufgegeben', en: 'sending given up' },
  dispatched: { de: 'VERSENDET (Versandbestätigung)', en: 'DISPATCHED (dispatch confirmation)' },
  received: { de: 'EINGEGANGEN (Eingangsbestätigung)', en: 'RECEIVED (receipt confirmation)' },
  retrieved: { de: 'ABGEHOLT (Abholbestätigung)', en: 'RETRIEVED (retrieval confirmation)' },
  'dispatch-overdue': { de: 'Versandbestätigung blieb aus', en: 'no dispatch confirmation in time' },
  'receipt-overdue': { de: 'Eingangsbestätigung blieb aus', en: 'no receipt confirmation in time' },
  'retrieval-overdue': { de: 'Abholbestätigung blieb aus', en: 'no retrieval confirmation in time' },
  disputed: { de: 'STRITTIG: eine Bestätigung ist ungültig', en: 'DISPUTED: a confirmation is invalid' },
  notified: { de: 'Mitteilung des De-Mail-Dienstes', en: 'notification of the De-Mail provider' },
  deposited: { de: 'im Postfach abgelegt', en: 'placed into the mailbox' },
  forwarded: { de: 'an den eigenen Mailserver weitergeleitet', en: "forwarded to the tenant's own server" },
  'forward-failed': { de: 'Weiterleitung gescheitert', en: 'forwarding failed' },
};

const words = {
  de: {
    title: 'Nachweis über eine De-Mail',
    message: 'Nachricht',
    recipients: 'Empfänger',
    says: 'Was die Nachweise aussagen, und was nicht',
    files: 'Nachrichten und weitere Dateien',
    entries: 'Einträge',
    check: 'Nachprüfen',
    sender: 'Absender',
    subject: 'Betreff',
    none: '(ohne)',
    recorded: 'vermerkt',
    stated: 'Angabe',
    entry: 'Eintrag',
    nothing: 'Zu diesem Empfänger ist nichts festgestellt.',
    since: 'versiegelt, besteht mindestens seit',
    unsealed: 'noch unter keinem Zeitstempel',
    fileReference: 'Aktenzeichen',
    options: 'Versandoptionen',
    letter: 'Vorgang',
    private: 'Persönliche De-Mail: Der Inhalt ist vertraulich.',
  },
  en: {
    title: 'Evidence of a De-Mail',
    message: 'Message',
    recipients: 'Recipients',
    says: 'What the proofs say, and what they do not',
    files: 'Messages and other files',
    entries: 'Entries',
    check: 'To verify it',
    sender: 'Sender',
    subject: 'Subject',
    none: '(none)',
    recorded: 'recorded',
    stated: 'it says',
    entry: 'entry',
    nothing: 'Nothing is established about this recipient.',
    since: 'sealed, existed at the latest at',
    unsealed: 'under no time-stamp yet',
    fileReference: 'File reference',
    options: 'Dispatch options',
    letter: 'Letter',
    private: 'Private De-Mail: its content is confidential.',
  },
} as const;

const statements: Readonly<Record<Language, readonly string[]>> = {
  de: [
    'Bestätigungen (Versand, Eingang, Abholung) stammen vom De-Mail-Dienst und sind von ihm signiert. Sie sagen, dass der Dienst zu der genannten Zeit so gehandelt hat. Sie sagen nicht, dass jemand den Inhalt gelesen oder verstanden hat.',
    '„Vom De-Mail-Dienst angenommen“ ist die Antwort seines Servers, vom Gateway festgehalten. Der Dienst hat sie nicht signiert.',
    'Einträge sind das Protokoll des Gateways. Jeder Eintrag steht, mit einem Zufallswert verrechnet, in einem fortlaufenden, signierten Verzeichnis (Datei .tlog-proof). Das zeigt, dass er seither nicht geändert wurde und an welcher Stelle er steht. Es zeigt nicht, dass das Gateway richtig beobachtet hat.',
    'Der Beweissatz (RFC 4998, Datei .ers) zeigt durch einen Zeitstempel eines unabhängigen Dienstes, dass Eintrag und zugehörige Dateien zu dieser Zeit schon bestanden. Er sagt nicht, wer sie verfasst hat.',
    'Fehlt eine Bestätigung, ist damit nicht gesagt, dass nicht versandt oder nicht zugestellt wurde; nur, dass hier keine vorliegt.',
    'Dieser Bericht ist eine Lesehilfe. Beweis sind die Dateien, auf die er sich stützt.',
  ],
  en: [
    'Confirmations (dispatch, receipt, retrieval) come from the De-Mail provider, who signed them. They say that the provider acted so at the time stated. They do not say that anybody read or understood the content.',
    '"Taken by the De-Mail provider" is the answer of its server as the gateway recorded it. The provider did not sign it.',
    'Entries are the record that the gateway kept. Each stands, blinded by a random value, in a running, signed log (file .tlog-proof). This shows that it was not changed since, and its place. It does not show that the gateway observed rightly.',
    'The evidence record (RFC 4998, file .ers) shows by the time-stamp of an independent authority that an entry and its files existed by then. It does not say who wrote them.',
    'That a confirmation is missing does not say that nothing was sent or delivered; only that none is here.',
    'This report helps to read the bundle. The proof lies in the files that it rests on.',
  ],
};

const howTo: Readonly<Record<Language, string>> = {
  de: 'VERIFY.md beschreibt die Prüfung allein mit openssl, unzip, sha256sum und xmllint. Mit dem Gateway: demail-gateway verify DATEI --trust ORDNER.',
  en: 'VERIFY.md describes how to verify with openssl, unzip, sha256sum and xmllint alone. With the gateway: demail-gateway verify FILE --trust DIRECTORY.',
};

/** The report in one language. */
export function describeReport(
  report: EvidenceReport,
  language: Language,
): { readonly title: string; readonly sections: readonly ReportSection[] } {
  const w = words[language];
  return {
    title: w.title,
    sections: [
      {
        heading: w.message,
        paragraphs: [
          `${w.letter}: ${report.tenant}/${report.letter}, ${report.time}`,
          `${w.sender}: ${report.sender ?? w.none}`,
          `${w.subject}: ${report.subject ?? w.none}`,
          `Message-ID: ${report.messageId ?? w.none}`,
          ...(report.fileReference === null ? [] : [`${w.fileReference}: ${report.fileReference}`]),
          `${w.options}: ${report.options.join(', ') || w.none}`,
          ...(report.private ? [w.private] : []),
        ],
      },
      {
        heading: w.recipients,
        paragraphs: report.recipients.flatMap(({ address, facts }) => [
          address,
          ...(facts.length === 0 ? [`– ${w.nothing}`] : facts.map((fact) => factLine(fact, language))),
        ]),
      },
      { heading: w.says, paragraphs: statements[language] },
      {
        heading: w.files,
        paragraphs: report.files.map(({ name, size, sha256 }) => `${name}: ${size} Bytes, SHA-256 ${sha256}`),
      },
      {
        heading: w.entries,
        paragraphs: report.entries.map(
          ({ index, time, kind, sealed }) =>
            `${index}  ${time}  ${kind}: ${sealed === null ? w.unsealed : `${w.since} ${sealed.since ?? '?'} (${sealed.record})`}`,
        ),
      },
      { heading: w.check, paragraphs: [howTo[language]] },
    ],
  };
}

function factLine({ fact, recorded, entry, detail }: ReportFact, language: Language): string {
  const w = words[language];
  const said = detail === null ? '' : `; ${w.stated}: ${detail}`;
  return `– ${factWords[fact][language]}; ${w.recorded} ${recorded}, ${w.entry} ${entry}${said}`;
}
