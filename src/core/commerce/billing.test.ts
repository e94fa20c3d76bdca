import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type BilledGroup,
  billLine,
  type Cumulative,
  cumulative,
  cumulativeSeconds,
  ISSUE_DELAY_MS,
  issuedAtMs,
  refundMicros,
  type Segment,
  termsBetween,
} from './billing.ts';

const at = (time: string) => Date.parse(`2025-04-13T${time}+08:00`);
const NEVER = { unitSeconds: 0, amountMicros: 0n, billedToMs: Number.NEGATIVE_INFINITY };
const steady = (fromMs: number, endMs: number | null, units = 1, hourlyPriceMicros = 3_600_000n): BilledGroup => ({
  fromMs,
  endMs,
  segments: [{ fromMs, units, hourlyPriceMicros }],
});

describe('seconds (DESIGN §7)', () => {
  test('16:00:00 → 18:20:31 is 8,431 s', () => {
    expect(cumulativeSeconds({ fromMs: at('16:00:00'), endMs: at('18:20:31') }, at('23:00:00'))).toBe(8_431);
  });

  test.each([
    ['before the start', 0, null, -1, 0],
    ['at the start', 0, null, 0, 0],
    ['a millisecond in', 0, null, 1, 1],
    ['exactly a second', 0, null, 1000, 1],
    ['a second was begun', 0, null, 1001, 2],
    ['ended at once', 0, 0, 5000, 1],
    ['ended within the first second', 0, 400, 5000, 1],
    ['ended before it started: the clock was set back', 0, -5000, 5000, 1],
    ['after the end nothing is added', 0, 1500, 9_000_000, 2],
  ])('%s', (_name, fromMs, endMs, atMs, seconds) => {
    expect(cumulativeSeconds({ fromMs, endMs }, atMs)).toBe(seconds);
  });
});

describe('lines', () => {
  test('the worked example, with its arithmetic written out', () => {
    const line = billLine(steady(at('16:00:00'), at('18:20:31')), NEVER, at('23:00:00'), 'CNY');
    expect(line).toMatchObject({ unitSeconds: 8_431, amountMicros: 8_431_000n });
    expect(line?.arithmetic).toBe('8,431 s × 1 unit × 3.600000 CNY/h ÷ 3600 = 8.431000 CNY');
  });

  test('hour by hour it is 3,600 + 3,600 + 1,231 s', () => {
    const group = steady(at('16:00:00'), at('18:20:31'));
    expect(hourly(group, [at('17:00:00'), at('18:00:00'), at('19:00:00')]).map((line) => line.unitSeconds)).toEqual([
      3600, 3600, 1231,
    ]);
  });

  test('a resize in the hour: each part at its own number of units', () => {
    const group: BilledGroup = {
      fromMs: at('16:00:00'),
      endMs: null,
      segments: [
        { fromMs: at('16:00:00'), units: 1, hourlyPriceMicros: 3_600_000n },
        { fromMs: at('16:20:00.500'), units: 3, hourlyPriceMicros: 3_600_000n },
      ],
    };
    const line = billLine(group, NEVER, at('17:00:00'), 'CNY');
    expect(line).toMatchObject({ unitSeconds: 1201 + 2399 * 3, amountMicros: 8_398_000n });
    expect(line?.arithmetic).toBe(
      '1,201 s × 1 unit × 3.600000 CNY/h ÷ 3600 + 2,399 s × 3 units × 3.600000 CNY/h ÷ 3600 = 8.398000 CNY',
    );
  });

  test('a fraction of a micro is carried, and the line says so', () => {
    const group = steady(0, null, 1, 1800n); // half a micro per second
    const [first, second] = hourly(group, [1000, 2000]);
    expect([first?.amountMicros, second?.amountMicros]).toEqual([0n, 1n]); // ½ → 0, 1 → 1
    expect(second?.arithmetic).toBe(
      '1 s × 1 unit × 0.001800 CNY/h ÷ 3600 = 0.000000 CNY; rounded since the start: 0.000001 − 0.000000 = 0.000001 CNY',
    );
  });

  test('the bill of 16:00–17:00 is issued between 18:00 and 19:00', () => {
    const issued = issuedAtMs(at('17:00:00'), ISSUE_DELAY_MS);
    expect([issued >= at('18:00:00'), issued <= at('19:00:00')]).toEqual([true, true]);
  });
});

/** The lines of a group that is settled at each of these instants in turn. */
function hourly(group: BilledGroup, instants: readonly number[]) {
  let before: Cumulative & { billedToMs: number } = NEVER;
  return instants.flatMap((atMs) => {
    const line = billLine(group, before, atMs, 'CNY');
    before = { ...(line?.total ?? before), billedToMs: atMs };
    return line === null ? [] : [line];
  });
}

