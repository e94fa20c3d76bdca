import { CubitError } from '../core/errors.ts';
import {
  type LimitKind,
  type LimitView,
  type RateAnswer,
  RateLimiter,
  type RateReservation,
  type RateUse,
  type UseLimits,
} from '../core/serving/rate-limit.ts';
import { totalUs, type Work } from '../core/serving/work.ts';
import type { Estimated } from './estimate.ts';
import type { Exchange } from './exchange.ts';
import type { EndpointSnapshot, KeySnapshot } from './snapshot.ts';

/** What a request holds of its tenant's or its key's limits. */
export interface RateHold {
  readonly limiter: RateLimiter;
  readonly reservation: RateReservation;
}

/** One set of limits that a request is under, and whose words a refusal has. */
interface Limited {
  readonly limiter: RateLimiter;
  readonly limits: UseLimits;
  readonly of: 'key' | 'pool';
}

/** Limiters that other gateways are told of. */
const TOLD_MAX = 10_000;

/** Limits of tenants on shared pools and of keys everywhere: what is used here, beside what other gateways tell. */
export class RateLimits {
  /** By the pool's key, or `key:` and the API key's id. */
  readonly #limiters = new Map<string, RateLimiter>();
  #elsewhere: ReadonlyMap<string, RateUse> = new Map();

  /** Takes over the limits of a snapshot. What nobody has any more is forgotten once nothing of it counts. */
  apply(endpoints: Iterable<EndpointSnapshot>, keys: Iterable<KeySnapshot>, nowMs: number): void {
    const named = new Map<string, UseLimits>();
    for (const { rateLimit } of endpoints) if (rateLimit !== undefined) named.set(rateLimit.key, rateLimit);
    for (const { keyId, limits } of keys) if (limits !== undefined) named.set(nameOf(keyId), limits);
    for (const [name, limiter] of this.#limiters) {
      const limits = named.get(name);
      if (limits !== undefined) limiter.setLimits(limits);
      else if (limiter.isIdle(nowMs)) this.#limiters.delete(name);
    }
  }

  /**
   * Step 5, before the endpoint's own admission: a place in the key's limits and, on a shared pool, in its tenant's, held
   * until the request settles. Nothing where there are none. `dryRun` only looks. Says where it stands in OpenAI's headers.
   * Throws `rate_limit_exceeded`.
   */
  hold(exchange: Exchange, estimated: Estimated, nowMs: number, dryRun: boolean): void {
    const all = this.#limitsOf(exchange);
    if (all.length === 0) return;
    const tokens = estimated.tokens.promptTokens + estimated.tokens.outputTokens;
    const workUs = totalUs(estimated.work);
    try {
      for (const limited of all) {
        const { limiter } = limited;
        const answer = dryRun ? limiter.look(tokens, nowMs, workUs) : limiter.reserve(tokens, nowMs, workUs);
        if (answer === null) continue;
        if (!answer.granted) throw refusal(exchange, answer, limited, tokens, estimated.work);
        exchange.rates.push({ limiter, reservation: answer.reservation });
      }
    } finally {
      writeHeaders(exchange, all, nowMs);
    }
  }

  /** By limiter, what was used here in the last minute; of the first so many that were used at all. */
  used(nowMs: number): ReadonlyMap<string, RateUse> {
    const used = new Map<string, RateUse>();
    for (const [name, limiter] of this.#limiters) {
      if (used.size >= TOLD_MAX) break;
      if (!limiter.isIdle(nowMs)) used.set(name, limiter.used(nowMs));
    }
    return used;
  }

