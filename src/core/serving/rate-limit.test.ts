import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RateLimiter, type RateReservation } from './rate-limit.ts';

const START_MS = 7_000_123;
const LIMITS = { requestsPerMinute: 3, tokensPerMinute: 100 };

function granted(limiter: RateLimiter, tokens: number, nowMs: number): RateReservation {
  const answer = limiter.reserve(tokens, nowMs);
  if (!answer.granted) throw new Error(`refused because of ${answer.because}`);
  return answer.reservation;
}

test('the fourth request of a minute waits until the first is over a minute old', () => {
  const limiter = new RateLimiter(LIMITS);
  for (const atMs of [0, 10_000, 20_000]) granted(limiter, 1, START_MS + atMs);
  const answer = limiter.reserve(1, START_MS + 30_000);
  // 7,000,123 is in second 7,000, which counts until 7,061.
  expect(answer).toEqual({ granted: false, because: 'requests', waitMs: 7_061_000 - (START_MS + 30_000) });
  expect(limiter.reserve(1, 7_060_999)).toMatchObject({ granted: false });
  expect(limiter.reserve(1, 7_061_000)).toMatchObject({ granted: true });
});

test('tokens are reserved by estimate and settled to what it took', () => {
  const limiter = new RateLimiter(LIMITS);
  const first = granted(limiter, 80, START_MS);
  expect(limiter.reserve(21, START_MS)).toMatchObject({ granted: false, because: 'tokens' });
  limiter.settle(first, 30, START_MS + 5_000);
  expect(limiter.view(START_MS + 5_000).tokens).toMatchObject({ limit: 100, remaining: 70 });
  const second = granted(limiter, 70, START_MS + 5_000);
  limiter.settle(second, 90, START_MS + 6_000);
  expect(limiter.view(START_MS + 6_000).tokens).toMatchObject({ remaining: 0 });
  expect(() => limiter.settle(second, 90, START_MS + 6_000)).toThrow('once');
});

test('what is given back after its minute gives nothing to the present one', () => {
  const limiter = new RateLimiter(LIMITS);
  const old = granted(limiter, 100, START_MS);
  granted(limiter, 40, START_MS + 61_000);
  limiter.settle(old, 0, START_MS + 62_000);
  expect(limiter.view(START_MS + 62_000).tokens.remaining).toBe(60);
});

test('a request larger than the limit never fits, and says so', () => {
  const limiter = new RateLimiter(LIMITS);
  expect(limiter.reserve(101, START_MS)).toEqual({
    granted: false,
    because: 'tokens',
    waitMs: Number.POSITIVE_INFINITY,
  });
  expect(limiter.view(START_MS).requests.remaining).toBe(3);
});

test('limits that change hold for what was let in before', () => {
  const limiter = new RateLimiter(LIMITS);
  granted(limiter, 50, START_MS);
  limiter.setLimits({ requestsPerMinute: 1, tokensPerMinute: 200 });
  expect(limiter.reserve(1, START_MS)).toMatchObject({ granted: false, because: 'requests' });
  expect(limiter.view(START_MS)).toMatchObject({ requests: { remaining: 0 }, tokens: { remaining: 150 } });
});

test('a clock that goes back changes nothing', () => {
  const limiter = new RateLimiter(LIMITS);
  granted(limiter, 50, START_MS);
  granted(limiter, 50, START_MS - 30_000);
  expect(limiter.reserve(1, START_MS)).toMatchObject({ granted: false });
});

