import { describe, expect, it } from 'vitest';
import { type Conversation, conversations } from './conversation.ts';

const shape = {
  turnsMean: 3,
  turnsMax: 8,
  thinkMsMean: 1000,
  lengths: (random: () => number) => ({ promptTokens: 10 + Math.floor(random() * 5), outputTokens: 20 }),
};

function first(count: number, seed: number): Conversation[] {
  const all: Conversation[] = [];
  for (const conversation of conversations({ kind: 'poisson', ratePerS: 1 }, shape, seed)) {
    if (all.push(conversation) === count) break;
  }
  return all;
}

describe('conversations', () => {
  it('have the mean number of turns, within bounds, and think before all but the first', () => {
    const all = first(2000, 1);
    const turns = all.map((conversation) => conversation.turns.length);
    expect(turns.reduce((a, b) => a + b, 0) / 2000).toBeGreaterThan(2.6);
    expect(turns.reduce((a, b) => a + b, 0) / 2000).toBeLessThan(3.1);
    expect(Math.min(...turns)).toBe(1);
    expect(Math.max(...turns)).toBe(8);
    expect(all.every(({ turns: [opening] }) => opening?.thinkMs === 0)).toBe(true);
    const thinks = all.flatMap((conversation) => conversation.turns.slice(1).map((turn) => turn.thinkMs));
    expect(thinks.reduce((a, b) => a + b, 0) / thinks.length / 1000).toBeCloseTo(1, 1);
  });

  it('repeat with the seed', () => {
    expect(first(20, 1)).toEqual(first(20, 1));
    expect(first(20, 1)).not.toEqual(first(20, 2));
  });
});
