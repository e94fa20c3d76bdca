import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createTurns } from './turns.ts';

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => vi.useRealTimers());

function counted(work: () => Promise<void> = async () => undefined) {
  const seen = { turns: 0, atOnce: 0, most: 0, errors: 0 };
  const turns = createTurns({
    gapMs: 20,
    tickMs: 1_000,
    failed: () => {
      seen.errors += 1;
    },
    work: async () => {
      seen.turns += 1;
      seen.atOnce += 1;
      seen.most = Math.max(seen.most, seen.atOnce);
      await work().finally(() => {
        seen.atOnce -= 1;
      });
    },
  });
  return { turns, seen };
}

test('the first poke runs at once, a burst after it makes one more turn', async () => {
  const { turns, seen } = counted();
  turns.poke();
  await vi.advanceTimersByTimeAsync(0);
  expect(seen.turns).toBe(1);
  for (let i = 0; i < 100; i++) turns.poke();
  await vi.advanceTimersByTimeAsync(19);
  expect(seen.turns).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(seen.turns).toBe(2);
  await turns.stop();
});

test('one at a time; a poke during a turn makes another', async () => {
  const { turns, seen } = counted(() => new Promise((resolve) => setTimeout(resolve, 50)));
  turns.poke();
  await vi.advanceTimersByTimeAsync(10);
  turns.poke();
  turns.poke();
  await vi.advanceTimersByTimeAsync(200);
  expect(seen).toMatchObject({ turns: 2, most: 1 });
  await turns.stop();
});

test('runs every tick, also after an error', async () => {
  const { turns, seen } = counted(() => Promise.reject(new Error('no')));
  await vi.advanceTimersByTimeAsync(3_000);
  expect(seen).toMatchObject({ turns: 3, errors: 3 });
  await turns.stop();
});

test('stop waits for the turn under way and there is none after it', async () => {
  const { turns, seen } = counted(() => new Promise((resolve) => setTimeout(resolve, 50)));
  turns.poke();
  await vi.advanceTimersByTimeAsync(10);
  const stopped = turns.stop();
  turns.poke();
  await vi.advanceTimersByTimeAsync(5_000);
  await stopped;
  expect(seen).toMatchObject({ turns: 1, atOnce: 0 });
});