describe('for any traffic', () => {
  const request = fc.record({
    gapMs: fc.oneof(fc.nat(300), fc.nat(20_000), fc.nat(130_000)),
    tokens: fc.nat(120),
    actual: fc.nat(160),
    settleAfter: fc.nat(6),
  });

  test('no 60 s let in more than the limits, counted by hand; a refused one fits exactly when it was told', () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 60 }), (requests) => {
        const limiter = new RateLimiter(LIMITS);
        const entered: { atMs: number; tokens: number }[] = [];
        let nowMs = START_MS;
        for (const { gapMs, tokens } of requests) {
          nowMs += gapMs;
          const answer = limiter.reserve(tokens, nowMs);
          if (answer.granted) {
            entered.push({ atMs: nowMs, tokens });
            const minute = entered.filter((one) => one.atMs > nowMs - 60_000);
            expect(minute.length).toBeLessThanOrEqual(LIMITS.requestsPerMinute);
            expect(minute.reduce((sum, one) => sum + one.tokens, 0)).toBeLessThanOrEqual(LIMITS.tokensPerMinute);
          } else if (tokens > LIMITS.tokensPerMinute) {
            expect(answer.waitMs).toBe(Number.POSITIVE_INFINITY);
          } else {
            // Nobody is held back whom the last 61 s leave room for.
            const minute = entered.filter((one) => one.atMs > nowMs - 61_000);
            const total = minute.reduce((sum, one) => sum + one.tokens, 0);
            expect(minute.length >= LIMITS.requestsPerMinute || total + tokens > LIMITS.tokensPerMinute).toBe(true);
            expect(limiter.look(tokens, nowMs)).toEqual(answer);
            expect(answer.waitMs).toBeGreaterThan(0);
            expect(answer.waitMs).toBeLessThanOrEqual(61_000);
          }
        }
      }),
    );
  });

  test('it is let in at the end of the wait that it was told, and not a millisecond before', () => {
    fc.assert(
      fc.property(fc.array(request, { minLength: 1, maxLength: 40 }), (requests) => {
        let nowMs = START_MS;
        const replay: [number, number][] = [];
        const limiterNow = () => {
          const limiter = new RateLimiter(LIMITS);
          for (const [tokens, atMs] of replay) limiter.reserve(tokens, atMs);
          return limiter;
        };
        for (const { gapMs, tokens } of requests) {
          nowMs += gapMs;
          const answer = limiterNow().look(tokens, nowMs);
          if (answer !== null && Number.isFinite(answer.waitMs)) {
            expect(limiterNow().look(tokens, nowMs + answer.waitMs - 1)).not.toBeNull();
            expect(limiterNow().look(tokens, nowMs + answer.waitMs)).toBeNull();
          }
          replay.push([tokens, nowMs]);
        }
      }),
    );
  });

  test('what counts is what was settled or is reserved, of those that came in the window', () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 40 }), (requests) => {
        const limiter = new RateLimiter({ requestsPerMinute: 1_000, tokensPerMinute: 100_000 });
        /** By second: what counts there. */
        const naive = new Map<number, number>();
        const put = (atS: number, tokens: number) => naive.set(atS, (naive.get(atS) ?? 0) + tokens);
        let open: { reservation: RateReservation; actual: number; due: number }[] = [];
        let nowMs = START_MS;
        for (const [turn, { gapMs, tokens, actual, settleAfter }] of requests.entries()) {
          nowMs += gapMs;
          const nowS = Math.floor(nowMs / 1_000);
          for (const one of open.filter(({ due }) => due <= turn)) {
            limiter.settle(one.reservation, one.actual, nowMs);
            const delta = one.actual - one.reservation.tokens;
            put(delta > 0 ? nowS : one.reservation.atS, delta);
          }
          open = open.filter(({ due }) => due > turn);
          open.push({ reservation: granted(limiter, tokens, nowMs), actual, due: turn + settleAfter });
          put(nowS, tokens);
          const counted = [...naive].filter(([atS]) => atS > nowS - 61).reduce((sum, [, count]) => sum + count, 0);
          expect(limiter.view(nowMs).tokens.remaining).toBe(100_000 - counted);
        }
      }),
    );
  });
});

test('what was used at other gateways counts as if it were here', () => {
  const limiter = new RateLimiter({ requestsPerMinute: 10, tokensPerMinute: 1_000, concurrency: 3 });
  limiter.usedElsewhere({ requests: 9, tokens: 900, workUs: 0, running: 1 });
  expect(limiter.look(101, 0)).toEqual({ granted: false, because: 'tokens', waitMs: 1_000 });
  expect(limiter.look(1_001, 0)).toMatchObject({ because: 'tokens', waitMs: Number.POSITIVE_INFINITY });
  expect(limiter.reserve(100, 0).granted).toBe(true);
  expect(limiter.view(0).tokens.remaining).toBe(0);
  expect(limiter.look(0, 0)).toMatchObject({ because: 'requests' });
  expect(limiter.used(0)).toEqual({ requests: 1, tokens: 100, workUs: 0, running: 1 });
  limiter.usedElsewhere({ requests: 0, tokens: 0, workUs: 0, running: 2 });
  expect(limiter.look(0, 0)).toMatchObject({ because: 'concurrency' });
  limiter.usedElsewhere(null);
  expect(limiter.look(0, 0)).toBeNull();
});
