/** What the gateway's own mails say, in the tenant's language. Plain text, for people in an office. */
export type Language = 'de' | 'en';

export interface Text {
  readonly subject: string;
  readonly body: string;
}

export interface About {
  /** Subject of the letter, or null. */
  readonly subject: string | null;
  readonly recipients: readonly string[];
  /** `tenant/index`, for whoever looks into the evidence. */
  readonly letter: string;
  /** The peer's reply. */
  readonly reply: string;
}

export function doubtText(language: Language, about: About): Text {
  return language === 'de'
    ? {
        subject: `De-Mail: Übergabe ungewiss: ${titleOf(language, about)}`,
        body: `Die Verbindung zum De-Mail-Anbieter brach ab, bevor er antwortete. Niemand weiß im Augenblick, ob er
Ihre De-Mail angenommen hat. Sie wird zurückgehalten, damit sie nicht doppelt versandt wird.

Kommt die Versandbestätigung, so klärt sich das von selbst. Sonst entscheidet der Betrieb mit
    demail-gateway queue release
${details(language, about)}`,
      }
    : {
        subject: `De-Mail: hand-over in doubt: ${titleOf(language, about)}`,
        body: `The connection to the De-Mail provider broke before it replied. At the moment nobody knows whether it
took your De-Mail. It is held, so that it is not sent twice.

A dispatch confirmation settles this by itself. Otherwise the operator decides with
    demail-gateway queue release
${details(language, about)}`,
      };
}

export function settledText(
  language: Language,
  about: About,
  decision: 'handed-over' | 'resend' | 'abandoned',
): Text {
  const said = {
    de: {
      'handed-over': 'Ihre De-Mail wurde übergeben.',
      resend: 'Ihre De-Mail wird noch einmal übergeben.',
      abandoned: 'Ihre De-Mail wird NICHT noch einmal übergeben.',
    },
    en: {
      'handed-over': 'Your De-Mail was handed over.',
      resend: 'Your De-Mail is handed over again.',
      abandoned: 'Your De-Mail is NOT handed over again.',
    },
  }[language][decision];
  return {
    subject:
      language === 'de'
        ? `De-Mail: Übergabe geklärt: ${titleOf(language, about)}`
        : `De-Mail: hand-over settled: ${titleOf(language, about)}`,
    body: `${said}\n${details(language, about)}`,
  };
}

export function incidentText(language: Language, tenant: string, text: string): Text {
  return language === 'de'
    ? { subject: `De-Mail-Gateway: Störung (${tenant})`, body: `Das De-Mail-Gateway meldet:\n\n${text}\n` }
    : { subject: `De-Mail gateway: incident (${tenant})`, body: `The De-Mail gateway reports:\n\n${text}\n` };
}

function titleOf(language: Language, { subject }: About): string {
  return subject?.slice(0, 200) || (language === 'de' ? '(ohne Betreff)' : '(no subject)');
}

function details(language: Language, { recipients, letter, reply }: About): string {
  const [to, mail, answer] =
    language === 'de' ? ['Empfänger', 'Vorgang', 'Antwort'] : ['Recipients', 'Letter', 'Reply'];
  return `
${to}:
${recipients.map((address) => `    ${address}`).join('\n')}

${mail}: ${letter}
${answer}: ${reply}
`;
}
