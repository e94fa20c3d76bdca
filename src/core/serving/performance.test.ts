import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BURST, type Deployment, type ModelShape } from './performance/facts.ts';
import { H100, LLAMA_70B, on, QWEN3_30B_A3B, R1 } from './performance/fixture.ts';
import { performanceOf } from './performance.ts';

const point = { promptTokens: 2000, outputTokens: 500, concurrency: 16 };

describe('performanceOf', () => {
  const performance = performanceOf(on(LLAMA_70B, { tensor: 4 }), point);

  it('adds up: the terms are the time per token, the parts the time to the first', () => {
    const sum = (parts: object) => Object.values(parts).reduce((total: number, us) => total + us, 0);
    expect(sum(performance.terms)).toBeCloseTo(performance.tpotUs, 6);
    expect(sum(performance.ttftTerms)).toBeCloseTo(performance.ttftUs, 6);
  });

  it('lies where a 70 B model in 8 bits on 4 × H100 does: about 13 ms a token', () => {
    // 70 GB of weights ÷ 4 ÷ (3.35 TB/s × 0.888) = 5.9 ms, 720 kernels × 4.4 µs = 3.2 ms, 160 all-reduces × 10 µs = 1.6 ms
    expect(performance.tpotUs).toBeGreaterThan(10_700);
    expect(performance.tpotUs).toBeLessThan(16_000);
  });

  it.each([['dense', LLAMA_70B, { tensor: 4 }] as const, ['latent mixture', R1, { attentionData: 16 }] as const])(
    'takes longer per token with more in flight and with longer prompts (%s)',
    (_name, shape, parallelism) => {
      const deployment = on(shape, parallelism);
      const tpots = [1, 2, 8, 32, 128].map(
        (concurrency) => performanceOf(deployment, { ...point, concurrency }).tpotUs,
      );
      expect(tpots).toEqual([...tpots].sort((a, b) => a - b));
      const longer = [500, 2000, 8000].map((promptTokens) => performanceOf(deployment, { ...point, promptTokens }));
      expect(longer.map(({ tpotUs }) => tpotUs)).toEqual(longer.map(({ tpotUs }) => tpotUs).sort((a, b) => a - b));
      expect(longer.map(({ ttftUs }) => ttftUs)).toEqual(longer.map(({ ttftUs }) => ttftUs).sort((a, b) => a - b));
    },
  );

  it('lets the first token of a burst wait longer, and none with one client', () => {
    const deployment = on(LLAMA_70B, { tensor: 4 });
    expect(performanceOf(deployment, point, BURST).ttftUs).toBeGreaterThan(performanceOf(deployment, point).ttftUs);
    const one = { ...point, concurrency: 1 };
    expect(performanceOf(deployment, one, BURST).ttftUs).toBeCloseTo(performanceOf(deployment, one).ttftUs, 6);
  });

  it('runs what memory holds and lets the rest wait', () => {
    const tight = performanceOf(on(LLAMA_70B, { tensor: 1 }), { ...point, concurrency: 64 });
    expect(tight.running).toBeLessThan(64);
    expect(tight.running).toBeGreaterThanOrEqual(1);
    expect(tight.ttftTerms.overflowUs).toBeGreaterThan(0);
    expect(performance.ttftTerms.overflowUs).toBe(0);
  });

  it('needs no collectives on one accelerator, and fewer steps with drafts', () => {
    const alone = on(QWEN3_30B_A3B, {});
    expect(performanceOf(alone, point).terms.collectivesUs).toBe(0);
    const drafted = performanceOf({ ...alone, draftTokens: 2 }, point);
    expect(drafted.terms.latencyUs).toBeLessThan(performanceOf(alone, point).terms.latencyUs);
  });
});

