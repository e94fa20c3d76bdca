import { describe, expect, it } from 'vitest';
import { parseRateSteps, streamRateSteps } from './rates.ts';

const TEXT = '{"ratesPerS": [20, 0, 5], "stepS": 100, "promptTokens": 30, "outputTokens": 40}';

describe('rate steps', () => {
  it('come in order, at their rates, the same for the same seed', () => {
    const steps = parseRateSteps(TEXT);
    const rows = [...streamRateSteps(steps, 1)];
    const within = (from: number, until: number) =>
      rows.filter(({ atMs }) => atMs >= 1000 * from && atMs < 1000 * until).length;
    expect(Math.abs(within(0, 100) - 2_000)).toBeLessThan(4 * Math.sqrt(2_000));
    expect(within(100, 200)).toBe(0);
    expect(Math.abs(within(200, 300) - 500)).toBeLessThan(4 * Math.sqrt(500));
    expect(rows).toEqual(rows.toSorted((a, b) => a.atMs - b.atMs));
    expect(rows[0]).toMatchObject({ promptTokens: 30, outputTokens: 40 });
    expect([...streamRateSteps(steps, 1)]).toEqual(rows);
    expect([...streamRateSteps(steps, 2)]).not.toEqual(rows);
  });

  it.each([
    'nothing',
    '[]',
    '{}',
    TEXT.replace('[20, 0, 5]', '[]'),
    TEXT.replace('20', '-1'),
    TEXT.replace('100', '0'),
    TEXT.replace('30', '1.5'),
    TEXT.replace('40', '"40"'),
  ])('says what form it wants: %s', (text) => {
    expect(() => parseRateSteps(text)).toThrow(/not of the form/);
  });
});