  /** What callers used at other gateways; of those not named, nothing. */
  usedElsewhere(uses: ReadonlyMap<string, RateUse>): void {
    this.#elsewhere = uses;
    for (const [name, limiter] of this.#limiters) limiter.usedElsewhere(uses.get(name) ?? null);
  }

  #limitsOf({ endpoint, key }: Exchange): Limited[] {
    const all: Limited[] = [];
    const own = key?.limits;
    if (key !== null && own !== undefined) {
      all.push({ limiter: this.#limiter(nameOf(key.keyId), own), limits: own, of: 'key' });
    }
    const pool = endpoint?.rateLimit;
    if (pool !== undefined) all.push({ limiter: this.#limiter(pool.key, pool), limits: pool, of: 'pool' });
    return all;
  }

  #limiter(name: string, limits: UseLimits): RateLimiter {
    const known = this.#limiters.get(name);
    if (known !== undefined) return known;
    const limiter = new RateLimiter(limits);
    limiter.usedElsewhere(this.#elsewhere.get(name) ?? null);
    this.#limiters.set(name, limiter);
    return limiter;
  }
}

function nameOf(keyId: string): string {
  return `key:${keyId}`;
}

/** What it took in the end; a request that failed or was refused by the pool took nothing. */
export function settleRates({ actual, rates, tokens }: Exchange, nowMs: number): void {
  for (const { limiter, reservation } of rates) {
    limiter.settle(reservation, tokens.promptTokens + tokens.outputTokens, nowMs, totalUs(actual));
  }
}

const KINDS: readonly LimitKind[] = ['requests', 'tokens', 'work', 'concurrency'];

/** Of each kind the limit of which least is left; work in unit-milliseconds. */
function writeHeaders({ res }: Exchange, all: readonly Limited[], nowMs: number): void {
  const views = all.map(({ limiter }) => limiter.view(nowMs));
  for (const kind of KINDS) {
    const of = views.map((view): LimitView => view[kind]);
    const { limit, remaining, resetMs } = of.reduce((least, one) => (one.remaining < least.remaining ? one : least));
    if (!Number.isFinite(limit)) continue;
    const scale = kind === 'work' ? 1_000 : 1;
    res.setHeader(`x-ratelimit-limit-${kind}`, Math.floor(limit / scale));
    res.setHeader(`x-ratelimit-remaining-${kind}`, Math.floor(remaining / scale));
    if (kind !== 'concurrency') res.setHeader(`x-ratelimit-reset-${kind}`, durationOf(resetMs));
  }
}

/** As OpenAI writes them: `350ms`, `12s`, `1m0s`. */
function durationOf(ms: number): string {
  if (ms < 1_000) return `${Math.ceil(ms)}ms`;
  const seconds = Math.ceil(ms / 1_000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}

function refusal(
  { res }: Exchange,
  { because, waitMs }: Extract<RateAnswer, { granted: false }>,
  { limits, of }: Limited,
  estimatedTokens: number,
  estimatedUs: Work,
): CubitError {
  const details = { limitOf: of, because, ...limits, key: undefined, estimatedTokens, estimatedUs };
  const raise = of === 'key' ? 'have the key’s limits raised (cubit key update)' : RAISE_POOL;
  const [amount, alone] = WORDS[because](limits, estimatedTokens, totalUs(estimatedUs));
  const whose = of === 'key' ? 'This API key’s limit' : 'Your limit';
  if (!Number.isFinite(waitMs)) {
    // The official SDKs would send it again for nothing.
    res.setHeader('x-should-retry', 'false');
    const message = `This request alone counts about ${alone}. ${whose} is ${amount}. Send less, lower max_tokens, or ${raise}.`;
    return new CubitError('rate_limit_exceeded', message, { details });
  }
  const where = of === 'key' ? '' : ' on this model';
  const message = `${whose} of ${amount}${where} is used up for ${Math.ceil(waitMs / 1_000)} s. Retry then, or ${raise}.`;
  return new CubitError('rate_limit_exceeded', message, { details: { ...details, retryAfterMs: waitMs } });
}

const RAISE_POOL = 'ask for higher limits (cubit limit request)';

type Words = (limits: UseLimits, tokens: number, workUs: number) => readonly [amount: string, alone: string];

const WORDS: Readonly<Record<LimitKind, Words>> = {
  requests: ({ requestsPerMinute }) => [`${requestsPerMinute} requests a minute`, 'one request'],
  tokens: ({ tokensPerMinute }, tokens) => [`${tokensPerMinute} tokens a minute`, `${tokens} tokens`],
  work: ({ workUsPerMinute = 0 }, _tokens, workUs) => [
    `${workUsPerMinute / 1e6} unit-seconds a minute`,
    `${(workUs / 1e6).toFixed(3)} unit-seconds of work`,
  ],
  concurrency: ({ concurrency }) => [`${concurrency} requests at once`, 'one request'],
};
