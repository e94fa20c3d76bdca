import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { stopOnSignals } from './stop.ts';

const lines: string[] = [];
const closes: number[] = [];
const exit = vi.fn();
let signals: EventEmitter;
let close: (drainMs: number) => Promise<void>;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
  lines.length = 0;
  closes.length = 0;
  exit.mockReset();
  signals = Object.assign(new EventEmitter(), { exit });
  close = () => new Promise(() => {});
});
afterEach(() => void vi.useRealTimers());

function listen() {
  const cubit = {
    close: (drainMs: number) => {
      closes.push(drainMs);
      return close(drainMs);
    },
  };
  return stopOnSignals(signals as never, cubit, { drainMs: 30_000, say: (line) => lines.push(line) });
}

test('one Ctrl-C that npm and the bootstrap pass on as well is one press: requests may finish', () => {
  const stop = listen();
  expect(stop.asked).toBe(false);
  for (const signal of ['SIGINT', 'SIGINT', 'SIGTERM']) {
    signals.emit(signal);
    vi.advanceTimersByTime(50);
  }
  expect(closes).toEqual([30_000]);
  expect(lines).toEqual([expect.stringContaining('30 s to finish')]);
  expect(stop.asked).toBe(true);
});

test('a second press stops at once, a third ends the process', () => {
  listen();
  signals.emit('SIGINT');
  vi.advanceTimersByTime(2_000);
  signals.emit('SIGINT');
  expect(closes).toEqual([30_000, 0]);
  expect(exit).not.toHaveBeenCalled();
  vi.advanceTimersByTime(2_000);
  signals.emit('SIGINT');
  expect(exit).toHaveBeenCalledWith(1);
});

test('done follows the end of the first close', async () => {
  close = async () => {};
  const { done } = listen();
  signals.emit('SIGTERM');
  await expect(done).resolves.toBeUndefined();
  close = () => Promise.reject(new Error('stuck'));
  const failing = listen();
  vi.advanceTimersByTime(1_000);
  signals.emit('SIGHUP');
  await expect(failing.done).rejects.toThrow('stuck');
});
