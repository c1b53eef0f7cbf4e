/**
 * smtp-server made strict. The library gives the session, TLS, SASL and the dialogue; what it leaves open
 * or answers in its own words is closed here: line ends of commands (RFC 5321 2.3.8), parameters, source
 * routes, the words of the catalogue, the limit per address.
 */

import type { Socket } from 'node:net';
import { domainToASCII } from 'node:url';
import { SMTPServer, type SMTPServerOptions, type SMTPServerSession } from 'smtp-server';
import { SMTPConnection } from 'smtp-server/lib/smtp-connection.js';
import { SMTPStream } from 'smtp-server/lib/smtp-stream.js';
import type { Language } from '../config/schema.ts';
import { addressKey } from '../directory/attempts.ts';
import { type ErrorCode, GatewayError } from '../errors.ts';
import { checkAddressCommand } from './address-command.ts';
import { replyTo } from './reply.ts';

const LF = 0x0a;
const CR = 0x0d;
/** Stands for a line end that was none; no command contains it. */
const BROKEN_END = Buffer.from('\0\r\n');
/** Lines handled in one go before other connections get their turn. */
const LINES_PER_TURN = 50;

/** Feeds the library one line at a time, so that a line ended by a bare LF can be told from a proper one. */
class CommandStream extends SMTPStream {
  override _write(chunk: Buffer, encoding: BufferEncoding, next: (error?: Error | null) => void): void {
    let lines = 0;
    const feed = (rest: Buffer): void => {
      const lf = this._dataMode || this.isClosed ? -1 : rest.indexOf(LF);
      if (lf < 0) {
        super._write(rest, encoding, next);
        return;
      }
      const bare = lf > 0 ? rest[lf - 1] !== CR : !this._remainder.endsWith('\r');
      const line = bare ? Buffer.concat([rest.subarray(0, lf), BROKEN_END]) : rest.subarray(0, lf + 1);
      super._write(line, encoding, (error) => {
        if (error) return next(error);
        lines += 1;
        if (lines % LINES_PER_TURN === 0) setImmediate(feed, rest.subarray(lf + 1));
        else feed(rest.subarray(lf + 1));
      });
    };
    feed(chunk);
  }

  /** The library would run an unfinished last line as a command. */
  override _flushData(): void {
    this._remainder = '';
  }
}

/** The library's own replies for which the catalogue has words, by code and the library's context. */
function catalogued(code: number, data: unknown, context: unknown): ErrorCode | undefined {
  if (code === 530) return 'authentication-required';
  if (code === 538) return 'tls-required';
  if (code === 552 || context === 'MESSAGE_TOO_BIG') return 'message-too-large';
  if (context === 'TOO_MANY_RECIPIENTS') return 'too-many-recipients';
  if (context === 'SENDER_SYNTAX_ERROR') return 'sender-malformed';
  if (context === 'MAILBOX_SYNTAX_ERROR') return 'recipient-malformed';
  if (code === 421 && data === 'Server shutting down') return 'shutting-down';
  return undefined;
}

/** One SMTP session. */
export class GatewayConnection extends SMTPConnection {
  /** Without the pause in which the library looks for early talkers: here everybody has to log in. */
  override init(): void {
    this._setListeners(() => {
      const { maxClients } = this._server.options;
      if (maxClients && this._server.connections.size > maxClients) this.refuse('too-many-connections');
      else this.connectionReady();
    });
  }

  /** Replies with an error of the catalogue. */
  refuse(code: ErrorCode): void {
    const language = (this._server as GatewayServer).language(this.session);
    const reply = replyTo(new GatewayError(code), language);
    super.send(reply.code, reply.line, false);
  }

