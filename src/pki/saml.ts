/** Identification messages: a SAML 2.0 assertion with an enveloped signature (TR-01201 ID IO 2.6). */
import { readMetadata } from '../demail/metadata.ts';
import { normaliseAddress } from '../mime/address.ts';
import type { HeaderField } from '../mime/header.ts';
import { check } from './check.ts';
import { type Assertion, readAssertion } from './saml-assertion.ts';
import type { CheckResult } from './types.ts';
import { agreesWithDate, type Outcome } from './xml-time.ts';
import { type VerifiedXml, verifyEnveloped } from './xmldsig.ts';

export interface AssertionInput {
  /** Decoded content of the XML part. */
  readonly xml: Buffer;
  /** The fields of the message's header that its integrity header covers, topmost of each name. */
  readonly covered: readonly HeaderField[];
  /** The moment that the assertion must be valid at. */
  readonly at: Date;
}

export interface AssertionReport {
  readonly checks: readonly CheckResult[];
  /** Null where the signature does not verify: then nothing of the XML may be used. */
  readonly signed: VerifiedXml | null;
  /** What the verified assertion says; null where it has not the form of the norm. */
  readonly assertion: Assertion | null;
}

/**
 * Verifies the assertion of an identification message: signature, form, the time it is valid, and that it is
 * about and for those whom the covered header names. Whether the certificate is trusted is for the caller to
 * find out. Never throws.
 */
export function verifyAssertion({ xml, covered, at }: AssertionInput): AssertionReport {
  const signed = verifyEnveloped(xml);
  if (!signed.ok) {
    const code = `assertion-signature-${signed.problem}`;
    const checks = [check('assertion-signature', 'failed', signed.reason, code)];
    return { checks, signed: null, assertion: null };
  }
  const reason = `the assertion is what its certificate's key signed (${signed.method.uri})`;
  const checks = [check('assertion-signature', 'passed', reason)];
  const read = readAssertion(signed.root);
  if (!read.ok) {
    checks.push(check('assertion-form', 'failed', read.reason));
    return { checks, signed, assertion: null };
  }
  const { assertion } = read;
  checks.push(check('assertion-form', 'passed', 'the assertion has the form of the norm'));
  const metadata = readMetadata(covered);
  const table: readonly [string, Outcome][] = [
    ['assertion-issuer', compareIssuer(assertion, metadata.sender)],
    ['assertion-subject', compareSubject(assertion, metadata.chosenRecipients?.cc ?? [])],
    ['assertion-audience', compareAudience(assertion, metadata.chosenRecipients?.to ?? [])],
    ['assertion-issued', agreesWithDate(assertion.issueInstant, metadata.date)],
    ['assertion-conditions', holdsAt(assertion, at)],
  ];
  checks.push(...table.map(([name, [result, why]]) => check(name, result, why)));
  return { checks, signed, assertion };
}

/** The issuer is the provider: its address, or any of the same domain as the system address that sent it. */
function compareIssuer({ issuer }: Assertion, sender: string | null): Outcome {
  const address = normaliseAddress(issuer);
  if (address === null) return ['failed', 'Issuer is no address'];
  if (sender === null) return ['failed', 'the covered header names no sender'];
  return domainOf(address) === domainOf(sender)
    ? ['passed', `header and assertion both name ${domainOf(sender)}`]
    : ['failed', `the assertion is issued by ${address}, the message sent by ${sender}`];
}

/** The person identified gets a copy of what is said about them: ID IO table 1. */
function compareSubject({ subject }: Assertion, cc: readonly { readonly address: string }[]): Outcome {
  if (cc.length === 0) return ['passed', 'the header names nobody as the one who asked for it'];
  return cc.some(({ address }) => address === normaliseAddress(subject))
    ? ['passed', 'the assertion is about whom the header names in Cc']
    : ['failed', 'the assertion is about somebody else than the header names in Cc'];
}

function compareAudience({ audience }: Assertion, to: readonly { readonly address: string }[]): Outcome {
  if (to.length === 0) return ['failed', 'the covered header names no recipient'];
  return to.some(({ address }) => audience.some((member) => normaliseAddress(member) === address))
    ? ['passed', 'the assertion is meant for the recipient']
    : ['failed', 'the assertion is meant for somebody else than the recipient'];
}

/** SAML core 2.5.1.2: from NotBefore on, until just before NotOnOrAfter. */
function holdsAt({ notBefore, notOnOrAfter }: Assertion, at: Date): Outcome {
  const moment = at.toISOString();
  if (notBefore?.utc === null || notOnOrAfter?.utc === null) {
    return ['undecided', 'the conditions have a time without time zone'];
  }
  if (notBefore !== null && Date.parse(notBefore.utc) > at.getTime()) {
    return ['failed', `not valid before ${notBefore.text}, looked at ${moment}`];
  }
  if (notOnOrAfter !== null && Date.parse(notOnOrAfter.utc) <= at.getTime()) {
    return ['failed', `not valid from ${notOnOrAfter.text} on, looked at ${moment}`];
  }
  return ['passed', `valid at ${moment}`];
}

function domainOf(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1);
}
