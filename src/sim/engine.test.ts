import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type EngineConfig, type EngineRequest, simulateEngine, simulateEngineStepwise } from './engine.ts';

const step = { tau0Us: 10_000, tau1Us: 100, tau2Us: 0, tau3Us: 50, tau4Us: 0, tau5Us: 0 };
const config: EngineConfig = {
  step,
  prefillFixedUs: 0,
  sequencesMax: 8,
  stepTokensMax: 512,
  kvTokens: 16_384,
  blockTokens: 16,
  prefixCaching: true,
  asyncScheduling: false,
};
const request = (atMs: number, promptTokens: number, outputTokens: number): EngineRequest => ({
  atMs,
  promptTokens,
  outputTokens,
});

// Steps take rational times, requests come at irrational ones: rounding cannot decide who comes first.
const anyRequest = fc.record({
  atMs: fc.integer({ min: 0, max: 30_000 }).map((at) => (at * Math.SQRT2) / 10),
  promptTokens: fc.integer({ min: 1, max: 700 }),
  outputTokens: fc.integer({ min: 1, max: 200 }),
  blocks: fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 12 }),
});
const anyConfig = fc.record({
  step: fc.record({
    tau0Us: fc.integer({ min: 100, max: 20_000 }),
    tau1Us: fc.integer({ min: 0, max: 200 }),
    tau2Us: fc.integer({ min: 0, max: 1_000 }).map((n) => n / 10000),
    tau3Us: fc.integer({ min: 0, max: 100 }),
    tau4Us: fc.integer({ min: 0, max: 1_000 }).map((n) => n / 100),
    tau5Us: fc.integer({ min: 0, max: 1_000 }).map((n) => n / 100),
  }),
  prefillFixedUs: fc.integer({ min: 0, max: 5_000 }),
  sequencesMax: fc.integer({ min: 1, max: 12 }),
  stepTokensMax: fc.integer({ min: 12, max: 600 }),
  kvTokens: fc.integer({ min: 1_000, max: 4_000 }),
  blockTokens: fc.constantFrom(1, 16, 64),
  prefixCaching: fc.boolean(),
  asyncScheduling: fc.boolean(),
});

