import type { Config } from '../config/schema.ts';
import type { ListenerPorts } from '../gateway.ts';
import type { CommonOptions, Context } from './context.ts';

interface Demo {
  readonly config: Config;
  readonly ports: ListenerPorts;
  readonly simulator: { readonly smtp: number; readonly imap: number };
  readonly caFile: string;
  readonly name: string;
}

/** Tells the person at the terminal how to set up a mail client, and whom to write to. */
export function printWelcome(demo: Demo, options: CommonOptions, context: Context): void {
  const { config, ports, simulator, caFile, name } = demo;
  const logins = config.tenants.flatMap((tenant) => tenant.users.map((user) => user.login));
  if (options.json) {
    context.printJson({
      event: 'listening',
      host: name,
      ports,
      simulator,
      ca: caFile,
      logins,
      password: 'demo',
    });
    return;
  }
  const lines = [
    '',
    'Mail client settings',
    `  Server             ${name}`,
    `  SMTP               ${ports.submission} (STARTTLS) or ${ports.submissions} (TLS)`,
    `  IMAP               ${ports.imap} (STARTTLS) or ${ports.imaps} (TLS)`,
    `  Authority to trust ${caFile}`,
    `  Relay hosts        ${ports.relay} (from ${config.relays.flatMap((relay) => relay.addresses).join(', ')})`,
    `  Simulated provider SMTP ${simulator.smtp}, IMAP ${simulator.imap}`,
    '',
    'Logins, each with the password demo',
    ...logins.map((login) => `  ${login}`),
    'Both users of a tenant share the mailbox Geteilt/Poststelle.',
    '',
    'Somebody to write to: max.mustermann@buerger.de-mail.example',
    '',
  ];
  for (const line of lines) context.print(line);
}
