import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseAzureTrace } from './azure.ts';
import { MOONCAKE_BLOCK_TOKENS, parseMooncakeTrace } from './mooncake.ts';
import { promptOf } from './text.ts';
import { cutWindow, factsOf, scaleLengths, scaleTime, traceOf } from './trace.ts';

const read = (name: string) => readFileSync(new URL(`./samples/${name}`, import.meta.url), 'utf8');
const azure = read('azure-code-2023.csv');
const mooncake = read('mooncake-conversation.jsonl');

describe('Azure traces', () => {
  it('reads the sample in order of time', () => {
    const { requests, repairs } = parseAzureTrace(azure);
    expect(requests).toHaveLength(400);
    expect(requests[0]).toEqual({ atMs: 0, promptTokens: 4808, outputTokens: 10 });
    expect(requests[1]?.atMs).toBe(52);
    expect(repairs).toEqual([]);
  });

  it.each(['soon,1,2', '2023-11-16 18:17:03.9799600,4808,', '2023-11-16 18:17:03.9799600,-1,2', '1'])(
    'names the line that is wrong: %s',
    (line) => expect(() => parseAzureTrace(`${azure}${line}\n`)).toThrow(/line 402/),
  );

  it('sorts rows that are out of order and says so; refuses a file without rows', () => {
    const [head, first, second] = azure.split('\n') as [string, string, string];
    const trace = parseAzureTrace([head, second, first].join('\n'));
    expect(trace.requests.map((row) => row.atMs)).toEqual([0, 52]);
    expect(trace.repairs).toEqual(['1 of 2 rows came before the row above them: sorted by time']);
    expect(() => parseAzureTrace(`${head}\n`)).toThrow(/no requests/);
  });
});

describe('Mooncake traces', () => {
  const trace = parseMooncakeTrace(mooncake);

  it('reads lengths and blocks', () => {
    expect(trace.requests).toHaveLength(200);
    expect(trace.blockTokens).toBe(MOONCAKE_BLOCK_TOKENS);
    expect(trace.requests[0]).toMatchObject({ atMs: 0, promptTokens: 6758, outputTokens: 500 });
    expect(trace.requests[0]?.blocks).toHaveLength(14);
  });

  it('turns shared blocks into shared text, and nothing else', () => {
    const [a, b] = [0, 1].map((index) => promptOf(trace.requests[index]!, trace.blockTokens, 1, index)) as [
      string,
      string,
    ];
    const words = [a.split(' '), b.split(' ')] as [string[], string[]];
    expect(words.map((list) => list.length)).toEqual([6758, 7322]);
    const shared = words[0].findIndex((word, index) => word !== words[1][index]);
    // The first block is common; a few words more may agree by chance.
    expect(shared).toBeGreaterThanOrEqual(512);
    expect(shared).toBeLessThan(520);
    expect(promptOf(trace.requests[0]!, trace.blockTokens, 1, 99)).toBe(a);
    expect(promptOf(trace.requests[0]!, trace.blockTokens, 2, 0)).not.toBe(a);
  });

  it('keeps what is shared when lengths shrink', () => {
    const small = scaleLengths(trace, { scale: 1 / 32, promptTokensMax: 150, outputTokensMax: 8 });
    expect(small.blockTokens).toBe(16);
    expect(small.requests.every((row) => row.promptTokens <= 150 && row.outputTokens <= 8)).toBe(true);
    const [a, b] = [0, 1].map((index) => promptOf(small.requests[index]!, 16, 1, index).split(' ')) as [
      string[],
      string[],
    ];
    expect(a).toHaveLength(150);
    expect(a.slice(0, 16)).toEqual(b.slice(0, 16));
    expect(a.slice(0, 32)).not.toEqual(b.slice(0, 32));
  });

  it.each(['{', '[]', '{"timestamp":1,"input_length":-1,"output_length":1,"hash_ids":[]}', '{"timestamp":"x"}'])(
    'names the line that is wrong: %s',
    (line) => expect(() => parseMooncakeTrace(`${mooncake}${line}\n`)).toThrow(/line 201/),
  );

  it('takes a row whose ids do not cover it as unshared, and says so', () => {
    const mended = parseMooncakeTrace('{"timestamp":5,"input_length":600,"output_length":1,"hash_ids":[1]}\n');
    expect(mended.requests).toEqual([{ atMs: 0, promptTokens: 600, outputTokens: 1 }]);
    expect(mended.repairs[0]).toMatch(/1 rows whose hash_ids/);
  });
});

describe('cutting and scaling', () => {
  const trace = traceOf([
    { atMs: 100, promptTokens: 10, outputTokens: 0 },
    { atMs: 200, promptTokens: 20, outputTokens: 4 },
    { atMs: 5200, promptTokens: 30, outputTokens: 8 },
  ]);

  it('cuts a window and starts it at 0; an empty one is refused with the span', () => {
    expect(cutWindow(trace, 50, 6000).requests.map((row) => row.atMs)).toEqual([50, 5050]);
    expect(() => cutWindow(trace, 200, 5000)).toThrow(/lasts 5 s/);
  });

  it('scales time and lengths', () => {
    expect(scaleTime(trace, 0.5).requests.map((row) => row.atMs)).toEqual([0, 50, 2550]);
    const scaled = scaleLengths(trace, { scale: 0.5, promptTokensMax: 12, outputTokensMax: 100 });
    expect(scaled.requests.map((row) => [row.promptTokens, row.outputTokens])).toEqual([
      [5, 1],
      [10, 2],
      [12, 4],
    ]);
  });

  it('reports the longest gap and requests without output', () => {
    expect(factsOf(trace)).toEqual({
      requests: 3,
      spanMs: 5100,
      promptTokensMean: 20,
      outputTokensMean: 4,
      gapMsMax: 5000,
      gapFromMs: 100,
      zeroOutputs: 1,
    });
  });
});