describe('simulateEngine', () => {
  test('a decode-only stretch in closed form is the same as its steps', () => {
    const relative = (a: number, b: number) => Math.abs(a - b) / Math.max(1, Math.abs(b));
    fc.assert(
      fc.property(anyConfig, fc.array(anyRequest, { minLength: 1, maxLength: 40 }), (anyOf, requests) => {
        const fast = simulateEngine(anyOf, requests);
        const slow = simulateEngineStepwise(anyOf, requests);
        expect([fast.steps, fast.preemptions, fast.kvTokensMax]).toEqual([
          slow.steps,
          slow.preemptions,
          slow.kvTokensMax,
        ]);
        for (const figure of ['meanRunning', 'busyMs', 'endMs'] as const) {
          expect(relative(fast[figure], slow[figure])).toBeLessThan(1e-9);
        }
        for (const [index, one] of fast.requests.entries()) {
          const other = slow.requests[index] as typeof one;
          expect(one.cachedTokens).toBe(other.cachedTokens);
          for (const figure of ['drainedMs', 'queuedMs', 'ttftMs', 'tpotMs', 'e2eMs'] as const) {
            expect(relative(one[figure] ?? 0, other[figure] ?? 0)).toBeLessThan(1e-9);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  test('every request ends once, after it was queued; the engine is never busy longer than it ran', () => {
    fc.assert(
      fc.property(anyConfig, fc.array(anyRequest, { minLength: 1, maxLength: 40 }), (anyOf, requests) => {
        const result = simulateEngine(anyOf, requests);
        expect(result.requests).toHaveLength(requests.length);
        for (const { drainedMs, e2eMs, queuedMs, ttftMs } of result.requests) {
          expect(drainedMs).toBeGreaterThanOrEqual(0);
          expect(queuedMs).toBeGreaterThanOrEqual(drainedMs);
          expect(ttftMs).toBeGreaterThan(queuedMs);
          expect(e2eMs).toBeGreaterThanOrEqual(ttftMs);
        }
        expect(result.busyMs).toBeLessThanOrEqual(result.endMs + 1e-6);
        expect(result.kvTokensMax).toBeLessThanOrEqual(anyOf.kvTokens);
      }),
      { numRuns: 60 },
    );
  });

  test('one request: a step for its prompt, then one for each further token', () => {
    const { requests, steps } = simulateEngine(config, [request(5, 100, 11)]);
    expect(requests[0]).toEqual({
      drainedMs: 0,
      queuedMs: 0,
      ttftMs: 20,
      tpotMs: 10.05,
      e2eMs: 120.5,
      cachedTokens: 0,
    });
    expect(steps).toBe(11);
  });

  test('a long prompt is cut into chunks of the step’s budget; the fixed cost is paid once', () => {
    const { requests, steps } = simulateEngine({ ...config, prefillFixedUs: 7_000 }, [request(0, 1_100, 1)]);
    expect(steps).toBe(3);
    expect(requests[0]?.ttftMs).toBeCloseTo((3 * 10_000 + 1_100 * 100 + 7_000) / 1000, 9);
    expect(requests[0]?.tpotMs).toBeNull();
  });

  test('attended pairs do not depend on how a prompt is cut', () => {
    const pairs = { ...step, tau0Us: 1, tau1Us: 0, tau2Us: 1 };
    for (const stepTokensMax of [7, 100, 2_000]) {
      const { requests, steps } = simulateEngine({ ...config, step: pairs, stepTokensMax }, [request(0, 1_000, 1)]);
      expect((requests[0] as { ttftMs: number }).ttftMs * 1000 - steps).toBeCloseTo((1_000 * 1_001) / 2, 3);
    }
  });

  test('who arrives during a step is noticed at its end, and with async scheduling enters the step after next', () => {
    const requests = [request(0, 100, 200), request(15, 100, 2)];
    const [, sync] = simulateEngine(config, requests).requests;
    expect(sync).toMatchObject({ drainedMs: 5, queuedMs: 5 });
    expect(sync?.ttftMs).toBeCloseTo(5 + 20.05, 9);
    const [, ahead] = simulateEngine({ ...config, asyncScheduling: true }, requests).requests;
    expect(ahead?.ttftMs).toBeCloseTo(5 + 10.05 + 20.05, 9);
  });

  test('requests are served first come first served, no more at once than the engine may run', () => {
    const requests = [0, 1, 2, 3].map((at) => request(at, 10, 50));
    const result = simulateEngine({ ...config, sequencesMax: 1 }, requests);
    const starts = result.requests.map(({ queuedMs }, index) => (requests[index] as EngineRequest).atMs + queuedMs);
    const ends = result.requests.map(({ e2eMs }, index) => (requests[index] as EngineRequest).atMs + e2eMs);
    expect(starts.slice(1)).toEqual(ends.slice(0, -1));
    expect(result.meanRunning).toBe(1);
  });

  test('where blocks run out the last that came is preempted, and finds part of its tokens again', () => {
    const tight = { ...config, kvTokens: 320, asyncScheduling: true };
    const requests = [request(0, 100, 150), request(0, 100, 150)];
    const cached = simulateEngine(tight, requests);
    expect(cached.preemptions).toBe(1);
    expect((cached.requests[0] as { e2eMs: number }).e2eMs).toBeLessThan(
      (cached.requests[1] as { e2eMs: number }).e2eMs,
    );
    const uncached = simulateEngine({ ...tight, prefixCaching: false }, requests);
    expect(uncached.preemptions).toBe(1);
    expect(cached.endMs).toBeLessThan(uncached.endMs);
  });

  test('a shared prefix is computed once while it stays in the cache', () => {
    const blocks = [1, 2, 3, 4];
    const requests = [0, 1_000].map((atMs) => ({ ...request(atMs, 70, 2), blocks }));
    expect(simulateEngine(config, requests).requests.map(({ cachedTokens }) => cachedTokens)).toEqual([0, 64]);
    // A prompt that is cached whole still computes its last block.
    const whole = requests.map((one) => ({ ...one, promptTokens: 64 }));
    expect(simulateEngine(config, whole).requests[1]?.cachedTokens).toBe(48);
    // What was freed longest ago is taken first, and of a request its end is freed first: prefixes outlive suffixes.
    const cachedAfter = (promptTokens: number) => {
      const between = [requests[0], request(500, promptTokens, 1), requests[1]] as EngineRequest[];
      return simulateEngine({ ...config, kvTokens: 160 }, between).requests[2]?.cachedTokens;
    };
    expect([80, 110, 160].map(cachedAfter)).toEqual([64, 48, 0]);
    expect(simulateEngine({ ...config, prefixCaching: false }, requests).requests[1]?.cachedTokens).toBe(0);
  });

  test('cached tokens given by number save prefill, not the last token', () => {
    const at = (cachedTokens: number) =>
      simulateEngine(config, [{ ...request(0, 100, 2), cachedTokens }]).requests[0] as { ttftMs: number };
    expect(at(40).ttftMs).toBeCloseTo(16, 9);
    expect(at(400).ttftMs).toBeCloseTo(10.1, 9);
  });

  test('ranks share the pace of the slowest, and requests among them', () => {
    const two = simulateEngine({ ...config, ranks: 2 }, [request(0, 500, 1), request(0, 10, 1)]);
    expect(two.requests.map(({ ttftMs }) => ttftMs)).toEqual([60, 60]);
    const modelled = { ...config, ranks: 2, stepAt: (tokens: number) => ({ ...step, tau0Us: tokens * 1_000 }) };
    expect(simulateEngine(modelled, [request(0, 10, 1)]).requests[0]?.ttftMs).toBe(11);
  });

  test.each([
    [{ kvTokens: 64 }, [request(0, 60, 10)], /Request 0 needs 70 tokens of KV cache; there are 64/],
    [{}, [request(0, 10, 0)], /Request 0 has 10 prompt and 0 output tokens/],
    [{}, [request(Number.NaN, 10, 1)], /no arrival time/],
    [{}, [{ ...request(0, 10, 1), cachedTokens: -1 }], /-1 cached tokens/],
    [{ sequencesMax: 0 }, [], /sequencesMax is 0/],
    [{ step: { ...step, tau1Us: -1 } }, [], /tau1Us is -1/],
    [{ step: { ...step, tau0Us: 0, tau3Us: 0 } }, [], /must take time/],
  ])('what no engine could run is refused by name: %#', (change, requests, message) => {
    expect(() => simulateEngine({ ...config, ...change }, requests)).toThrow(message);
  });

  test('nothing to do takes no time', () => {
    expect(simulateEngine(config, [])).toMatchObject({ requests: [], steps: 0, busyMs: 0, endMs: 0, meanRunning: 0 });
  });
});
