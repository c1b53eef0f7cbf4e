/** A real Thunderbird without a window, with one account at the gateway, driven by chrome scripts. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';
import { connectMarionette, type Marionette } from './marionette.ts';

export interface ThunderbirdAccount {
  readonly login: string;
  readonly password: string;
  readonly name: string;
  /** TLS from the first byte, at localhost. */
  readonly imaps: number;
  readonly submissions: number;
  /** PEM of the authority that it is told to trust. */
  readonly caFile: string;
  /** Further lines of user.js. */
  readonly prefs?: string;
}

export interface Thunderbird extends AsyncDisposable {
  /**
   * Runs the body of an async function within Thunderbird. At hand: `MailServices`, `server`,
   * `until(condition)`, `pathOf(folder)`, `folder(path)`, `updated(folder)`, `open(path)` (the folder, brought up to date),
   * `headers(folder)`, `find(folder, subject)`, `within(ms, what, promise)`, `copy(from, header, to, move)`, `textOf(folder, header)`, and
   * `send(letter)`: writes it in a window and sends it, until the window closes, after the copy is filed.
   */
  run: Marionette['run'];
}

const startMs = 180_000;
/** For what a script waits for. */
const scriptMs = 120_000;

const prelude = `
  const { MailServices } = ChromeUtils.importESModule('resource:///modules/MailServices.sys.mjs');
  const { setTimeout } = ChromeUtils.importESModule('resource://gre/modules/Timer.sys.mjs');
  const until = async (condition) => {
    for (const start = Date.now(); ; await new Promise((resolve) => setTimeout(resolve, 20))) {
      const value = await condition();
      if (value) return value;
      if (Date.now() - start > ${scriptMs - 5_000}) throw new Error('waited in vain for ' + condition);
    }
  };
  const server = MailServices.accounts.defaultAccount.incomingServer;
  const pathOf = (one) => (one.parent.isServer ? '' : pathOf(one.parent) + '/') + one.name;
  const folder = (name) => server.rootFolder.descendants.find((one) => pathOf(one) === name);
  const updated = (one) => new Promise((resolve, reject) =>
    one.QueryInterface(Ci.nsIMsgImapMailFolder).updateFolderWithListener(null, {
      OnStartRunningUrl() {},
      OnStopRunningUrl(url, status) { status === 0 ? resolve() : reject(new Error(pathOf(one) + ': ' + status)); },
    }));
  const within = (ms, what, promise) => Promise.race([
    promise,
    new Promise((_, reject) => setTimeout(() => reject(new Error('waited in vain for ' + what)), ms)),
  ]);
  const open = async (name) => {
    const one = await until(() => folder(name));
    // What was under way on a connection that broke is sometimes never answered: asked again, it connects anew.
    for (let left = 3; ; left--) {
      try {
        await within(10_000, name, updated(one));
        return one;
      } catch (error) {
        if (left === 0) throw error;
      }
    }
  };
  const headers = (one) => [...one.msgDatabase.enumerateMessages()];
  const find = (one, subject) => headers(one).find((header) => header.mime2DecodedSubject === subject);
  const copy = (from, header, to, move) => new Promise((resolve, reject) =>
    MailServices.copy.copyMessages(from, [header], to, move, {
      QueryInterface: ChromeUtils.generateQI(['nsIMsgCopyServiceListener']),
      onStartCopy() {},
      onProgress() {},
      setMessageKey() {},
      getMessageId() { return null; },
      onStopCopy(status) { status === 0 ? resolve() : reject(new Error('copy: ' + status)); },
    }, null, false));
  const textOf = (one, header) => new Promise((resolve, reject) => {
    const { NetUtil } = ChromeUtils.importESModule('resource://gre/modules/NetUtil.sys.mjs');
    const uri = one.getUriForMsg(header);
    let text = '';
    MailServices.messageServiceFromURI(uri).streamMessage(uri, {
      QueryInterface: ChromeUtils.generateQI(['nsIStreamListener']),
      onStartRequest() {},
      onDataAvailable(request, stream, offset, count) { text += NetUtil.readInputStreamToString(stream, count); },
      onStopRequest(request, status) { status === 0 ? resolve(text) : reject(new Error('text: ' + status)); },
    }, null, null, false, '');
  });
  const send = async (letter) => {
    const fields = Cc['@mozilla.org/messengercompose/composefields;1'].createInstance(Ci.nsIMsgCompFields);
    Object.assign(fields, letter);
    const params = Cc['@mozilla.org/messengercompose/composeparams;1'].createInstance(Ci.nsIMsgComposeParams);
    Object.assign(params, {
      composeFields: fields,
      identity: MailServices.accounts.defaultAccount.defaultIdentity,
      format: Ci.nsIMsgCompFormat.PlainText,
      type: Ci.nsIMsgCompType.New,
    });
    MailServices.compose.OpenComposeWindowWithParams(null, params);
    const window = await until(() => Services.wm.getMostRecentWindow('msgcompose'));
    await until(() => window.gMsgCompose?.editor && window.document.getElementById('msgSubject')?.value === letter.subject);
    await window.GenericSendMessage(Ci.nsIMsgCompDeliverMode.Now);
    await until(() => window.closed);
  };
`;

