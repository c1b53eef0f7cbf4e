/** The words that options and controls have for those who use them. */
import type { Language } from '../config/schema.ts';
import type { DispatchOption, OptionSource } from '../evidence/entry.ts';

/** The same said in each language. */
export type Said = Readonly<Record<Language, string>>;

const options: Readonly<Record<Language, Readonly<Record<DispatchOption, string>>>> = {
  de: {
    dispatch: 'Versandbestätigung',
    receipt: 'Eingangsbestätigung',
    retrieval: 'Abholbestätigung',
    authoritative: 'absenderbestätigt',
    private: 'persönlich',
  },
  en: {
    dispatch: 'dispatch confirmation',
    receipt: 'receipt confirmation',
    retrieval: 'retrieval confirmation',
    authoritative: 'authoritative',
    private: 'private',
  },
};

const controls: Readonly<Record<Language, Readonly<Record<OptionSource, string>>>> = {
  de: {
    header: 'verlangt im Kopf der Nachricht (X-de-mail-...)',
    'subject-tag': 'verlangt im Betreff',
    'delivery-receipt': 'verlangt durch die Übermittlungsbestätigung',
    sensitivity: 'verlangt durch die Vertraulichkeit',
    'read-receipt': 'verlangt durch die Lesebestätigung',
    importance: 'verlangt durch die hohe Wichtigkeit',
    default: 'Vorgabe des Mandanten',
    implied: 'gehört zur Abholbestätigung',
  },
  en: {
    header: 'asked for in the header (X-de-mail-...)',
    'subject-tag': 'asked for in the subject',
    'delivery-receipt': 'asked for by the delivery receipt',
    sensitivity: 'asked for by the sensitivity',
    'read-receipt': 'asked for by the read receipt',
    importance: 'asked for by the high importance',
    default: 'a default of the tenant',
    implied: 'part of the retrieval confirmation',
  },
};

/** The option, and the control to change. */
export function optionText(option: DispatchOption, by: OptionSource): Said {
  const said = (language: Language) => `${options[language][option]}, ${controls[language][by]}`;
  return { de: said('de'), en: said('en') };
}
