/** What the gateway's own mails say, in the tenant's language. Plain text, for people in an office. */
import type { ConfirmationType } from '../evidence/entry.ts';

export type Language = 'de' | 'en';

/** The same said in each language. */
export type Said = Readonly<Record<Language, string>>;

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

const confirmationNames = {
  de: { dispatch: 'Versandbestätigung', receipt: 'Eingangsbestätigung', retrieval: 'Abholbestätigung' },
  en: {
    dispatch: 'confirmation of dispatch',
    receipt: 'confirmation of receipt',
    retrieval: 'confirmation of retrieval',
  },
} as const;

/** Where the proof lies that a delivery report only speaks of. */
export function confirmedNote(
  language: Language,
  confirmation: ConfirmationType,
  statedTime: string | null,
): string {
  const name = confirmationNames[language][confirmation];
  const time = statedTime === null ? '' : ` (${statedTime})`;
  return language === 'de'
    ? `Nachweis ist die ${name} des Anbieters${time} in De-Mail-Bestätigungen`
    : `Proven by the provider's ${name}${time} in De-Mail-Bestätigungen`;
}

/** `since`: RFC 3339 time of the hand-over. */
export function overdueText(
  language: Language,
  about: About,
  confirmation: ConfirmationType,
  since: string,
): Text {
  const name = confirmationNames[language][confirmation];
  return language === 'de'
    ? {
        subject: `De-Mail: ${name} fehlt: ${titleOf(language, about)}`,
        body: `Ihre De-Mail wurde am ${since} übergeben. Die angeforderte ${name} ist bisher nicht gekommen.
Kommt sie noch, so liegt sie in De-Mail-Bestätigungen. Ohne sie ist der Schritt nicht nachgewiesen.
${details(language, about)}`,
      }
    : {
        subject: `De-Mail: ${name} is missing: ${titleOf(language, about)}`,
        body: `Your De-Mail was handed over at ${since}. The ${name} that was asked for has not come so far.
If it still comes, it lies in De-Mail-Bestätigungen. Without it this step is not proven.
${details(language, about)}`,
      };
}

export function disputedText(language: Language, about: About, confirmation: ConfirmationType): Text {
  const name = confirmationNames[language][confirmation];
  return language === 'de'
    ? {
        subject: `De-Mail: ${name} ungültig: ${titleOf(language, about)}`,
        body: `Die ${name} zu Ihrer De-Mail zählte vorläufig, bis ihre Signatur abschließend geprüft war. Sie ist ungültig.
Verlassen Sie sich nicht auf sie.
${details(language, about)}`,
      }
    : {
        subject: `De-Mail: ${name} invalid: ${titleOf(language, about)}`,
        body: `The ${name} of your De-Mail counted provisionally until its signature was finally checked. It is invalid.
Do not rely on it.
${details(language, about)}`,
      };
}

/** To whoever was to get the mail. Its subject is not named: that may be the bait. */
export function malwareText(
  language: Language,
  { entry, sender, name }: { readonly entry: string; readonly sender: string; readonly name: string },
): Text {
  return language === 'de'
    ? {
        subject: 'De-Mail zurückgehalten: Schadsoftware',
        body: `Eine De-Mail an Sie enthält Schadsoftware und wurde nicht zugestellt.

Absender: ${sender}
Gefunden: ${name}
Vorgang:  ${entry}

Sie ist als Nachweis unverändert gespeichert. Brauchen Sie ihren Inhalt, so wenden Sie sich an den Betrieb.
`,
      }
    : {
        subject: 'De-Mail kept back: malware',
        body: `A De-Mail to you contains malware and was not delivered.

Sender: ${sender}
Found:  ${name}
Letter: ${entry}

It is kept unchanged as evidence. If you need its content, ask the operator.
`,
      };
}

/** What operators are told of: something is wrong, or letters are to be erased as planned. */
export type OperatorMatter = 'incident' | 'retention';

const matters: Readonly<Record<Language, Readonly<Record<OperatorMatter, string>>>> = {
  de: { incident: 'Störung', retention: 'Geplante Löschung' },
  en: { incident: 'incident', retention: 'planned erasure' },
};

export function operatorText(language: Language, matter: OperatorMatter, tenant: string, text: string): Text {
  const what = matters[language][matter];
  return language === 'de'
    ? { subject: `De-Mail-Gateway: ${what} (${tenant})`, body: `Das De-Mail-Gateway meldet:\n\n${text}\n` }
    : { subject: `De-Mail gateway: ${what} (${tenant})`, body: `The De-Mail gateway reports:\n\n${text}\n` };
}