  /** True while a message is being received or decided on. */
  get busy(): boolean {
    return Boolean(this._dataStream);
  }

  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    if (Array.isArray(data)) {
      // AUTH is offered where it works: after STARTTLS.
      super.send(code, this.secure ? data : data.filter((line) => !line.startsWith('AUTH ')), context);
    } else if (typeof data === 'string' && /^[245]\.\d{1,3}\.\d{1,3} /.test(data)) {
      super.send(code, data, false);
    } else {
      const known = catalogued(code, data, context);
      if (known === undefined) super.send(code, data, context);
      else this.refuse(known);
    }
  }

  override _createParser(): SMTPStream {
    const parser = new CommandStream({ maxCommandLength: this._server.options.maxCommandLength });
    parser.oncommand = (command, callback) => this._onCommand(command, callback);
    parser.on('error', (error) => this.send(421, `4.5.2 ${error.message}`));
    return parser;
  }

  override _onCommand(command: Buffer, callback?: () => void): void {
    if (this._ready && !this._upgrading && (command.includes(0) || command.includes(CR))) {
      this._nextHandler = false;
      this._unrecognizedCommands += 1;
      this.refuse('command-line-end');
      if (this._unrecognizedCommands >= 10) this.close();
      callback?.();
      return;
    }
    super._onCommand(command, callback);
  }

  override handler_MAIL(command: Buffer, callback: () => void): void {
    if (this.#accepts('MAIL', command)) super.handler_MAIL(command, callback);
    else callback();
  }

  override handler_RCPT(command: Buffer, callback: () => void): void {
    if (this.#accepts('RCPT', command)) super.handler_RCPT(command, callback);
    else callback();
  }

  override _parseAddressCommand(name: string, command: string | Buffer) {
    const parsed = super._parseAddressCommand(name, command);
    if (!parsed || /^[\x20-\x7e]*$/.test(parsed.address)) return parsed;
    // The library shows `xn--` domains in Unicode; addresses are kept as they came.
    const at = parsed.address.lastIndexOf('@') + 1;
    const domain = domainToASCII(parsed.address.slice(at));
    return domain === '' ? false : { ...parsed, address: parsed.address.slice(0, at) + domain };
  }

  #accepts(verb: 'MAIL' | 'RCPT', command: Buffer): boolean {
    const error = checkAddressCommand(verb, command.toString('latin1'), { auth: this._isSupported('AUTH') });
    if (error !== undefined) this.refuse(error);
    return error === undefined;
  }
}

export interface GatewayServerOptions extends SMTPServerOptions {
  /** Connections that one address (IPv6: one /64) may hold on this listener. */
  readonly maxClientsPerAddress: number;
  /** The language that a client is answered in; the session is not known while it is refused at the door. */
  readonly language: (session: SMTPServerSession | undefined) => Language;
}

/** A listener whose sessions are GatewayConnections. */
export class GatewayServer extends SMTPServer {
  readonly #perAddress = new Map<string, number>();
  readonly #limit: number;
  readonly language: GatewayServerOptions['language'];

  constructor({ maxClientsPerAddress, language, ...options }: GatewayServerOptions) {
    super(options);
    this.#limit = maxClientsPerAddress;
    this.language = language;
  }

  override connect(socket: Socket, socketOptions?: ConstructorParameters<typeof SMTPConnection>[2]): void {
    const connection = new GatewayConnection(this, socket, socketOptions);
    this.connections.add(connection);
    connection.on('error', (error) => this.emit('error', error));
    connection.init();
  }

  override _acceptSocket(socket: Socket, handshake: boolean): (() => void) | false {
    const key = addressKey(socket.remoteAddress ?? '');
    const open = this.#perAddress.get(key) ?? 0;
    if (open >= this.#limit) {
      socket.on('error', () => undefined);
      const { code, line } = replyTo(new GatewayError('too-many-connections'), this.language(undefined));
      // Before a TLS handshake no word would be understood.
      if (handshake) socket.destroy();
      else socket.end(`${code} ${line}\r\n`, () => socket.destroy());
      return false;
    }
    this.#perAddress.set(key, open + 1);
    socket.once('close', () => {
      const left = (this.#perAddress.get(key) ?? 1) - 1;
      if (left > 0) this.#perAddress.set(key, left);
      else this.#perAddress.delete(key);
    });
    return super._acceptSocket(socket, handshake);
  }
}
