/**
 * The tokens of seals and renewals: what the columns say of each, and whether it held when the next one covered it
 * (EN 319 102-1 5.6). What could not be decided is reported as such, never as good.
 */
import { hash } from 'node:crypto';
import { type Certificate, readCertificate } from '../pki/certificate.ts';
import { isSignedList, readCrl } from '../pki/crl.ts';
import { DerError } from '../pki/der.ts';
import { revocationMemory } from '../pki/revocation-sources.ts';
import { type TimestampReport, timestampVerifier } from '../pki/timestamp.ts';
import { completeToken } from '../pki/timestamp-completion.ts';
import { derToken, embedValidationData } from '../pki/timestamp-der.ts';
import { readTimestampResponse } from '../pki/timestamp-request.ts';
import { readTimestampToken, type TimestampToken } from '../pki/timestamp-token.ts';
import type { RevocationSource, TrustStore } from '../pki/types.ts';
import type { ArchiveTimestamp, ArchiveToken } from '../store/store.ts';
import type { Report } from './audit.ts';
import { type AlgorithmPolicy, algorithmProblem } from './ers/algorithm-policy.ts';

/** By what tokens are judged. */
export interface ArchiveCircumstances {
  /** The roots that time-stamps must lead to. */
  readonly trust: TrustStore;
  /** Asked beside what the tokens bring along. */
  readonly revocation: RevocationSource;
  readonly policy: AlgorithmPolicy;
  /** What nothing covers yet is judged as of then. */
  readonly time: Date;
}

/** A token as it is stored, taken apart. */
export interface StoredToken extends ArchiveToken {
  /** Null where it cannot be read. */
  readonly read: TimestampToken | null;
  /** Lower-case hex SHA-256 of the token as it came, and its bytes; null where the response has none. */
  readonly original: { readonly sha256: string; readonly size: number } | null;
}

/** Takes a stored token apart, and compares it with its columns and with the raw response of its authority. */
export function readStored(one: ArchiveTimestamp, stored: ArchiveToken, report: Report): StoredToken {
  const place = `archive timestamp ${one.id}`;
  const result = readTimestampToken(stored.token);
  const original = originalOf(stored.response);
  if (!result.ok) report(place, `its token cannot be read: ${result.reason}`);
  else {
    const { imprint, genTime } = result.token;
    if (imprint.hash !== one.digest)
      report(place, `column digest says ${one.digest}, the token ${imprint.hash}`);
    if (genTime.toISOString() !== one.genTime)
      report(place, `column gen_time says ${one.genTime}, the token ${genTime.toISOString()}`);
    const difference = original === null ? null : differenceOf(stored.token, result.token, original);
    if (original === null) report(place, 'the response of its authority holds no token');
    else if (difference !== null) report(place, difference);
  }
  return {
    ...stored,
    read: result.ok ? result.token : null,
    original: original === null ? null : { sha256: hash('sha256', original), size: original.length },
  };
}

function originalOf(response: Buffer): Buffer | null {
  const answer = readTimestampResponse(response);
  try {
    return answer.ok ? derToken(answer.token) : null;
  } catch (error) {
    if (error instanceof DerError) return null;
    throw error;
  }
}

/** Certificates may have been added, and revocation data exchanged; everything else must be as it came. */
function differenceOf(token: Buffer, read: TimestampToken, original: Buffer): string | null {
  const crls = read.revocation.filter(({ kind }) => kind === 'crl').map(({ der }) => der);
  const certificates = read.cms.certificates;
  if (token.equals(original)) return null;
  const same = embedValidationData(original, { certificates, crls }).equals(token);
  return same ? null : 'its token is not the one that the authority gave: the response holds another';
}

/** Judges tokens; each is told in findings (it is wrong) and in what is open (it cannot be decided). */
export function createTokenJudge(circumstances: ArchiveCircumstances, report: Report, undecided: Report) {
  const { trust, policy, time } = circumstances;
  const revocation = asked(circumstances.revocation);
  const verify = timestampVerifier({ trust, revocation });
  const told = new Set<string>();

  function tell(result: 'failed' | 'undecided', place: string, problem: string): void {
    // Several chains may share a token.
    if (told.has(`${place} ${problem}`)) return;
    told.add(`${place} ${problem}`);
    (result === 'failed' ? report : undecided)(place, problem);
  }

  return {
    /** @param coveredAt when the next archive timestamp covered it; null: nothing does */
    async judge(one: ArchiveTimestamp, { token, read }: StoredToken, coveredAt: Date | null): Promise<void> {
      if (read === null) return;
      const place = `archive timestamp ${one.id}`;
      const moment = coveredAt ?? time;
      const verdict = await verify(token, moment);
      for (const { result, code, reason } of verdict.checks)
        if (result !== 'passed') tell(result, place, `${reason} (${code})`);
      const uses = [{ name: one.digest, purpose: 'digest' as const, bits: null }, ...verdict.algorithms];
      for (const use of uses) {
        const problem = algorithmProblem(policy, use, moment);
        if (problem !== null) tell('undecided', place, `${problem} (record-algorithm)`);
      }
      spoiltLists(read, verdict).forEach((reason) => {
        tell('failed', place, reason);
      });
      if (verdict.path === null) return;
      const completed = await completeToken(token, {
        trust,
        revocation: revocationMemory(read.revocation),
        time: moment,
      });
      if (completed.ok !== one.final)
        tell(
          'failed',
          place,
          completed.ok
            ? 'column final says no, but its token holds its revocation lists'
            : `column final says yes, but ${completed.reason}`,
        );
    },
  };
}

/** Lists in a token whose signature does not fit: a byte of them was changed. */
function spoiltLists({ revocation, cms }: TimestampToken, { path }: TimestampReport): string[] {
  const issuers = [
    ...cms.certificates.map((der) => readCertificate(Buffer.from(der))),
    ...(path ?? []),
  ].filter((each): each is Certificate => each !== null);
  return revocation.flatMap(({ kind, der }) => {
    const crl = kind === 'crl' ? readCrl(der) : null;
    if (kind === 'crl' && crl === null) return ['a revocation list in its token cannot be read'];
    if (crl === null || path === null) return [];
    const fits = issuers.some((issuer) => isSignedList(crl, issuer));
    return fits ? [] : ['a revocation list in its token has no valid signature of its issuer'];
  });
}

/** Hundreds of tokens of one authority ask for the same list. */
function asked(source: RevocationSource): RevocationSource {
  const known = new Map<string, ReturnType<RevocationSource['find']>>();
  return {
    find(query) {
      const key = hash('sha256', query.certificate);
      let answer = known.get(key);
      if (answer === undefined) {
        answer = source.find(query);
        known.set(key, answer);
      }
      return answer;
    },
  };
}
