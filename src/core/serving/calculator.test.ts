import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Targets } from './calculator/need.ts';
import { trafficOfAverages, trafficOfMix, trafficOfRows } from './calculator/traffic.ts';
import { calculate, type Offer, type Question } from './calculator.ts';
import { predictUnit } from './unit.ts';

const BAND = {
  tpot: { half: 0.15, threeQuarters: 0.25, nineTenths: 0.35 },
  ttft: { half: 0.25, threeQuarters: 0.42, nineTenths: 0.8 },
};
const OFFER: Offer = {
  templateId: 'small',
  unit: {
    step: { tau0Us: 6_000, tau1Us: 50, tau2Us: 0.001, tau3Us: 50, tau4Us: 0.05, tau5Us: 0 },
    prefillFixedUs: 5_000,
    kvTokensPerUnit: 1_000_000,
    stepTokensMax: 8_192,
    disaggregated: false,
  },
  contextTokens: 16_384,
  unitStep: 1,
  tiers: [
    { coefficient: 1, batch: 32, band: BAND },
    { coefficient: 1.5, batch: 21, band: BAND },
    { coefficient: 2, batch: 16, band: BAND },
  ],
  price: { hourlyMicros: 18_000_000n, monthlyMicros: 8_640_000_000n },
  provenance: 'facts',
};
const NO_TARGETS: Targets = { ttftMs: null, tpotMs: null, percentile: 'p95' };
const averages = (input: Partial<Parameters<typeof trafficOfAverages>[0]> = {}) =>
  trafficOfAverages({
    requestsPerMinute: 1_500,
    promptTokens: 1_000,
    outputTokens: 200,
    cachedShare: 0,
    spread: { prompt: 0, output: 0 },
    hourlyFactors: null,
    ...input,
  });
const question = (input: Partial<Question> = {}): Question => ({
  traffic: averages(),
  targets: NO_TARGETS,
  coefficient: null,
  loraFactor: 1,
  ...input,
});
const invalid = expect.objectContaining({ code: 'invalid_request' });

