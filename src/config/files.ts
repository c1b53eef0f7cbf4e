/** The files that a configuration names: where they lie, whether they can be used, what secrets they hold. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { loadAlgorithms } from './algorithms.ts';
import type { Config, HttpListenerConfig, SecretConfig, WitnessConfig } from './schema.ts';
import type { Finding, Path } from './yaml.ts';

/**
 * The secret itself, without the line end that editors add. Never log it.
 * @throws Error that names the file or variable where there is none
 */
export function readSecret(secret: SecretConfig): string {
  if ('env' in secret) {
    const value = process.env[secret.env];
    if (value === undefined || value === '') throw new Error(`environment variable ${secret.env} is not set`);
    return value;
  }
  const text = readFileSync(secret.file, 'utf8').replace(/\r?\n$/, '');
  if (text === '') throw new Error(`${secret.file} is empty`);
  return text;
}

/** Folder of the keys: systemd says by environment where it put a service's credentials. */
export function keyFolder(directory: string, base: string): string {
  const { CREDENTIALS_DIRECTORY } = process.env;
  return directory === '$CREDENTIALS_DIRECTORY' && CREDENTIALS_DIRECTORY !== undefined
    ? CREDENTIALS_DIRECTORY
    : resolve(base, directory);
}

/** Makes every path absolute, as meant from `folder`. Changes `config`. */
export function resolvePaths(config: Config, folder: string): void {
  const from = (path: string): string => resolve(folder, path);
  config.data = from(config.data);
  config.tls.certificate = from(config.tls.certificate);
  config.tls.key = from(config.tls.key);
  config.tls.clientAuthorities = config.tls.clientAuthorities.map(from);
  if (config.malware?.clamd.socket) config.malware.clamd.socket = from(config.malware.clamd.socket);
  if (config.keys) {
    if (config.keys.directory !== undefined) config.keys.directory = keyFolder(config.keys.directory, folder);
    config.keys.recovery = config.keys.recovery.map(from);
  }
  if (config.checkpoints) config.checkpoints.directory = from(config.checkpoints.directory);
  const { evidence } = config;
  evidence.checkpointFolders = evidence.checkpointFolders.map(from);
  if (evidence.tiles) {
    evidence.tiles.directory = from(evidence.tiles.directory);
    resolveListener(evidence.tiles.listen, from);
  }
  for (const witness of evidence.witnesses) witness.trustAnchors = witness.trustAnchors.map(from);
  if (config.witness) resolveWitness(config.witness, folder);
  const { seal } = config.preservation;
  if (seal) {
    seal.trustAnchors = seal.trustAnchors.map(from);
    if (seal.revocation.folder !== undefined) seal.revocation.folder = from(seal.revocation.folder);
    for (const { authorization } of seal.authorities) {
      if (authorization && 'file' in authorization) authorization.file = from(authorization.file);
    }
  }
  const { backup, secondCopy } = config.preservation;
  if (backup) backup.directory = from(backup.directory);
  if (secondCopy) secondCopy.directory = from(secondCopy.directory);
  if (config.preservation.algorithms !== undefined)
    config.preservation.algorithms = from(config.preservation.algorithms);
  for (const { provider, users, delivery, senderSignatures, privateMail } of config.tenants) {
    senderSignatures.anchors = senderSignatures.anchors.map(from);
    privateMail.certificateAuthorities = privateMail.certificateAuthorities.map(from);
    provider.trustAnchors = provider.trustAnchors.map(from);
    provider.signatureAnchors = provider.signatureAnchors.map(from);
    const { revocation } = provider;
    if (revocation.folder !== undefined) revocation.folder = from(revocation.folder);
    if (provider.password && 'file' in provider.password)
      provider.password.file = from(provider.password.file);
    if (provider.clientIdentity) {
      provider.clientIdentity.certificate = from(provider.clientIdentity.certificate);
      provider.clientIdentity.key = from(provider.clientIdentity.key);
    }
    for (const endpoint of [provider.smtp, provider.imap]) {
      if (endpoint.socket !== undefined) endpoint.socket = from(endpoint.socket);
    }
    for (const user of users) {
      if (user.passwordHashFile !== undefined) user.passwordHashFile = from(user.passwordHashFile);
    }
    if (delivery.forward) {
      delivery.forward.trustAnchors = delivery.forward.trustAnchors.map(from);
      if (delivery.forward.socket !== undefined) delivery.forward.socket = from(delivery.forward.socket);
    }
  }
}

/** The same for a witness alone. */
export function resolveWitness(witness: WitnessConfig, folder: string): void {
  const from = (path: string): string => resolve(folder, path);
  witness.directory = from(witness.directory);
  resolveListener(witness.listen, from);
}

