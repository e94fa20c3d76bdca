import { describe, expect, it } from 'vitest';
import { RULE_DEFAULTS } from '../core/serving/scaling/rule.ts';
import { CONFIG, requestsAt } from './cluster/fixture.ts';
import { fewestUnits, type PreviewInput, previewRule, previewStatic } from './rule-preview.ts';

/** Two busy minutes, then eight of nothing. */
const busy = requestsAt(Array.from({ length: 2_400 }, (_, i) => i * 50));
const input: PreviewInput = {
  spans: [{ fromMs: 0, lengthMs: 600_000, weight: 1, warmUpMs: 0, requests: busy }],
  unit: CONFIG.unit,
  slo: CONFIG.slo,
  coefficient: 1,
  startupMs: 10_000,
  waitMsMax: 60_000,
  otherUnits: 0,
};
const rule = { ...RULE_DEFAULTS, zone: 'UTC', minUnits: 1, maxUnits: 8, scaleInAfterMs: 60_000 };

describe('the preview of a rule', () => {
  it('bills base units for the whole time and added ones while they are ready', () => {
    const elastic = previewRule(input, rule);
    expect(elastic.baseUnitHours).toBeCloseTo(1 / 6);
    expect(elastic.addedUnitHours).toBeGreaterThan(0);
    expect(elastic.unitsMin).toBe(1);
    expect(elastic.unitsMax).toBeGreaterThan(1);
    const fixed = previewStatic(input, elastic.unitsMax);
    expect(elastic.baseUnitHours + elastic.addedUnitHours).toBeLessThan(fixed.baseUnitHours);
    expect(fixed.addedUnitHours).toBe(0);
    expect(fixed.unitsMean).toBeCloseTo(elastic.unitsMax);
  });

  it('finds the fewest units that are in time, and says when none are', () => {
    const best = fewestUnits(input, 0.99, 16)!;
    expect(best.outcome.metShare).toBeGreaterThanOrEqual(0.99);
    expect(best.units).toBeGreaterThan(1);
    expect(previewStatic(input, best.units - 1).metShare).toBeLessThan(0.99);
    expect(fewestUnits({ ...input, slo: { ...input.slo, tpotMs: 1 } }, 0.99, 4)).toBeNull();
  });

  it('counts a stretch that stands for several as often, and what other groups serve as theirs', () => {
    const tripled = previewRule({ ...input, spans: [{ ...input.spans[0]!, weight: 3 }] }, rule);
    const once = previewRule(input, rule);
    expect(tripled.addedUnitHours).toBeCloseTo(3 * once.addedUnitHours);
    expect(tripled.requests).toBe(7_200);
    expect(previewRule({ ...input, otherUnits: 6 }, rule).addedUnitHours).toBe(0);
  });

  it('holds what a schedule window wants, at its time', () => {
    const windows = [{ kind: 'daily', from: '00:05', to: '00:10', minUnits: 5 }] as const;
    const held = previewRule(
      { ...input, spans: [{ ...input.spans[0]!, requests: requestsAt([0, 590_000]) }] },
      { ...rule, windows },
    );
    expect(held.unitsMax).toBe(5);
    expect(held.addedUnitHours).toBeCloseTo(4 / 12, 1);
  });
});