describe('units needed', () => {
  it('are the load times the coefficient over what a unit carries, rounded up: by hand', () => {
    // 25 requests/s × 0.114 s of work = 2.85 units; at k = 2 and batch 16, work is 6,000 ÷ 16 × 200 − 6,000 ÷ 32 × 200 µs
    // more, 0.1515: 25 × 0.1515 × 2 = 7.575.
    const { best, plans } = calculate([OFFER], question());
    expect(plans.map(({ coefficient, units }) => [coefficient, units])).toEqual([
      [1, 3],
      [1.5, 6],
      [2, 8],
    ]);
    expect(best).toMatchObject({ coefficient: 1, units: 3, limit: 'work' });
    expect(best?.load?.utilisation).toBeCloseTo(0.95, 6);
    expect(plans[2]?.load?.utilisation).toBeCloseTo(7.575 / 2 / 8, 6);
  });

  it('come in the template’s step', () => {
    expect(calculate([{ ...OFFER, unitStep: 5 }], question()).best?.units).toBe(5);
  });

  it('grow where a target asks for it, which is then what limits', () => {
    const targets = { ...NO_TARGETS, tpotMs: 8 };
    const { best, plans } = calculate([OFFER], question({ targets }));
    for (const plan of plans) expect(plan.load?.tpotMs?.p95).toBeLessThanOrEqual(8);
    expect(plans[0]).toMatchObject({ limit: 'tpot' });
    expect(plans[0]?.units).toBeGreaterThan(3);
    const { unit } = OFFER;
    // One fewer would not do.
    const fewer = predictUnit({ ...unit, batch: 32 }, averages().mix, 25 / ((plans[0]?.units ?? 0) - 1));
    expect(fewer.tpotMs?.p95).toBeGreaterThan(8);
    expect(best?.units).toBe(Math.min(...plans.map(({ units }) => units ?? Number.POSITIVE_INFINITY)));
  });

  it('of no number reach an impossible target: says which figure and by how much', () => {
    const targets = { ...NO_TARGETS, ttftMs: 50, tpotMs: 100 };
    const { best, nearest } = calculate([OFFER], question({ targets }));
    expect(best).toBeNull();
    expect(nearest).toMatchObject({ units: null, cost: null, missed: [{ figure: 'ttft', targetMs: 50 }] });
    // 61.5 ms for one request alone (unit.test.ts).
    expect(nearest?.missed[0]?.reachedMs).toBeCloseTo(61.5, 1);
    expect(nearest?.missed[0]?.over).toBeCloseTo(0.23, 2);
  });

  it('never fall when more is asked for', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1, max: 1e5, noNaN: true }),
        fc.integer({ min: 1, max: 8_000 }),
        fc.integer({ min: 1, max: 2_000 }),
        (requestsPerMinute, promptTokens, outputTokens) => {
          const ask = (factor: number) =>
            calculate(
              [OFFER],
              question({
                traffic: averages({ requestsPerMinute: requestsPerMinute * factor, promptTokens, outputTokens }),
              }),
            ).plans.map(({ units }) => units ?? 0);
          const [once, twice] = [ask(1), ask(2)];
          for (const [index, units] of twice.entries()) expect(units).toBeGreaterThanOrEqual(once[index] ?? 0);
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe('what it costs', () => {
  it('follows the day: 16 quiet hours, 8 busy ones', () => {
    // 12.5 requests/s by night (1.425 units), 50 by day (5.7).
    const hourlyFactors = Array.from({ length: 24 }, (_, hour) => (hour < 16 ? 1 : 4));
    const traffic = averages({ requestsPerMinute: 1_500, hourlyFactors });
    const { best } = calculate([OFFER], question({ traffic, coefficient: 1 }));
    expect(best?.unitsByHour).toEqual(hourlyFactors.map((factor) => (factor === 1 ? 2 : 6)));
    expect(best?.cost).toMatchObject({
      hourlyMicros: 108_000_000n,
      monthlyPrepaidMicros: 51_840_000_000n,
      // (16 × 2 + 8 × 6) × 730 ÷ 24 × 18.
      monthlyPostpaidMicros: 43_800_000_000n,
      breakEvenHours: 480,
      cheapest: { prepaidUnits: 2, postpaidUnitsMax: 4, monthlyMicros: 34_800_000_000n },
    });
    // 34,800 over 25 × 3,600 × 730 × 1,200 tokens = 0.4414 a million.
    expect(best?.cost?.perMillionTokensMicros).toBe(441_400n);
  });

  it('of two templates the cheaper one is best, and what has no price comes last', () => {
    const dear = { ...OFFER, templateId: 'dear', price: { hourlyMicros: 90_000_000n, monthlyMicros: 43_200_000_000n } };
    const free = { ...OFFER, templateId: 'free', price: null };
    expect(calculate([free, dear, OFFER], question()).best?.templateId).toBe('small');
    expect(calculate([free, dear], question()).best?.templateId).toBe('dear');
    expect(calculate([free], question()).best).toMatchObject({ templateId: 'free', cost: null });
  });
});

describe('cache, adapter, certainty', () => {
  it('shows what cache and adapter do to the units', () => {
    const cached = calculate([OFFER], question({ traffic: averages({ cachedShare: 0.9 }) })).plans[0];
    expect([cached?.units, cached?.unitsWithoutCache, cached?.unitsWithoutLora]).toEqual([2, 3, null]);
    const adapted = calculate([OFFER], question({ loraFactor: 1.4 })).plans[0];
    expect([adapted?.units, adapted?.unitsWithoutLora, adapted?.unitsWithoutCache]).toEqual([4, 3, null]);
  });

  it('says how sure it is', () => {
    // 2.85 × (1 ± 0.35).
    expect(calculate([OFFER], question()).plans[0]).toMatchObject({
      unitsRange: [2, 4],
      confidence: { provenance: 'facts', tpot: { half: 0.15, threeQuarters: 0.25, nineTenths: 0.35 } },
    });
  });

  it('takes the larger of two pools', () => {
    const apart = { ...OFFER, unit: { ...OFFER.unit, disaggregated: true } };
    // Prefill 25 × 0.0555 = 1.39, decode 25 × 0.0585 = 1.46.
    const [plan] = calculate([apart], question()).plans;
    expect([plan?.units, plan?.load?.utilisation]).toEqual([2, 0.73125]);
  });
});

describe('input that cannot be', () => {
  it('is longer than any context', () => {
    const traffic = averages({ promptTokens: 20_000 });
    expect(() => calculate([OFFER], question({ traffic }))).toThrow(/16384 tokens of context/);
  });

  it('is over the context in part: a few are refused and said, many rule the template out', () => {
    const rows = (long: number) =>
      trafficOfMix(
        [
          { promptTokens: 1_000, cachedTokens: 0, outputTokens: 200, weight: 100 - long },
          { promptTokens: 20_000, cachedTokens: 0, outputTokens: 200, weight: long },
        ],
        1_500,
        null,
      );
    const few = calculate([OFFER], question({ traffic: rows(4) }));
    expect(few.refusedShares['small']).toBeCloseTo(0.04, 10);
    expect(few.best?.units).toBe(3);
    const large = { ...OFFER, templateId: 'large', contextTokens: 32_768 };
    const many = calculate([OFFER, large], question({ traffic: rows(20) }));
    expect(many.unfit).toMatchObject([{ templateId: 'small', contextTokens: 16_384 }]);
    expect(many.best?.templateId).toBe('large');
  });

  it.each<[string, () => unknown]>([
    ['no requests', () => averages({ requestsPerMinute: 0 })],
    ['a negative rate', () => averages({ requestsPerMinute: -1 })],
    ['a rate beyond reason', () => averages({ requestsPerMinute: 1e300 })],
    ['no number', () => averages({ requestsPerMinute: Number.NaN })],
    ['negative lengths', () => averages({ promptTokens: -5 })],
    ['lengths beyond reason', () => averages({ outputTokens: 1e20 })],
    ['a cached share above 1', () => averages({ cachedShare: 1.5 })],
    ['a day of 23 hours', () => averages({ hourlyFactors: Array.from({ length: 23 }, () => 1) })],
    ['a day without traffic', () => averages({ hourlyFactors: Array.from({ length: 24 }, () => 0) })],
    ['an empty histogram', () => trafficOfMix([], 60, null)],
    ['a trace of one instant', () => trafficOfRows([{ atMs: 5, promptTokens: 1, cachedTokens: 0, outputTokens: 1 }])],
    ['an empty trace', () => trafficOfRows([])],
    ['a target of zero', () => calculate([OFFER], question({ targets: { ...NO_TARGETS, ttftMs: 0 } }))],
    ['a coefficient that is not there', () => calculate([OFFER], question({ coefficient: 1.3 }))],
    ['a LoRA factor below 1', () => calculate([OFFER], question({ loraFactor: 0.5 }))],
    [
      'more than a million units',
      () => calculate([OFFER], question({ traffic: averages({ requestsPerMinute: 1e9 }) })),
    ],
  ])('refuses %s', (_, ask) => expect(ask).toThrow(invalid));
});

describe('a record of requests', () => {
  const hourMs = 3_600_000;
  const row = (atMs: number, promptTokens = 100) => ({ atMs, promptTokens, cachedTokens: 0, outputTokens: 10 });

  it('gives the rate from first to last, whatever the order', () => {
    expect(trafficOfRows([row(2_000), row(0), row(1_000)]).requestsPerS).toBe(1);
  });

  it('gives the day’s shape once it spans a day', () => {
    const rows = Array.from({ length: 48 }, (_, hour) => hour).flatMap((hour) =>
      Array.from({ length: hour % 24 === 9 ? 25 : 1 }, (__, index) => row(hour * hourMs + index)),
    );
    const factors = trafficOfRows([...rows, row(48 * hourMs - 1)]).hourlyFactors;
    expect(factors.reduce((sum, factor) => sum + factor, 0)).toBeCloseTo(24, 9);
    expect(factors.indexOf(Math.max(...factors))).toBe(9);
    expect(Math.max(...factors) / (factors[3] ?? 0)).toBeCloseTo(25, 1);
  });

  it('keeps the means when it merges like lengths', () => {
    const rows = Array.from({ length: 500 }, (_, index) => row(index * 10, 50 + ((index * 7919) % 4_000)));
    const { mix } = trafficOfRows(rows);
    const total = mix.reduce((sum, { weight }) => sum + weight, 0);
    const mean = mix.reduce((sum, { weight, promptTokens }) => sum + weight * promptTokens, 0) / total;
    expect(mix.length).toBeLessThanOrEqual(64);
    expect(mean).toBeCloseTo(rows.reduce((sum, { promptTokens }) => sum + promptTokens, 0) / 500, 6);
  });
});