describe('bad input', () => {
  it('asks for the facts of an accelerator that are missing', () => {
    const unknown = { ...H100, memoryBytes: Number.NaN, bandwidthBytesPerS: 0, linkBytesPerS: null };
    const deployment = {
      ...on(LLAMA_70B, { tensor: 4 }),
      accelerator: { ...unknown, flopsPerS: { bf16: -1, fp8: null, fp4: null } },
    };
    expect(() => performanceOf(deployment, point)).toThrow(
      /give its memory .*, memory bandwidth .*, FLOPS in bf16 .*, link to the others/,
    );
  });

  it('needs no link on one accelerator', () => {
    const deployment = { ...on(QWEN3_30B_A3B, {}), accelerator: { ...H100, linkBytesPerS: null } };
    expect(performanceOf(deployment, point).tpotUs).toBeGreaterThan(0);
  });

  it.each([
    [{ ...point, concurrency: 0 }, 'concurrency is 0'],
    [{ ...point, outputTokens: -5 }, 'outputTokens is -5'],
    [{ ...point, promptTokens: Number.NaN }, 'promptTokens is NaN'],
  ])('refuses %o', (wrong, message) => {
    expect(() => performanceOf(on(LLAMA_70B, { tensor: 4 }), wrong)).toThrow(message);
  });
});

describe('any sane facts', () => {
  const shapes = fc.record({
    layers: fc.integer({ min: 1, max: 128 }),
    hiddenSize: fc.integer({ min: 256, max: 16_384 }),
    kvHeads: fc.constantFrom(1, 2, 8, 16),
    group: fc.constantFrom(1, 4, 8),
    experts: fc.option(
      fc.record({ count: fc.integer({ min: 8, max: 512 }), activePerToken: fc.integer({ min: 1, max: 8 }) }),
    ),
    linear: fc.boolean(),
    window: fc.boolean(),
  });

  it('give finite, positive times whose every part is at least 0', () => {
    fc.assert(
      fc.property(
        shapes,
        fc.constantFrom(1, 2, 8),
        fc.constantFrom<Deployment['engine']>('trtllm', 'sglang', 'vllm'),
        fc.integer({ min: 1, max: 4096 }),
        fc.integer({ min: 1, max: 131_072 }),
        fc.integer({ min: 1, max: 32_768 }),
        fc.constantFrom('bf16', 'fp8', 'fp4', 'int4') as fc.Arbitrary<Deployment['precision']['dense']>,
        (facts, tensor, engine, concurrency, promptTokens, outputTokens, format) => {
          const deployment = { ...on(shapeOf(facts), { tensor }), engine };
          const precision = { attention: format, dense: format, experts: format, head: format, kv: format };
          const result = performanceOf({ ...deployment, precision }, { concurrency, promptTokens, outputTokens });
          const numbers = [
            ...Object.values(result.terms),
            ...Object.values(result.ttftTerms),
            ...Object.values(result.prefill),
          ];
          expect(numbers.filter((value) => !(Number.isFinite(value) && value >= 0))).toEqual([]);
          expect(result.tpotUs).toBeGreaterThan(0);
          expect(result.running).toBeGreaterThanOrEqual(1);
          expect(result.kvTokens).toBeGreaterThan(0);
        },
      ),
      { numRuns: 200 },
    );
  });
});

interface ShapeFacts {
  readonly layers: number;
  readonly hiddenSize: number;
  readonly kvHeads: number;
  readonly group: number;
  readonly experts: { readonly count: number; readonly activePerToken: number } | null;
  readonly linear: boolean;
  readonly window: boolean;
}

function shapeOf({ experts, group, hiddenSize, kvHeads, layers, linear, window }: ShapeFacts): ModelShape {
  const third = Math.floor(layers / 3);
  return {
    kind: 'decoder',
    layers,
    hiddenSize,
    vocabularySize: 32_000,
    tiedEmbeddings: false,
    attention: {
      kind: 'gqa',
      heads: kvHeads * group,
      kvHeads,
      headDimension: 128,
      slidingWindow: window ? { tokens: 1024, layers: third } : undefined,
      linear: linear
        ? { layers: third, keyHeads: 16, keyDimension: 128, valueHeads: 32, valueDimension: 128, convolutionWidth: 4 }
        : undefined,
    },
    feedForward: {
      gated: true,
      intermediateSize: 4 * hiddenSize,
      experts: experts ? { ...experts, shared: 1, intermediateSize: 1024, layers } : undefined,
    },
  };
}
