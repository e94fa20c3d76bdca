import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseAzureTrace, seededRandom, textOfTokens } from './trace.ts';

const sample = readFileSync(new URL('./samples/azure-code-2023.csv', import.meta.url), 'utf8');

describe('traces', () => {
  it('reads the Azure sample in order of time', () => {
    const rows = parseAzureTrace(sample);
    expect(rows).toHaveLength(400);
    expect(rows[0]).toEqual({ atMs: 0, promptTokens: 4808, outputTokens: 10 });
    expect(rows[1]?.atMs).toBe(52);
    expect(rows.every((row, index) => index === 0 || row.atMs >= (rows[index - 1]?.atMs ?? 0))).toBe(true);
  });

  it('names the line that is wrong', () => {
    expect(() => parseAzureTrace(`${sample}soon,1,2\n`)).toThrow(/line 402/);
  });

  it('makes the same text from the same seed', () => {
    expect(textOfTokens(20, seededRandom(7))).toBe(textOfTokens(20, seededRandom(7)));
    expect(textOfTokens(20, seededRandom(7))).not.toBe(textOfTokens(20, seededRandom(8)));
    expect(textOfTokens(20, seededRandom(7)).split(' ')).toHaveLength(20);
  });
});