/** The tenant's log is held. It says why, and what to do: this mail has no entry of its own. */
export function holdText(language: Language, name: string, tenant: string, reasons: readonly string[]): Text {
  const why = reasons.map((reason) => `    ${reason}`).join('\n');
  return language === 'de'
    ? {
        subject: `De-Mail-Gateway: Nachweisprotokoll angehalten (${name})`,
        body: `Das Nachweisprotokoll setzt nicht fort, was anderswo von ihm festgehalten ist:

${why}

Solange das so ist, wird nichts angenommen, versandt oder abgeholt; was wartet, wartet weiter. Vorhandene Nachrichten können gelesen werden.

Spielen Sie die neueste Sicherung ein. Gibt es keine neuere, schließt demail-gateway evidence close-log ${tenant} --reason "…" das Protokoll ab und beginnt ein neues (docs/operations.md).
`,
      }
    : {
        subject: `De-Mail gateway: evidence log held (${name})`,
        body: `The evidence log does not continue what was kept of it elsewhere:

${why}

While this is so, nothing is accepted, sent or fetched; what waits goes on waiting. Messages that are there can be read.

Restore the newest backup. If there is none, demail-gateway evidence close-log ${tenant} --reason "…" closes the log and begins a new one (docs/operations.md).
`,
      };
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

/** Private mail that somebody does not find where they would look: who, when, what to do; never what it says. */
export function withheldText(
  language: Language,
  about: {
    readonly address: string;
    /** `tenant/index` */
    readonly letter: string;
    readonly sender: string | null;
    /** RFC 3339 */
    readonly time: string;
    /** A De-Mail; otherwise a confirmation or notification about one. */
    readonly isLetter: boolean;
    readonly waits: boolean;
  },
): Text {
  const { address, letter, time, isLetter, waits } = about;
  if (language === 'de') {
    const what = isLetter ? 'eine persönliche De-Mail' : 'eine Nachricht zu einer persönlichen De-Mail';
    return {
      subject: `De-Mail: ${isLetter ? 'Persönliche De-Mail' : 'Nachricht zu einer persönlichen De-Mail'} für ${address}`,
      body: `Für ${address} ist ${what} eingegangen.

Von:     ${about.sender ?? '(nicht genannt)'}
Am:      ${time}
Vorgang: ${letter}

Persönliche De-Mails gehen nur in das Postfach der Person, an die sie gerichtet sind:
in kein geteiltes Postfach und nicht an den eigenen Mailserver.
${
  waits
    ? `Diese wird aufbewahrt, bis feststeht, wer sie lesen soll. Nennen Sie dem Betrieb
die Person und den Vorgang; er stellt sie zu mit
    demail-gateway private deliver ${letter} --to LOGIN --reason …`
    : 'Diese liegt in Ihrem Postfach im De-Mail-Gateway; öffnen Sie sie dort.'
}
`,
    };
  }
  const what = isLetter ? 'A private De-Mail' : 'A message about a private De-Mail';
  return {
    subject: `De-Mail: ${what.toLowerCase().replace('de-mail', 'De-Mail')} for ${address}`,
    body: `${what} has come for ${address}.

From:   ${about.sender ?? '(not named)'}
At:     ${time}
Letter: ${letter}

Private De-Mails go into the mailbox of the person they are addressed to: into no shared
mailbox, and not to the own mail server.
${
  waits
    ? `This one is kept until it is known who is to read it. Tell the operator the person
and the letter; it is delivered by
    demail-gateway private deliver ${letter} --to LOGIN --reason …`
    : 'This one lies in your mailbox in the De-Mail gateway; open it there.'
}
`,
  };
}

/** What becomes an incident, for the tenant's operators. It names entries and addresses, never content. */
export const incidentTexts = {
  fails: (what: Said, error: string): Said => ({
    de: `${what.de} schlägt fehl: ${error}`,
    en: `${what.en} fails: ${error}`,
  }),
  worksAgain: (what: Said): Said => ({ de: `${what.de} geht wieder`, en: `${what.en} works again` }),
  diskFull: (folder: string, mebibytes: number): Said => ({
    de: `Auf dem Datenträger von ${folder} sind noch ${mebibytes} MiB frei. Schaffen Sie Platz, sonst werden Mails abgewiesen.`,
    en: `The disk that holds ${folder} has ${mebibytes} MiB left. Make room, or mail is refused.`,
  }),
  diskFree: { de: 'Auf dem Datenträger ist wieder Platz', en: 'There is room on the disk again' },
  unreadable: (folder: string, uid: number, error: string): Said => ({
    de: `Eine Nachricht beim Anbieter kann nicht abgeholt werden (${folder}, UID ${uid}): ${error}\nAlle anderen werden abgeholt; der Versuch wird wiederholt.`,
    en: `A message at the provider cannot be fetched (${folder}, UID ${uid}): ${error}\nAll others are; it is tried again.`,
  }),
  fetched: { de: 'Die Nachricht wurde abgeholt', en: 'The message was fetched' },
  corrupt: (place: string): Said => ({
    de: `Der Speicher enthält etwas anderes, als geschrieben wurde: ${place}\nPrüfen Sie mit demail-gateway evidence verify.`,
    en: `The store holds something else than was written: ${place}\nCheck with demail-gateway evidence verify.`,
  }),
  undeliverable: (entry: string, addresses: readonly string[]): Said => ({
    de: `Eine persönliche De-Mail passt zu keinem Postfach und wurde niemandem zugestellt.\nSie wartet als ${entry}.\nAdressiert an: ${addresses.join(', ') || '(keine Adresse dieses Mandanten)'}\nSobald die Konfiguration ein Postfach dafür nennt, wird sie zugestellt; oder mit\n    demail-gateway private deliver ${entry} --to LOGIN --reason …`,
    en: `A private De-Mail fits no mailbox and was delivered to nobody.\nIt waits as ${entry}.\nAddressed to: ${addresses.join(', ') || '(no address of this tenant)'}\nIt is delivered as soon as the configuration names a mailbox for it, or by\n    demail-gateway private deliver ${entry} --to LOGIN --reason …`,
  }),
  unmatched: (entry: string): Said => ({
    de: `Eine Bestätigung passt zu keinem Vorgang, den das Gateway kennt.\nSie liegt im Nachweis als ${entry} und, wenn sie nicht persönlich ist, im Auffangpostfach.`,
    en: `A confirmation fits no letter that the gateway knows.\nIt is kept as ${entry} and, unless it is private, in the fallback mailbox.`,
  }),
  doesNotHold: (entry: string, reason: string): Said => ({
    de: `Eine Bestätigung hält der Prüfung nicht stand und zählt nicht: ${entry}\n${reason}\nAlle Vergleiche zeigt demail-gateway evidence show.`,
    en: `A confirmation does not hold and does not count: ${entry}\n${reason}\nAll comparisons are shown by demail-gateway evidence show.`,
  }),
  sentCopyDiffers: (entry: string, reason: string): Said => ({
    de: `Was der Anbieter unter Gesendet aufbewahrt, ist nicht, was ihm übergeben wurde: ${entry}\n${reason}\nAlle Vergleiche zeigt demail-gateway evidence show.`,
    en: `What the provider keeps under Sent is not what was handed over: ${entry}\n${reason}\nAll comparisons are shown by demail-gateway evidence show.`,
  }),
  sentCopyMissing: (entries: readonly string[], more: boolean): Said => ({
    de: `Unter Gesendet beim Anbieter fehlt, was ihm übergeben wurde: ${entries.join(', ')}${more ? ' und weitere' : ''}\nEntweder legt der Anbieter keine Kopien mehr ab, oder jemand hat sie gelöscht.`,
    en: `The provider's Sent folder lacks what was handed over: ${entries.join(', ')}${more ? ' and more' : ''}\nEither the provider keeps no copies any more, or somebody has deleted them.`,
  }),
  sentCopiesComplete: {
    de: 'Unter Gesendet beim Anbieter fehlt nichts mehr, was in den letzten 30 Tagen übergeben wurde',
    en: "The provider's Sent folder lacks nothing that was handed over in the last 30 days",
  },
  repeated: (entry: string, reason: string): Said => ({
    de: `Der Anbieter hat dasselbe noch einmal bestätigt, mit einer anderen Nachricht: ${entry}\n${reason}`,
    en: `The provider has confirmed the same once more, in another message: ${entry}\n${reason}`,
  }),
  doesNotHoldNoted: {
    de: 'Es gilt als gemeldet; der Eintrag bleibt im Nachweis',
    en: 'It counts as reported; the entry stays in the evidence',
  },
  disputed: (entry: string, reason: string): Said => ({
    de: `Eine Bestätigung, die vorläufig zählte, ist ungültig: ${entry}\n${reason}`,
    en: `A confirmation that counted provisionally is invalid: ${entry}\n${reason}`,
  }),
  noAnchors: {
    de: 'Weder signatureAnchors noch trustAnchors sind eingestellt: Keine Bestätigung zählt, alle werden nur aufbewahrt. Tragen Sie die Zertifizierungsstelle ein, unter der Ihr De-Mail-Anbieter Bestätigungen signiert (provider.signatureAnchors); was bis dahin kam, zählt dann nachträglich.',
    en: 'Neither signatureAnchors nor trustAnchors is configured: no confirmation counts, all are merely kept. Name the authority under which your De-Mail provider signs confirmations (provider.signatureAnchors); what came before counts then.',
  },
  anchorsConfigured: {
    de: 'Vertrauensanker sind eingestellt; Bestätigungen zählen',
    en: 'Anchors are configured; confirmations count',
  },
  disputeEnded: (letter: string): Said => ({
    de: `Eine andere Bestätigung gleicher Art zählt für alle Empfänger: ${letter}`,
    en: `Another confirmation of that kind counts for every recipient: ${letter}`,
  }),
  disputeClosed: (actor: string, reason: string): Said => ({
    de: `Abgeschlossen von ${actor}: ${reason}`,
    en: `Closed by ${actor}: ${reason}`,
  }),
  allMatched: {
    de: 'Keine weitere Bestätigung ohne Vorgang',
    en: 'No further confirmation without a letter',
  },
  integrityMissing: (entry: string, type: string): Said => ({
    de: `Der Anbieter liefert De-Mails ohne Integritätsdaten (X-de-mail-integrity fehlt), zuerst ${entry} (${type}).\nOhne sie ist nicht prüfbar, ob eine De-Mail verändert wurde. Lassen Sie die Funktion beim Anbieter einschalten.`,
    en: `The provider delivers De-Mails without integrity data (X-de-mail-integrity is missing), first ${entry} (${type}).\nWithout it nobody can check whether a De-Mail was changed. Have the provider switch it on.`,
  }),
  integrityPresent: (type: string): Said => ({
    de: `De-Mails kommen wieder mit Integritätsdaten (${type})`,
    en: `De-Mails carry integrity data again (${type})`,
  }),
  nearlyFull: (usage: string): Said => ({
    de: `Das Postfach beim Anbieter ist fast voll: ${usage}.\nIst es voll, nimmt der Anbieter womöglich nichts mehr zum Versand an (TR-01201 FU 4.1). Schaffen Sie Platz, oder lassen Sie alte Kopien löschen (provider.deleteAfter).`,
    en: `The mailbox at the provider is nearly full: ${usage}.\nOnce it is full, the provider may take nothing more for sending (TR-01201 FU 4.1). Make room, or have old copies deleted (provider.deleteAfter).`,
  }),
  roomAgain: (usage: string): Said => ({
    de: `Im Postfach beim Anbieter ist wieder Platz: ${usage}`,
    en: `There is room in the mailbox at the provider again: ${usage}`,
  }),
  loginUnknown: (entry: string, protocol: string, time: string): Said => ({
    de: `Das Gateway wurde während einer Anmeldung auf dem Niveau hoch beendet (${entry}, ${protocol.toUpperCase()}, ${time}).\nOb sie stattfand und was dabei als abgeholt gilt, ist unbekannt; der Anbieter kann es sagen.`,
    en: `The gateway was ended during a login at level high (${entry}, ${protocol.toUpperCase()}, ${time}).\nWhether it happened and what counts as picked up by it is unknown; the provider can tell.`,
  }),
  malware: (entry: string, sender: string, name: string): Said => ({
    de: `Eine De-Mail von ${sender} enthält Schadsoftware (${name}) und wurde nicht zugestellt: ${entry}\nDie Empfänger wissen davon. Ihr Inhalt liegt im Nachweis.`,
    en: `A De-Mail from ${sender} contains malware (${name}) and was not delivered: ${entry}\nIts recipients know. Its content is kept as evidence.`,
  }),
  scannerLimit: (entry: string): Said => ({
    de: `Eine De-Mail ist größer, als clamd sie annimmt, und wird zurückgehalten, zuerst ${entry}.\nErhöhen Sie StreamMaxLength in clamd.conf; dann wird sie geprüft und zugestellt.`,
    en: `A De-Mail is larger than clamd takes and is held, first ${entry}.\nRaise StreamMaxLength in clamd.conf; then it is scanned and delivered.`,
  }),
  scannerLimitMet: {
    de: 'Keine De-Mail wird mehr wegen ihrer Größe zurückgehalten',
    en: 'No De-Mail is held for its size any more',
  },
  notForwarded: (entry: string, results: readonly { address: string; reply: string }[]): Said => ({
    de: `Der eigene Mailserver hat ${entry} nicht angenommen:\n${listed(results)}`,
    en: `The own mail server did not take ${entry}:\n${listed(results)}`,
  }),
} as const;

function listed(results: readonly { address: string; reply: string }[]): string {
  return results.map(({ address, reply }) => `    ${address}: ${reply}`).join('\n');
}
