import { CubitError } from '../core/errors.ts';
import {
  type LimitView,
  type MinuteLimits,
  type RateAnswer,
  RateLimiter,
  type RateReservation,
} from '../core/serving/rate-limit.ts';
import type { Estimated } from './estimate.ts';
import type { Exchange } from './exchange.ts';
import type { EndpointSnapshot } from './snapshot.ts';

/** What a request that is paid by the token holds of its tenant's minute. */
export interface RateHold {
  readonly limiter: RateLimiter;
  readonly reservation: RateReservation;
}

/** Limits of tenants on shared pools, as this gateway process counts them. */
export class RateLimits {
  readonly #limiters = new Map<string, RateLimiter>();

  /** Takes over the limits of a snapshot. What no endpoint has any more is forgotten once nothing of it counts. */
  apply(endpoints: Iterable<EndpointSnapshot>, nowMs: number): void {
    const named = new Map<string, MinuteLimits>();
    for (const { rateLimit } of endpoints) if (rateLimit !== undefined) named.set(rateLimit.key, rateLimit);
    for (const [key, limiter] of this.#limiters) {
      const limits = named.get(key);
      if (limits !== undefined) limiter.setLimits(limits);
      else if (limiter.view(nowMs).requests.resetMs === 0) this.#limiters.delete(key);
    }
  }

  /**
   * Step 5, before the pool's own admission: a place in the tenant's minute, held until the request settles. Nothing for
   * endpoints with units of their own. `dryRun` only looks. Says where the tenant stands in OpenAI's headers. Throws
   * `rate_limit_exceeded`.
   */
  hold(exchange: Exchange, estimated: Estimated, nowMs: number, dryRun: boolean): void {
    const rateLimit = exchange.endpoint?.rateLimit;
    if (rateLimit === undefined) return;
    const limiter = this.#limiters.get(rateLimit.key) ?? new RateLimiter(rateLimit);
    this.#limiters.set(rateLimit.key, limiter);
    const tokens = estimated.tokens.promptTokens + estimated.tokens.outputTokens;
    const answer = dryRun ? limiter.look(tokens, nowMs) : limiter.reserve(tokens, nowMs);
    writeHeaders(exchange, limiter, nowMs);
    if (answer === null) return;
    if (!answer.granted) throw refusal(exchange, answer, rateLimit, tokens);
    exchange.rate = { limiter, reservation: answer.reservation };
  }
}

/** What it took in the end; a request that failed or was refused by the pool took no tokens. */
export function settleRate({ rate, tokens }: Exchange, nowMs: number): void {
  if (rate !== null) rate.limiter.settle(rate.reservation, tokens.promptTokens + tokens.outputTokens, nowMs);
}

function writeHeaders({ res }: Exchange, limiter: RateLimiter, nowMs: number): void {
  const { requests, tokens } = limiter.view(nowMs);
  const write = (what: string, { limit, remaining, resetMs }: LimitView) => {
    res.setHeader(`x-ratelimit-limit-${what}`, limit);
    res.setHeader(`x-ratelimit-remaining-${what}`, Math.floor(remaining));
    res.setHeader(`x-ratelimit-reset-${what}`, durationOf(resetMs));
  };
  write('requests', requests);
  write('tokens', tokens);
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
  { requestsPerMinute, tokensPerMinute }: MinuteLimits,
  estimatedTokens: number,
): CubitError {
  const details = { because, requestsPerMinute, tokensPerMinute, estimatedTokens };
  const raise = 'ask for higher limits (cubit limit request)';
  if (!Number.isFinite(waitMs)) {
    // The official SDKs would send it again for nothing.
    res.setHeader('x-should-retry', 'false');
    const message = `This request alone counts about ${estimatedTokens} tokens, more than your ${tokensPerMinute} a minute. Send less, lower max_tokens, or ${raise}.`;
    return new CubitError('rate_limit_exceeded', message, { details });
  }
  const limit = because === 'requests' ? `${requestsPerMinute} requests` : `${tokensPerMinute} tokens`;
  const message = `Your limit of ${limit} a minute on this model is used up for ${Math.ceil(waitMs / 1_000)} s. Retry then, or ${raise}.`;
  return new CubitError('rate_limit_exceeded', message, { details: { ...details, retryAfterMs: waitMs } });
}
