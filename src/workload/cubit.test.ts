import { describe, expect, it } from 'vitest';
import { CUBIT_BLOCK_TOKENS, parseCubitTrace } from './cubit.ts';
import { formatOf, parseTrace } from './parse.ts';

const line = (changes: object = {}) =>
  JSON.stringify({
    atMs: 1_000,
    promptTokens: 640,
    cachedTokens: 0,
    outputTokens: 10,
    key: 'a',
    endpoint: 'e',
    ...changes,
  });

describe('Cubit’s own traces', () => {
  it('begins at 0, and takes requests of unknown output as long as those before', () => {
    const trace = parseCubitTrace(
      [
        line(),
        line({ atMs: 1_500, outputTokens: 20 }),
        line({ atMs: 1_800, promptTokens: null, outputTokens: null }),
        '',
      ].join('\n'),
    );
    expect(trace.requests.map(({ atMs, outputTokens, promptTokens }) => [atMs, promptTokens, outputTokens])).toEqual([
      [0, 640, 10],
      [500, 640, 20],
      [800, 640, 15],
    ]);
    expect(trace.repairs).toHaveLength(1);
  });

  it('shares the cached beginning inside a key, and nothing with others', () => {
    const cached = { cachedTokens: 5 * CUBIT_BLOCK_TOKENS };
    const rows = [line(cached), line(cached), line({ ...cached, key: 'b' }), line({ ...cached, endpoint: 'f' })];
    const blocks = parseCubitTrace(rows.join('\n')).requests.map((row) => row.blocks!);
    const common = (i: number) => blocks[0]!.filter((id) => blocks[i]!.includes(id)).length;
    expect(blocks[0]).toHaveLength(10);
    expect([common(1), common(2), common(3)]).toEqual([5, 0, 0]);
  });

  it('is known by its first line', () => {
    expect(formatOf(`\n${line()}\n`)).toBe('cubit');
    expect(formatOf('{"timestamp":0,"input_length":1,"output_length":1,"hash_ids":[0]}')).toBe('mooncake');
    expect(formatOf('TIMESTAMP,ContextTokens,GeneratedTokens')).toBe('azure');
    expect(parseTrace(line()).blockTokens).toBe(CUBIT_BLOCK_TOKENS);
  });

  it.each([
    'no json',
    '[]',
    line({ atMs: 'soon' }),
    line({ cachedTokens: 641 }),
    line({ outputTokens: -1 }),
    line({ promptTokens: 1.5 }),
    line({ key: 1 }),
  ])('names the line that is wrong: %s', (bad) => {
    expect(() => parseCubitTrace(`${line()}\n${bad}\n`)).toThrow(/line 2/);
  });
});
