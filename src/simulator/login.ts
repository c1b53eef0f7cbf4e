/** Who comes by which proof: the client certificate's account, and passwords. */
import type { PeerCertificate, TLSSocket } from 'node:tls';
import type { Login } from './draft.ts';
import type { Account, SimulatorOptions } from './options.ts';

/** The account that a valid client certificate of the simulator's authority names. */
export function certificateAccount(socket: TLSSocket, options: SimulatorOptions): Account | undefined {
  if (!socket.authorized) return undefined;
  // Null where the client was gone before the handshake was looked at, whatever the types say.
  const peer: PeerCertificate | null = socket.getPeerCertificate();
  const name = peer?.subject?.CN;
  return options.accounts.find((account) => account.id === name);
}

/**
 * A login by name (account id or one of its addresses) and password. With a client certificate the name must
 * be the certificate's account; two factors then make the account's level, a password alone level normal.
 * An account that has no password is satisfied with its certificate.
 */
export function passwordLogin(
  user: string,
  password: string,
  certificate: Account | undefined,
  options: SimulatorOptions,
): Login | undefined {
  const name = user.toLowerCase();
  const account = options.accounts.find(({ id, addresses }) => id === name || addresses.includes(name));
  if (!account || (certificate && certificate !== account)) return undefined;
  if (account.password === undefined ? !certificate : account.password !== password) return undefined;
  return certificate
    ? { account, level: account.level, mechanism: 'tls-client-certificate' }
    : { account, level: 'normal', mechanism: 'password' };
}
