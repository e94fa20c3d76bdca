import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { generateServeGen, parseServeGenClient } from './servegen.ts';

const read = (name: string) => readFileSync(new URL(`./samples/servegen/${name}`, import.meta.url), 'utf8');
const clients = [16, 52].map((id) =>
  parseServeGenClient(read(`chunk-${id}-trace.csv`), read(`chunk-${id}-dataset.json`)),
);
const DAY = { fromS: 0, untilS: 86_400, rateScale: 1, seed: 1 };

describe('ServeGen', () => {
  it('gives every client its recorded number of requests, on average', () => {
    // 235 and 90 in the recorded day.
    let total = 0;
    for (let seed = 0; seed < 20; seed += 1) total += generateServeGen(clients, { ...DAY, seed }).requests.length;
    expect(total / 20 / 325).toBeGreaterThan(0.9);
    expect(total / 20 / 325).toBeLessThan(1.1);
  });

  it('is decided by its seed, in order of time, with lengths of the recorded distributions', () => {
    const { requests } = generateServeGen(clients, DAY);
    expect(requests).toEqual(generateServeGen(clients, DAY).requests);
    expect(requests).not.toEqual(generateServeGen(clients, { ...DAY, seed: 2 }).requests);
    expect(requests.every((row, index) => index === 0 || row.atMs >= (requests[index - 1]?.atMs ?? 0))).toBe(true);
    expect(requests.every((row) => row.promptTokens >= 1 && row.outputTokens >= 1)).toBe(true);
    expect(requests[0]?.atMs).toBe(0);
  });

  it('scales rates and keeps to its window', () => {
    const once = generateServeGen(clients, DAY);
    const tenfold = generateServeGen(clients, { ...DAY, rateScale: 10 });
    expect(tenfold.requests.length / once.requests.length).toBeGreaterThan(6);
    const morning = generateServeGen(clients, { ...DAY, rateScale: 100, untilS: 43_200 });
    expect(morning.requests.at(-1)?.atMs).toBeLessThanOrEqual(43_200_000);
  });

  it('says what it cannot read, and when nothing arrives', () => {
    expect(() => parseServeGenClient('0,1,1,Normal,1,1', '{}')).toThrow(/line 1 is not ts,rate/);
    expect(() => parseServeGenClient('0,1,1,Gamma,1,1', '{}')).toThrow(/no distribution/);
    expect(() => parseServeGenClient('0,1,1,Gamma,1,1', '[1')).toThrow(/not a JSON object/);
    expect(() => parseServeGenClient('600,0,0,,0,0\n0,0,0,,0,0', '{}')).toThrow(/line 2: .*order/);
    const lengths = '{"0": {"input_tokens": "rare", "output_tokens": "{1: 1.0}"}}';
    expect(() => parseServeGenClient('0,1,1,Gamma,1,1', lengths)).toThrow(/window 0/);
    expect(() => generateServeGen([parseServeGenClient('0,0,0,,0,0', '{}')], DAY)).toThrow(/No client sends/);
  });
});
