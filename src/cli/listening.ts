import type { ListenerName, ListenerPorts } from '../gateway.ts';
import type { CommonOptions, Context } from './context.ts';

const labels: Readonly<Record<ListenerName, string>> = {
  submission: 'SMTP, STARTTLS',
  submissions: 'SMTP, TLS',
  relay: 'SMTP, relay hosts',
  imap: 'IMAP, STARTTLS',
  imaps: 'IMAP, TLS',
};

/** Says what listens where: real ports, also where the configuration said 0. */
export function printListening(ports: ListenerPorts, options: CommonOptions, context: Context): void {
  if (options.json) {
    context.printJson({ event: 'listening', ports });
    return;
  }
  for (const [name, port] of Object.entries(ports)) {
    context.print(`  ${labels[name as ListenerName].padEnd(18)} ${port}`);
  }
}
