import { describe, expect, it } from 'vitest';
import { type ElasticRun, evaluateElasticity, paretoOf } from './elasticity.ts';

const run = (sloAttainment: number, unitHours: number, setting = 0): ElasticRun => ({
  setting,
  sloAttainment,
  unitHours,
  billedUnitHours: unitHours,
  scaleEventsPerHour: 0,
});

describe('evaluateElasticity', () => {
  it('keeps runs that no other beats', () => {
    const front = paretoOf([run(0.99, 10), run(0.98, 11), run(0.97, 8), run(0.99, 12)]);
    expect(front.map(({ unitHours }) => unitHours)).toEqual([8, 10]);
  });

  it('finds the static sizes, starts elastic policies at the one for 99 %, and interpolates between runs', () => {
    const seen: [string, number, number][] = [];
    const play = (policy: string, setting: number, initial: number) => {
      seen.push([policy, setting, initial]);
      return policy === 'static'
        ? run(Math.min(1, 0.9 + setting / 200), setting, setting)
        : run(Math.min(0.996, 0.9 + 0.08 * setting), 10 * setting, setting);
    };
    const [statics, cubit] = evaluateElasticity(play, ['cubit'], { from: 2, max: 100 }, () => {});
    expect(statics!.unitHours).toEqual([16, 18, 19]);
    expect(cubit!.unitHours[0]).toBeCloseTo(10, 6);
    expect(cubit!.unitHours[1]).toBeCloseTo(11.25, 6);
    expect(seen.filter(([policy]) => policy === 'cubit').every(([, , initial]) => initial === 18)).toBe(true);
    expect(seen.filter(([policy]) => policy === 'static').every(([, size]) => size >= 2)).toBe(true);
  });

  it('says nothing of an attainment that no run reached', () => {
    const [statics, hpa] = evaluateElasticity(
      () => run(0.985, 5),
      ['hpa'],
      { from: 1, max: 8 },
      () => {},
    );
    expect(statics!.unitHours).toEqual([5, null, null]);
    expect(hpa!.best.sloAttainment).toBe(0.985);
  });
});
