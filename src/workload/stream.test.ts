import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseAzureLine } from './azure.ts';
import { parseMooncakeLine } from './mooncake.ts';
import { linesOf, requestsOf, type StreamScaling, scaledStream } from './stream.ts';

const folder = mkdtempSync(join(tmpdir(), 'cubit-stream-'));
afterAll(() => rmSync(folder, { recursive: true }));
const fileOf = (text: string) => {
  const path = join(folder, 'trace');
  writeFileSync(path, text);
  return path;
};
const SAME: StreamScaling = { fromMs: 0, untilMs: 1e12, time: 1, rate: 1, jitterMs: 0, seed: 1 };
const row = (atMs: number, blocks?: number[]) => ({
  atMs,
  promptTokens: 5,
  outputTokens: 2,
  ...(blocks ? { blocks } : {}),
});

describe('linesOf', () => {
  it('gives every line, whatever ends it, across chunks and inside characters', () => {
    expect([...linesOf(fileOf('a\r\nb\n\nc'))]).toEqual(['a', 'b', '', 'c']);
    expect([...linesOf(fileOf(''))]).toEqual([]);
    const wide = `${'é'.repeat(800_000)}\n${'x'.repeat(900_000)}`;
    expect([...linesOf(fileOf(wide))].map((line) => line.length)).toEqual([800_000, 900_000]);
    expect([...linesOf(fileOf(wide))].join('\n')).toBe(wide);
  });
});

describe('requestsOf', () => {
  it('reads both formats from 0 on; a row out of order comes at the time of the one above', () => {
    const azure = [
      'TIMESTAMP,ContextTokens,GeneratedTokens',
      '2023-11-16 18:00:01.0000000,10,2',
      '2023-11-16 18:00:00.0000000,9,1',
    ];
    expect([...requestsOf(azure, parseAzureLine)].map(({ atMs, promptTokens }) => [atMs, promptTokens])).toEqual([
      [0, 10],
      [0, 9],
    ]);
    const mooncake = ['{"timestamp": 500, "input_length": 600, "output_length": 3, "hash_ids": [1, 2]}', ''];
    expect([...requestsOf(mooncake, parseMooncakeLine)]).toEqual([
      { atMs: 0, promptTokens: 600, outputTokens: 3, blocks: [1, 2] },
    ]);
    expect(() => [...requestsOf(['x'], parseMooncakeLine)]).toThrow(/line 1 is not/);
  });
});

describe('scaledStream', () => {
  it('cuts and stretches', () => {
    const rows = [0, 10, 20, 30].map((atMs) => row(atMs));
    const cut = [...scaledStream(rows, { ...SAME, fromMs: 10, untilMs: 30, time: 2 })];
    expect(cut.map(({ atMs }) => atMs)).toEqual([0, 20]);
  });

  it('multiplies in order of time; copies share nothing with each other', () => {
    const rows = Array.from({ length: 500 }, (_, index) => row(index * 100, [1, index]));
    const many = [...scaledStream(rows, { ...SAME, rate: 3, jitterMs: 2_000 })];
    expect(many).toHaveLength(1_500);
    expect(many.every(({ atMs }, index) => index === 0 || atMs >= many[index - 1]!.atMs)).toBe(true);
    expect(new Set(many.map(({ blocks }) => blocks![0])).size).toBe(3);
    const few = [...scaledStream(rows, { ...SAME, rate: 0.5 })];
    expect(few.length).toBeGreaterThan(200);
    expect(few.length).toBeLessThan(300);
  });
});
