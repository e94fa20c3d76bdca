import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseTrace } from '../workload/parse.ts';
import { evaluateLengths, LENGTHS_OPTIONS } from './lengths.ts';

const request = (atMs: number, outputTokens: number) => ({ atMs, promptTokens: 100, outputTokens });
const azure = parseTrace(
  readFileSync(new URL('../workload/samples/azure-code-2023.csv', import.meta.url), 'utf8'),
).requests;

describe('evaluateLengths', () => {
  it('lets an answer teach only when it has ended', () => {
    // The first ends at 1,300 ms: the second comes before that, the third after.
    const { baselines, learned } = evaluateLengths(
      [request(0, 10), request(1_299, 10), request(1_300, 10)],
      LENGTHS_OPTIONS,
    );
    expect(baselines.mean.reservedToUsed).toBeCloseTo((256 + 256 + 10) / 30, 9);
    expect(baselines.mean.coverage).toBe(1);
    expect(learned.reservedToUsed).toBeGreaterThan(17);
  });

  it('scores as worked by hand', () => {
    const { baselines } = evaluateLengths([request(0, 100), request(1, 356)], LENGTHS_OPTIONS);
    // 156 tokens over at 0.1, 100 short at 0.9.
    expect(baselines.constant).toEqual({
      pinballTokens: expect.closeTo((15.6 + 90) / 2, 9),
      coverage: 0.5,
      reservedToUsed: 512 / 456,
      reservedToUsedWithExtensions: 612 / 456,
    });
    expect(baselines.maxTokens.reservedToUsed).toBe(712 / 456);
  });

  it('beats what knows less', () => {
    const { baselines, learned } = evaluateLengths(azure, LENGTHS_OPTIONS);
    for (const other of [baselines.maxTokens, baselines.constant, baselines.mean]) {
      expect(learned.pinballTokens).toBeLessThan(other.pinballTokens);
    }
    expect(learned.pinballTokens).toBeLessThan(1.15 * baselines.hindsight.pinballTokens);
    expect(Math.abs(learned.coverage - 0.9)).toBeLessThan(0.05);
  });

  it('knows a new key from its endpoint', () => {
    const one = evaluateLengths(azure, LENGTHS_OPTIONS).learned;
    const many = evaluateLengths(azure, { ...LENGTHS_OPTIONS, keys: 100 }).learned;
    expect(many.pinballTokens).toBeLessThan(1.1 * one.pinballTokens);
  });
});
