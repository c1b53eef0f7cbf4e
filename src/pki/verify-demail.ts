/** The verdict on a De-Mail: integrity header, signer, revocation, and the signed XML of what providers write. */
import { confirmationType, findXmlPart } from '../demail/confirmation.ts';
import { coveredFields, createIntegrityCheck, type IntegrityResult } from '../demail/integrity.ts';
import { readMetadata } from '../demail/metadata.ts';
import { decodeContent } from '../mime/digest.ts';
import { type HeaderField, headerEnd, parseHeader } from '../mime/header.ts';
import { createIndexer } from '../mime/structure.ts';
import { type Certificate, readCertificate, signerFact } from './certificate.ts';
import { check } from './check.ts';
import { verifyConfirmationXml } from './confirmation-xml.ts';
import { verifyAssertion } from './saml.ts';
import { verifySignature } from './signature.ts';
import { type Circumstances, checkSigner, type SignerInput } from './signer.ts';
import { checkPins, claimedProviders } from './signer-pins.ts';
import { type CheckResult, type Material, type Protection, type VerdictReport, verdictOf } from './types.ts';
import { readAcknowledgement } from './xml-acknowledgement.ts';
import type { VerifiedXml } from './xmldsig.ts';
import { verifyEnveloped } from './xmldsig.ts';

/** Headers of De-Mails have some 10 KiB. */
const MAX_HEADER_BYTES = 1024 * 1024;
/** What a provider writes holds an XML file and a PDF of one page. */
const MAX_STATEMENT_BYTES = 8 * 1024 * 1024;

export interface DeMailVerdict extends VerdictReport {
  /** What the integrity header covers, canonical; null where it has none or it cannot be read. */
  readonly signedBytes: Buffer | null;
}

/** The input is no message at all, or one that is not verified here: `message` says why. */
export class UnusableInput extends Error {}

/**
 * Verifies a message while its bytes pass: memory does not grow with a normal message. Total, but for
 * `UnusableInput` where there is no header, or one without end, and errors of the source itself.
 */
export async function verifyDeMail(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  circumstances: Circumstances,
): Promise<DeMailVerdict> {
  const { fields, integrity, statement } = await readWhole(source);
  const verdict = createVerdict(circumstances);
  const metadata = readMetadata(fields);
  const dateHeader = Date.parse(metadata.date ?? '');
  const claimed = Number.isNaN(dateHeader) ? null : new Date(dateHeader);

  let protection: Protection = 'absent';
  let signedBytes: Buffer | null = null;
  let covered: readonly HeaderField[] = [];
  let signer: Certificate | null = null;
  if (integrity === null) {
    verdict.add(
      'integrity',
      'undecided',
      'there is no integrity header: nothing protects the message',
      'integrity-absent',
    );
  } else if ('unreadable' in integrity) {
    protection = 'unreadable';
    verdict.add(
      'integrity',
      'failed',
      `the integrity header cannot be read: ${integrity.unreadable}`,
      'integrity-unreadable',
    );
  } else {
    protection = integrity.value.scheme === null ? 'hash-only' : 'signed';
    signedBytes = integrity.signedBytes;
    covered = coveredFields(fields, integrity.value);
    checkHashes(integrity, verdict);
    if (protection === 'signed') signer = checkSignature(integrity, verdict);
    if (signer !== null) {
      await verdict.addSigner({ signer, others: [], claimed }, '');
      verdict.addPins(signer, claimedProviders(covered, isStatement(fields)), '');
    }
  }
  checkDuty(fields, protection, verdict);
  if (statement !== null) await checkStatement(fields, covered, statement, claimed, verdict);
  return {
    ...verdict.report(protection),
    ...(signer === null ? {} : { signer: signerFact(signer) }),
    ...(claimed === null ? {} : { signedAt: claimed.toISOString() }),
    signedBytes,
  };
}

/** Verifies the XML of a confirmation or identification that was taken out of its message. */
export async function verifyXmlFile(xml: Buffer, circumstances: Circumstances): Promise<VerdictReport> {
  const verdict = createVerdict(circumstances);
  const signed = verifyEnveloped(xml);
  if (!signed.ok) {
    if (signed.problem === 'unreadable')
      throw new UnusableInput(`no XML that is read here: ${signed.reason}`);
    verdict.add(
      'xml-signature',
      signed.problem === 'unsigned' ? 'undecided' : 'failed',
      signed.reason,
      `xml-signature-${signed.problem}`,
    );
    return verdict.report('absent');
  }
  verdict.add(
    'xml-signature',
    'passed',
    `the XML is what its certificate's key signed (${signed.method.uri})`,
  );
  const issued = signed.root.getAttribute('IssueInstant');
  const read = issued === null ? readAcknowledgement(signed.root) : null;
  if (read !== null)
    verdict.add(
      'xml-schema',
      read.ok ? 'passed' : 'failed',
      read.ok ? 'the XML follows the schema of the norm' : read.reason,
    );
  const stated = Date.parse(issued ?? (read?.ok ? (read.message.time.utc ?? '') : ''));
  const claimed = Number.isNaN(stated) ? null : new Date(stated);
  await verdict.addXmlSigner(signed, claimed);
  const signer = readCertificate(signed.signer);
  return {
    ...verdict.report('absent'),
    ...(signer === null ? {} : { signer: signerFact(signer) }),
    ...(claimed === null ? {} : { signedAt: claimed.toISOString() }),
  };
}

