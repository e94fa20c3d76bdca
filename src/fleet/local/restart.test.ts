import { describe, expect, it } from 'vitest';
import { restartDelayMs } from './restart.ts';

const policy = { delayMsMin: 100, delayMsMax: 1_000, crashesMax: 5, windowMs: 60_000 };

describe('restartDelayMs', () => {
  it('doubles the delay with every recent crash, up to a limit, then gives up', () => {
    const delays = [1, 2, 3, 4, 5, 6].map((crashes) => restartDelayMs(Array(crashes).fill(0), 1, policy));
    expect(delays).toEqual([100, 200, 400, 800, 1_000, null]);
  });

  it('forgets crashes that are long ago', () => {
    expect(restartDelayMs([0, 0, 0, 0, 0, 90_000], 90_000, policy)).toBe(100);
  });
});
