/**
 * The verdict on a message from the provider: while its bytes pass (from what is at hand alone, no network), and
 * again later. Nothing is refused because of a verdict.
 */
import type { ProviderConfig, TenantConfig } from '../config/schema.ts';
import type { CheckFact, Verdict } from '../evidence/entry.ts';
import { revocationNetwork } from '../pki/revocation-network.ts';
import { readTrustFiles, revocationAtHand } from '../pki/revocation-sources.ts';
import type { CheckResult, Material, RevocationSource } from '../pki/types.ts';
import { UnusableInput, verifyDeMail } from '../pki/verify-demail.ts';
import type { Store, VerdictRecord } from '../store/store.ts';
import { stageBytes } from './staging.ts';

export interface Judgement {
  readonly verdict: Exclude<Verdict, 'not-checked'>;
  readonly checks: readonly CheckResult[];
  readonly material: readonly Material[];
}

type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

export interface JudgeDeps {
  readonly tenant: string;
  /** Revocation data from the network is kept below it. */
  readonly dataDir: string;
}

/**
 * Judges a message by the tenant's anchors. `time`: when its bytes are known to have existed. Total, but for
 * errors of the source.
 */
export async function judge(
  deps: JudgeDeps,
  { provider }: TenantConfig,
  content: Chunks,
  { time, network }: { readonly time: Date; readonly network: boolean },
): Promise<Judgement> {
  try {
    const trust = await readTrustFiles(anchorsOf(provider));
    const revocation = await revocationOf(deps, provider, network);
    const { verdict, checks, material } = await verifyDeMail(content, {
      trust,
      revocation,
      time,
      pins: provider.signers,
    });
    return { verdict, checks, material };
  } catch (error) {
    const unusable = error instanceof UnusableInput;
    const reason = unusable ? error.message : `it could not be verified: ${String(error)}`;
    const code = unusable ? 'message-unusable' : 'message-not-verified';
    const check = { name: 'message', result: 'undecided', reason: reason.slice(0, 500), code } as const;
    return { verdict: 'indeterminate', checks: [check], material: [] };
  }
}

/** Providers sign under an authority of their own; without a list of those, that of the servers counts. */
export function anchorsOf(provider: ProviderConfig): readonly string[] {
  return provider.signatureAnchors.length > 0 ? provider.signatureAnchors : provider.trustAnchors;
}

function revocationOf(
  { dataDir }: JudgeDeps,
  { revocation }: ProviderConfig,
  network: boolean,
): Promise<RevocationSource> {
  const online =
    network && revocation.network
      ? revocationNetwork({ allowPrivate: revocation.privateAddresses })
      : undefined;
  return revocationAtHand(dataDir, revocation.folder, online);
}

/** Judges what passes through `content`; `verdict` is due once everything has passed. */
export function judgeWhilePassing(
  content: AsyncIterable<Buffer>,
  run: (chunks: AsyncIterable<Uint8Array>) => Promise<Judgement>,
): { readonly content: AsyncIterable<Buffer>; verdict(): Promise<Judgement> } {
  const queue: Buffer[] = [];
  let ended = false;
  let idle = false;
  let wake = () => {};
  let taken = () => {};
  async function* copies() {
    for (;;) {
      const chunk = queue.shift();
      if (chunk !== undefined) {
        taken();
        yield chunk;
      } else if (ended) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  }
  const verdict = run(copies()).finally(() => {
    // A verdict may be found early: the rest passes by.
    idle = true;
    taken();
  });
  // Whoever asks for it hears of a failure; where the source fails first, nobody asks.
  verdict.catch(() => {});
  async function* passing() {
    try {
      for await (const chunk of content) {
        if (!idle) {
          queue.push(chunk);
          wake();
          if (queue.length > 2) {
            await new Promise<void>((resolve) => {
              taken = resolve;
            });
          }
        }
        yield chunk;
      }
    } finally {
      ended = true;
      wake();
    }
  }
  return { content: passing(), verdict: () => verdict };
}

/** Where time can still decide: revocation data comes later, anchors may be configured, certificates found. */
export function mayChange({ verdict, checks }: Pick<Judgement, 'verdict' | 'checks'>): boolean {
  const open = /revocation|chain-no-anchor|message-not-verified|signing-time-ahead/;
  return verdict === 'indeterminate' && checks.some((c) => c.result === 'undecided' && open.test(c.code));
}

/**
 * Did a provider sign it whom we trust? What is still unknown about revocation leaves it undecided; any other
 * doubt fails it: without a path to an anchor nobody vouches for it.
 */
export function signatureStanding({ verdict, checks }: Judgement): CheckFact {
  const name = 'signature';
  if (verdict === 'valid')
    return { name, result: 'passed', reason: 'intact, by a certificate under a configured anchor' };
  const failed = checks.find(({ result }) => result === 'failed');
  if (failed !== undefined) return { name, result: 'failed', reason: `${failed.name}: ${failed.reason}` };
  const undecided = checks.filter(({ result }) => result === 'undecided');
  const doubt = undecided.find(({ code }) => !/revocation-|signing-time-ahead/.test(code));
  if (doubt !== undefined) return { name, result: 'failed', reason: `${doubt.name}: ${doubt.reason}` };
  return {
    name,
    result: 'undecided',
    reason: `intact and under a configured anchor; provisional: ${undecided[0]?.reason ?? 'revocation unknown'}`,
  };
}

/** The reason in few words, for the block before a delivered copy. */
export function shortReason({ verdict, checks }: Pick<Judgement, 'verdict' | 'checks'>): string | null {
  const wanted = verdict === 'invalid' ? 'failed' : verdict === 'indeterminate' ? 'undecided' : null;
  const check = checks.find(({ result }) => result === wanted);
  return check === undefined ? null : `${check.name}: ${check.reason}`.slice(0, 200);
}

/** What the log says of the checks; codes are for programs that run now. */
export function checkFacts(checks: readonly CheckResult[]): CheckFact[] {
  return checks.map(({ name, result, reason }) => ({ name, result, reason: reason.slice(0, 500) }));
}

/** Certificates and revocation data into the store, so that the verdict can be repeated offline. */
export async function stageMaterial(
  store: Store,
  tenant: string,
  material: readonly Material[],
): Promise<VerdictRecord['material']> {
  const staged: VerdictRecord['material'][number][] = [];
  for (const { kind, der } of material)
    staged.push({ type: kind, object: await stageBytes(store, tenant, der) });
  return staged;
}

/**
 * Epoch ms of the next look: as long again as has passed since it came, at least an hour and at most a day. CRLs
 * appear daily at most providers.
 */
export function nextLook(cameAt: number, now: number): number {
  const hour = 3_600_000;
  return now + Math.min(Math.max(now - cameAt, hour), 24 * hour);
}