interface Reading {
  readonly fields: readonly HeaderField[];
  readonly integrity: IntegrityResult | { readonly unreadable: string } | null;
  /** The whole message where a provider wrote it; `too-long` where it is none that a provider would write. */
  readonly statement: Buffer | 'too-long' | null;
}

async function readWhole(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Reading> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  let begun: {
    readonly fields: HeaderField[];
    readonly check: ReturnType<typeof createIntegrityCheck>;
    readonly keep: boolean;
  } | null = null;
  const begin = (header: Buffer) => {
    const fields = parseHeader(header);
    if (!fields.some(({ name }) => name !== ''))
      throw new UnusableInput('no message: it does not begin with a header field');
    return { fields, check: createIntegrityCheck(fields), keep: isStatement(fields) };
  };
  const pushTo = (check: ReturnType<typeof createIntegrityCheck>, bytes: Uint8Array) => {
    if (check !== null && 'push' in check) check.push(bytes);
  };
  for await (const chunk of source) {
    size += chunk.length;
    if (begun !== null) {
      pushTo(begun.check, chunk);
      if (begun.keep && size <= MAX_STATEMENT_BYTES) chunks.push(chunk);
      continue;
    }
    chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    const end = headerEnd(bytes);
    if (end < bytes.length || endsHeader(bytes)) {
      begun = begin(bytes.subarray(0, end));
      pushTo(begun.check, bytes.subarray(end));
      chunks.length = 0;
      if (begun.keep) chunks.push(bytes);
    } else if (size > MAX_HEADER_BYTES) {
      throw new UnusableInput(`no message: its header has no end within ${MAX_HEADER_BYTES} bytes`);
    }
  }
  begun ??= begin(Buffer.concat(chunks));
  const { check, fields, keep } = begun;
  return {
    fields,
    integrity: check !== null && 'push' in check ? check.finish() : check,
    statement: !keep ? null : size > MAX_STATEMENT_BYTES ? 'too-long' : Buffer.concat(chunks),
  };
}

/** Whether the last bytes are the empty line, so that the body begins with the next chunk. */
function endsHeader(bytes: Buffer): boolean {
  const tail = bytes.subarray(-4).toString('latin1');
  return /\n\r?\n$/.test(tail) || tail === '\r\n' || tail === '\n';
}

function isStatement(fields: readonly HeaderField[]): boolean {
  return confirmationType(fields) !== null || readMetadata(fields).messageType === 'identification';
}

function checkHashes(integrity: IntegrityResult, verdict: Verdict): void {
  const { value, bodyHashFits, headerHashFits, uncovered } = integrity;
  if (bodyHashFits) verdict.add('body-hash', 'passed', `the body has the ${value.hash} digest of bh=`);
  else
    verdict.add(
      'body-hash',
      'failed',
      'the body is not what was sent: its digest differs from bh=',
      'body-hash-differs',
    );
  if (headerHashFits === true)
    verdict.add('header-hash', 'passed', `the headers have the ${value.hash} digest of b=`);
  if (headerHashFits === false) {
    verdict.add(
      'header-hash',
      'failed',
      'a covered header is not what was sent: the digest differs from b=',
      'header-hash-differs',
    );
  }
  // Whoever leaves a name out of h= can change that header without a trace.
  if (uncovered.length === 0)
    verdict.add('covered-headers', 'passed', "all of the norm's headers that are there are covered");
  else
    verdict.add(
      'covered-headers',
      'failed',
      `h= leaves out ${uncovered.join(', ')} (IO 3.1.21)`,
      'covered-headers-missing',
    );
}

/** The signature against the key of the certificate header, and no other key (IO 3.1.21). */
function checkSignature(
  { value, certificate, signedBytes }: IntegrityResult,
  verdict: Verdict,
): Certificate | null {
  if (certificate === null) {
    const reason = 'there is no X-de-mail-signature-certificate that can be read, so no key';
    verdict.add('signature', 'undecided', reason, 'signature-no-certificate');
    return null;
  }
  const signer = readCertificate(certificate);
  if (signer === null) {
    verdict.add(
      'signature',
      'undecided',
      'X-de-mail-signature-certificate is no X.509 certificate',
      'signature-no-certificate',
    );
    return null;
  }
  const result = value.scheme === null ? null : signatureResult(value.scheme, value, signer, signedBytes);
  if (result?.ok)
    verdict.add('signature', 'passed', `the headers are what was signed (${value.hash}/${value.scheme})`);
  else verdict.add('signature', 'failed', result?.reason ?? 'not signed', 'signature-broken');
  return signer;
}

