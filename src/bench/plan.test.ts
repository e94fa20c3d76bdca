import { describe, expect, it } from 'vitest';
import { timedChat } from './client.ts';
import { startMock } from './mock.ts';
import { generatedShots, type Shot, traceShots } from './plan.ts';

const LENGTHS = { promptTokens: 40, outputTokens: 10, spread: 0.5, sharedTokens: 8 };

function first(count: number, seed: number, lengths = LENGTHS): Shot[] {
  const shots: Shot[] = [];
  for (const shot of generatedShots({ kind: 'poisson', ratePerS: 5 }, lengths, seed)) {
    if (shots.push(shot) === count) break;
  }
  return shots;
}

describe('generated requests', () => {
  it('have lengths around their mean, and the same beginning', () => {
    const shots = first(500, 1);
    const lengths = shots.map((shot) => shot.prompt.split(' ').length);
    expect(lengths).toEqual(shots.map((shot) => shot.promptTokens));
    expect(Math.min(...lengths)).toBe(20);
    expect(Math.max(...lengths)).toBe(60);
    expect(lengths.reduce((a, b) => a + b, 0) / 500 / 40).toBeCloseTo(1, 1);
    const beginning = shots[0]?.prompt.split(' ').slice(0, 8).join(' ') as string;
    expect(shots.every((shot) => shot.prompt.startsWith(beginning))).toBe(true);
    expect(new Set(shots.map((shot) => shot.prompt)).size).toBe(500);
  });

  it('repeat with the seed; without spread all are as long', () => {
    expect(first(20, 3)).toEqual(first(20, 3));
    expect(first(20, 3)).not.toEqual(first(20, 4));
    const fixed = first(20, 3, { ...LENGTHS, spread: 0, sharedTokens: 0 });
    expect(new Set(fixed.map((shot) => [shot.promptTokens, shot.outputTokens].join())).size).toBe(1);
  });

  it('a trace’s request for no output asks for one token', () => {
    const trace = { requests: [{ atMs: 5, promptTokens: 3, outputTokens: 0 }], blockTokens: 0, repairs: [] };
    expect([...traceShots(trace, 1)]).toMatchObject([{ atMs: 5, promptTokens: 3, outputTokens: 1 }]);
  });
});

describe('the mock that the client is measured against', () => {
  it('sends as many frames as asked for, at once or paced, and its own times', async () => {
    const mock = await startMock();
    try {
      for (const model of ['mock:ttft=0,itl=0', 'mock:ttft=4,itl=2']) {
        const reply = await timedChat({ url: mock.url, apiKey: '', model, prompt: 'a', outputTokensMax: 5 });
        expect(reply).toMatchObject({
          error: null,
          frames: 5,
          outputTokens: 5,
          usage: 'stated',
          done: true,
          finished: true,
        });
        expect(Object.keys(reply.receipt ?? {})).toEqual(['mock_ttft_us', 'mock_e2e_us']);
      }
    } finally {
      await mock.close();
    }
  });
});
