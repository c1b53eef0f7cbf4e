/** Tagged answers, and what a logged-in customer may reach. */
import type { Login } from './draft.ts';
import type { Mailbox, StoredMessage } from './mailbox.ts';

export interface Answer {
  readonly status: 'OK' | 'NO' | 'BAD';
  /** Response code without brackets. */
  readonly code?: string;
  readonly text: string;
}

export interface Access {
  readonly login: Login;
  readonly names: readonly string[];
  find(name: string): Mailbox | undefined;
}

export function ok(text: string): Answer {
  return { status: 'OK', text };
}

export function no(code: string, text: string): Answer {
  return { status: 'NO', code, text };
}

/** FU 3.1.2.3: at level normal, private messages and those with retrieval confirmation are out of reach. */
export function visible(mailbox: Mailbox, level: Login['level']): readonly StoredMessage[] {
  return level === 'high' ? mailbox.messages : mailbox.messages.filter((message) => !message.needsHigh);
}