/** Ended, and its profile removed, on disposal. */
export async function startThunderbird(account: ThunderbirdAccount): Promise<Thunderbird> {
  await using opened = new AsyncDisposableStack();
  const profile = await mkdtemp(join(tmpdir(), 'thunderbird-'));
  opened.defer(() => rm(profile, { recursive: true, force: true, maxRetries: 5 }));
  await writeFile(join(profile, 'user.js'), `${preferences(account)}\n${account.prefs ?? ''}\n`);
  const child = spawn(
    'thunderbird',
    ['--headless', '--no-remote', '--profile', profile, '--marionette', '--remote-allow-system-access'],
    { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, HOME: profile } },
  );
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk).slice(-10_000);
  });
  const ended = once(child, 'exit');
  opened.defer(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await ended;
  });
  // Thunderbird writes the port that it chose into its profile.
  const port = await vi.waitUntil(
    async () => {
      if (child.exitCode !== null) throw new Error(`thunderbird ended with ${child.exitCode}: ${said}`);
      return Number(await readFile(join(profile, 'MarionetteActivePort'), 'utf8').catch(() => '0'));
    },
    { timeout: startMs, interval: 50 },
  );
  const marionette = opened.use(await connectMarionette(port, scriptMs));
  const run = <T>(body: string, ...args: readonly unknown[]) => marionette.run<T>(prelude + body, ...args);
  const ca = (await readFile(account.caFile, 'utf8')).replace(/-----[^-]+-----|\s/g, '');
  await run(
    `const [ca, password] = args;
    Cc['@mozilla.org/security/x509certdb;1'].getService(Ci.nsIX509CertDB).addCertFromBase64(ca, 'CT,,');
    server.password = password;
    for (const smtp of MailServices.outgoingServer.servers) smtp.password = password;`,
    ca,
    account.password,
  );
  const running = opened.move();
  return { run, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** What the account assistant would write, and everything off that opens dialogs or asks the Internet. */
function preferences({ login, name, imaps, submissions }: ThunderbirdAccount): string {
  const server = 'mail.server.server1';
  const identity = 'mail.identity.id1';
  const smtp = 'mail.smtpserver.smtp1';
  const root = `imap://${encodeURIComponent(login)}@localhost`;
  const values: Record<string, string | number | boolean> = {
    'mail.accountmanager.accounts': 'account1',
    'mail.accountmanager.defaultaccount': 'account1',
    'mail.account.account1.server': 'server1',
    'mail.account.account1.identities': 'id1',
    [`${server}.type`]: 'imap',
    [`${server}.hostname`]: 'localhost',
    [`${server}.port`]: imaps,
    [`${server}.userName`]: login,
    [`${server}.name`]: login,
    [`${server}.socketType`]: 3,
    [`${server}.authMethod`]: 3,
    [`${server}.login_at_startup`]: false,
    [`${server}.check_new_mail`]: false,
    'mail.smtpservers': 'smtp1',
    'mail.smtp.defaultserver': 'smtp1',
    [`${smtp}.hostname`]: 'localhost',
    [`${smtp}.port`]: submissions,
    [`${smtp}.username`]: login,
    [`${smtp}.try_ssl`]: 3,
    [`${smtp}.authMethod`]: 3,
    [`${identity}.useremail`]: login,
    [`${identity}.fullName`]: name,
    [`${identity}.smtpServer`]: 'smtp1',
    [`${identity}.valid`]: true,
    [`${identity}.fcc`]: true,
    [`${identity}.fcc_folder`]: `${root}/Gesendet`,
    [`${identity}.fcc_folder_picker_mode`]: '1',
    'marionette.port': 0,
    'app.update.auto': false,
    'datareporting.policy.dataSubmissionEnabled': false,
    'extensions.update.enabled': false,
    'mail.provider.suppress_dialog_on_startup': true,
    'mail.rights.version': 1,
    'mail.shell.checkDefaultClient': false,
    'mail.spam.version': 1,
    // A server that is gone for a moment opens a dialog, which would hold the scripts up.
    'mail.suppressAlertsForTests': true,
    'mailnews.start_page.enabled': false,
    'network.captive-portal-service.enabled': false,
    'network.connectivity-service.enabled': false,
    'toolkit.telemetry.enabled': false,
  };
  return Object.entries(values)
    .map(([key, value]) => `user_pref(${JSON.stringify(key)}, ${JSON.stringify(value)});`)
    .join('\n');
}