function signatureResult(
  scheme: NonNullable<IntegrityResult['value']['scheme']>,
  { hash, value }: IntegrityResult['value'],
  signer: Certificate,
  signedBytes: Buffer,
) {
  try {
    return verifySignature(scheme, hash, signer.x509.publicKey, signedBytes, value);
  } catch {
    // OpenSSL does not take every key: explicit curve parameters, say.
    return { ok: false as const, reason: 'the key of the certificate cannot be used' };
  }
}

/**
 * Authoritative messages must be signed (IO 3.1.13), confirmations and identifications too (IO 3.1.1 table 1
 * line 18, 3.4.1). Without the signature nobody vouches for them: a hash can be made by anyone who changed them.
 */
function checkDuty(fields: readonly HeaderField[], protection: Protection, verdict: Verdict): void {
  const { messageType, options } = readMetadata(fields);
  const what =
    isStatement(fields) || messageType === 'malware-acknowledge'
      ? `a message of type ${messageType}`
      : options.includes('authoritative')
        ? 'an authoritative message'
        : null;
  if (what === null) return;
  if (protection === 'signed') verdict.add('signing-duty', 'passed', `${what} must be signed, and is`);
  else
    verdict.add(
      'signing-duty',
      'failed',
      `${what} must be signed, and is not (IO 3.1.13, 3.4.1)`,
      'signing-duty-unsigned',
    );
}

async function checkStatement(
  fields: readonly HeaderField[],
  covered: readonly HeaderField[],
  statement: Buffer | 'too-long',
  claimed: Date | null,
  verdict: Verdict,
): Promise<void> {
  if (statement === 'too-long') {
    verdict.add(
      'xml',
      'undecided',
      `longer than ${MAX_STATEMENT_BYTES} bytes: its XML is not read`,
      'xml-too-long',
    );
    return;
  }
  const indexer = createIndexer();
  indexer.push(statement);
  const part = findXmlPart(indexer.finish());
  if (part === null) {
    verdict.add('xml', 'failed', 'there is no XML in it (IO 3.4.1)', 'xml-missing');
    return;
  }
  const xml = decodeContent(statement.subarray(part.bodyStart, part.bodyEnd), part.encoding.toLowerCase());
  if (confirmationType(fields) === null) {
    const { checks, signed } = verifyAssertion({ xml, covered, at: claimed ?? verdict.time });
    verdict.addAll(checks);
    if (signed !== null) await verdict.addXmlSigner(signed, claimed, claimedProviders(covered, true));
    return;
  }
  const { checks, signed, acknowledgement } = verifyConfirmationXml({ xml, covered });
  verdict.addAll(checks);
  const stated = acknowledgement?.time.utc ?? null;
  const at = stated === null ? claimed : new Date(stated);
  if (signed !== null) await verdict.addXmlSigner(signed, at, claimedProviders(covered, true));
}

interface Verdict {
  readonly time: Date;
  add(name: string, result: CheckResult['result'], reason: string, code?: string): void;
  addAll(checks: readonly CheckResult[]): void;
  /** Path and revocation of a signer's certificate; the names of the checks begin with `prefix`. */
  addSigner(input: SignerInput, prefix: string): Promise<void>;
  /** `providers`: domains of the provider that the message names. */
  addPins(signer: Certificate, providers: readonly string[], prefix: string): void;
  /** Without `providers` nobody says who it should be: an XML file alone. */
  addXmlSigner(signed: VerifiedXml, claimed: Date | null, providers?: readonly string[]): Promise<void>;
  report(integrity: Protection): VerdictReport;
}

function createVerdict(circumstances: Circumstances): Verdict {
  const checks: CheckResult[] = [];
  const material = new Map<string, Material>();
  const verdict: Verdict = {
    time: circumstances.time,
    add: (name, result, reason, code) => void checks.push(check(name, result, reason, code)),
    addAll: (list) => void checks.push(...list),
    async addSigner(input, prefix) {
      const { checks: found, material: kept } = await checkSigner(input, circumstances);
      checks.push(...found.map((item) => ({ ...item, name: prefix + item.name, code: prefix + item.code })));
      for (const item of kept) material.set(item.sha256, item);
    },
    addPins(signer, providers, prefix) {
      const found = checkPins(circumstances.pins ?? [], signer, providers);
      if (found !== null) checks.push({ ...found, name: prefix + found.name, code: prefix + found.code });
    },
    async addXmlSigner(signed, claimed, providers) {
      const signer = readCertificate(signed.signer);
      if (signer === null) {
        verdict.add('xml-certificate-chain', 'undecided', "the signer's certificate cannot be read");
        return;
      }
      const { others, crls } = signed;
      await verdict.addSigner({ signer, others, crls, claimed }, 'xml-');
      if (providers !== undefined) verdict.addPins(signer, providers, 'xml-');
    },
    report: (integrity) => ({
      verdict: verdictOf(checks),
      checks,
      integrity,
      material: [...material.values()],
    }),
  };
  return verdict;
}
