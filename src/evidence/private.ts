/** Which entries hold, or speak of, a private De-Mail (TR-01201 FU 3.3). Pure. */
import type { Entry } from './entry.ts';

/** True where the entry itself says so. An entry about a letter is as private as the letter. */
export function isPrivateEntry(entry: Entry): boolean {
  switch (entry.kind) {
    case 'submission':
    case 'refused':
      return entry.options.includes('private');
    case 'inbound':
    case 'confirmation':
    case 'notification':
    case 'sent-copy':
      // The others for what was recorded before entries said it outright (TR-01201 FU 3.1.2.3, 3.3.5).
      return (
        entry.private === true ||
        entry.demail.options.includes('private') ||
        entry.demail.options.includes('retrieval') ||
        (entry.kind === 'confirmation' && entry.confirmation === 'retrieval')
      );
    case 'placed':
    case 'opened':
      return true;
    default:
      return false;
  }
}