const START = 1_744_531_200_000;
const offset = fc.integer({ min: 0, max: 10 * 86_400_000 });
const anyGroup: fc.Arbitrary<BilledGroup> = fc
  .record({
    startMs: fc.integer({ min: -5000, max: 5000 }),
    endMs: fc.option(offset),
    segments: fc.uniqueArray(
      fc.record({
        fromMs: offset,
        units: fc.integer({ min: 1, max: 10_000 }),
        hourlyPriceMicros: fc.bigInt({ min: 0n, max: 10n ** 12n }),
      }),
      { minLength: 1, maxLength: 6, selector: (segment) => segment.fromMs },
    ),
  })
  .map(({ startMs, endMs, segments }) => ({
    fromMs: START + startMs,
    endMs: endMs === null ? null : START + endMs,
    segments: segments
      .toSorted((a, b) => a.fromMs - b.fromMs)
      .map((segment): Segment => ({ ...segment, fromMs: START + segment.fromMs })),
  }));

describe('invariant 3: a total does not depend on how time was cut', () => {
  test('lines are never negative and sum to the total, seconds and money', () => {
    const cuts = fc.array(offset, { maxLength: 30 });
    fc.assert(
      fc.property(anyGroup, cuts, offset, (group, instants, last) => {
        const finalMs = START + Math.max(last, ...instants);
        const sorted = instants.toSorted((a, b) => a - b).map((ms) => START + ms);
        const lines = hourly(group, [...sorted, finalMs]);
        const total = cumulative(group, finalMs);
        expect(lines.reduce((sum, line) => sum + line.unitSeconds, 0)).toBe(total.unitSeconds);
        expect(lines.reduce((sum, line) => sum + line.amountMicros, 0n)).toBe(total.amountMicros);
        for (const line of lines) expect(line.unitSeconds > 0 && line.amountMicros >= 0n).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test('segments cut the seconds without losing or doubling one', () => {
    fc.assert(
      fc.property(anyGroup, offset, offset, (group, a, b) => {
        const [fromMs, toMs] = [START + Math.min(a, b), START + Math.max(a, b)];
        const seconds = termsBetween(group, fromMs, toMs).reduce((sum, term) => sum + term.seconds, 0);
        expect(seconds).toBe(cumulativeSeconds(group, toMs) - cumulativeSeconds(group, fromMs));
      }),
      { numRuns: 500 },
    );
  });

  test('the money is the exact sum, rounded once', () => {
    fc.assert(
      fc.property(anyGroup, offset, (group, ms) => {
        const terms = termsBetween(group, Number.NEGATIVE_INFINITY, START + ms);
        const exact = terms.reduce(
          (sum, term) => sum + BigInt(term.seconds) * BigInt(term.units) * term.hourlyPriceMicros,
          0n,
        );
        const twiceOff = 2n * (exact - cumulative(group, START + ms).amountMicros * 3600n);
        expect(twiceOff <= 3600n && twiceOff >= -3600n).toBe(true);
      }),
    );
  });

  test('what was billed stays billed when the past is changed', () => {
    const before = { unitSeconds: 7200, amountMicros: 7_200_000n, billedToMs: 3_600_000 };
    expect(billLine(steady(0, null), before, 7_200_000, 'CNY')).toBeNull();
    expect(billLine(steady(0, null), before, 7_201_000, 'CNY')).toMatchObject({ unitSeconds: 1, amountMicros: 1_000n });
  });

  test('segments out of order are a mistake of the caller', () => {
    const segment = { units: 1, hourlyPriceMicros: 1n };
    const group = { fromMs: 0, endMs: null, segments: [0, 20, 10].map((fromMs) => ({ ...segment, fromMs })) };
    expect(() => cumulative(group, 30)).toThrow(RangeError);
  });
});

describe('refunds of prepaid groups (DESIGN §7)', () => {
  const month = 30 * 86_400;

  test('paid × unused ÷ term × (1 − penalty), rounded down', () => {
    const refund = { paidMicros: 900_000_000n, unusedSeconds: month / 3, termSeconds: month, penalty: 0.3 };
    expect(refundMicros(refund)).toBe(210_000_000n);
    expect(refundMicros({ ...refund, paidMicros: 10n, unusedSeconds: 1, termSeconds: 3 })).toBe(2n); // 2.33
    expect(refundMicros({ ...refund, penalty: 1 })).toBe(0n);
  });

  test('never negative, never all of it, never more for more penalty', () => {
    const paid = fc.bigInt({ min: 1n, max: 10n ** 15n });
    const penalty = fc.double({ min: 1e-9, max: 1, noNaN: true });
    fc.assert(
      fc.property(
        paid,
        fc.integer({ min: 1, max: 10 ** 8 }),
        fc.integer(),
        penalty,
        (paidMicros, term, unused, kept) => {
          const refund = refundMicros({ paidMicros, unusedSeconds: unused, termSeconds: term, penalty: kept });
          expect(refund >= 0n && refund < paidMicros).toBe(true);
          const harder = refundMicros({
            paidMicros,
            unusedSeconds: unused,
            termSeconds: term,
            penalty: Math.min(1, kept * 2),
          });
          expect(harder <= refund).toBe(true);
        },
      ),
    );
  });

  test.each([0, -0.1, 1.1, Number.NaN])('a penalty of %d is refused', (penalty) => {
    expect(() => refundMicros({ paidMicros: 1n, unusedSeconds: 1, termSeconds: 1, penalty })).toThrow(RangeError);
  });
});