function resolveListener(listen: HttpListenerConfig | undefined, from: (path: string) => string): void {
  if (listen?.tls === undefined) return;
  listen.tls = { certificate: from(listen.tls.certificate), key: from(listen.tls.key) };
}

/** Certificates, keys and secrets: readable, of the right kind, and each key belonging to its certificate. */
export function checkFiles(config: Config): Finding[] {
  const findings: Finding[] = [];
  checkIdentity(['tls'], config.tls.certificate, config.tls.key);
  config.tls.clientAuthorities.forEach((path, i) => {
    checkCertificate(['tls', 'clientAuthorities', i], path);
  });
  config.keys?.recovery.forEach((path, i) => {
    checkCertificate(['keys', 'recovery', i], path);
  });
  const { tiles, witnesses } = config.evidence;
  if (tiles?.listen?.tls)
    checkIdentity(['evidence', 'tiles', 'listen', 'tls'], tiles.listen.tls.certificate, tiles.listen.tls.key);
  if (config.witness?.listen.tls)
    checkIdentity(
      ['witness', 'listen', 'tls'],
      config.witness.listen.tls.certificate,
      config.witness.listen.tls.key,
    );
  witnesses.forEach(({ trustAnchors }, w) => {
    trustAnchors.forEach((path, i) => {
      checkCertificate(['evidence', 'witnesses', w, 'trustAnchors', i], path);
    });
  });
  config.preservation.seal?.trustAnchors.forEach((path, i) => {
    checkCertificate(['preservation', 'seal', 'trustAnchors', i], path);
  });
  config.preservation.seal?.authorities.forEach(({ authorization }, i) => {
    if (authorization)
      attempt(['preservation', 'seal', 'authorities', i, 'authorization'], () => readSecret(authorization));
  });
  attempt(['preservation', 'algorithms'], () => loadAlgorithms(config.preservation.algorithms));
  config.tenants.forEach((tenant, t) => {
    const at: Path = ['tenants', t, 'provider'];
    const { clientIdentity, password, trustAnchors, signatureAnchors } = tenant.provider;
    if (clientIdentity)
      checkIdentity([...at, 'clientIdentity'], clientIdentity.certificate, clientIdentity.key);
    if (password) attempt([...at, 'password'], () => readSecret(password));
    trustAnchors.forEach((path, i) => {
      checkCertificate([...at, 'trustAnchors', i], path);
    });
    signatureAnchors.forEach((path, i) => {
      checkCertificate([...at, 'signatureAnchors', i], path);
    });
    tenant.senderSignatures.anchors.forEach((path, i) => {
      checkCertificate(['tenants', t, 'senderSignatures', 'anchors', i], path);
    });
    tenant.privateMail.certificateAuthorities.forEach((path, i) => {
      checkCertificate(['tenants', t, 'privateMail', 'certificateAuthorities', i], path);
    });
    tenant.delivery.forward?.trustAnchors.forEach((path, i) => {
      checkCertificate(['tenants', t, 'delivery', 'forward', 'trustAnchors', i], path);
    });
  });
  return findings;

  function checkIdentity(at: Path, certificatePath: string, keyPath: string): void {
    const certificate = checkCertificate([...at, 'certificate'], certificatePath);
    const key = attempt([...at, 'key'], () => createPrivateKey(readFileSync(keyPath)));
    if (certificate && key && !certificate.checkPrivateKey(key)) {
      findings.push({ path: [...at, 'key'], message: `${keyPath} is not the key of ${certificatePath}` });
    }
  }

  function checkCertificate(at: Path, path: string): X509Certificate | undefined {
    return attempt(at, () => new X509Certificate(readFileSync(path)));
  }

  function attempt<T>(at: Path, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      findings.push({ path: at, message: `cannot be used: ${(error as Error).message}` });
      return undefined;
    }
  }
}

/** Fills `passwordHash` from `passwordHashFile`, so that nobody after this reads a file. Changes `config`. */
export function readPasswordHashes(config: Config): Finding[] {
  const findings: Finding[] = [];
  config.tenants.forEach((tenant, t) => {
    tenant.users.forEach((user, u) => {
      if (user.passwordHashFile === undefined) return;
      const path: Path = ['tenants', t, 'users', u, 'passwordHashFile'];
      try {
        const hash = readFileSync(user.passwordHashFile, 'utf8').trim();
        if (hash.startsWith('$argon2id$')) user.passwordHash = hash;
        else
          findings.push({
            path,
            message: `${user.passwordHashFile} holds no argon2id hash; make one with "user hash"`,
          });
      } catch (error) {
        findings.push({ path, message: `cannot be read: ${(error as Error).message}` });
      }
    });
  });
  return findings;
}
