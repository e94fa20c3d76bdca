import { describe, expect, it } from 'vitest';
import { decodeUs } from './decode.ts';
import type { Deployment, ModelShape } from './facts.ts';
import { mixedStepOf } from './mixed-step.ts';

const dense: ModelShape = {
  kind: 'decoder',
  layers: 32,
  hiddenSize: 4_096,
  vocabularySize: 128_256,
  tiedEmbeddings: false,
  attention: { kind: 'gqa', heads: 32, kvHeads: 8, headDimension: 128 },
  feedForward: { gated: true, intermediateSize: 14_336 },
};
const experts: ModelShape = {
  ...dense,
  feedForward: {
    gated: true,
    intermediateSize: null,
    experts: { count: 64, activePerToken: 4, shared: 0, intermediateSize: 1_024, layers: 32 },
  },
};
const bf16 = { attention: 'bf16', dense: 'bf16', experts: 'bf16', head: 'bf16', kv: 'bf16' } as const;
const deployment = (shape: ModelShape, tensor = 1, attentionData = 1): Deployment => ({
  shape,
  accelerator: {
    generation: 'hopper',
    memoryBytes: 80e9,
    bandwidthBytesPerS: 3.35e12,
    flopsPerS: { bf16: 989e12, fp8: 1979e12, fp4: null },
    linkBytesPerS: 450e9,
  },
  engine: 'vllm',
  parallelism: { tensor, attentionData, pipeline: 1 },
  precision: bf16,
  draftTokens: 0,
});
const at = { contextTokens: 1_000, chunkTokens: 2_048 };
const ring = { latencyUs: 20, bytesPerS: 16e9 };
const free = { latencyUs: 0, bytesPerS: 1e15 };
const stepUs = (of: Deployment, tokens: number, facts = {}) =>
  mixedStepOf(of, at, { ring: free, ...facts })(tokens, tokens).tau0Us;

describe('mixedStepOf', () => {
  it('agrees with the decode terms where nothing is prefilled', () => {
    const model = mixedStepOf(deployment(dense), at, { ring: free })(32, 32);
    const us = model.tau0Us + 32 * (model.tau3Us + 1_000 * model.tau4Us);
    expect(us / decodeUs(deployment(dense), { sequences: 32, contextTokens: 1_000 })).toBeCloseTo(1, 1);
  });

  it('reads weights once: small steps cost alike, large ones what they multiply', () => {
    const of = deployment(dense);
    expect(stepUs(of, 16) / stepUs(of, 1)).toBeLessThan(1.05);
    expect(stepUs(of, 8_192) / stepUs(of, 4_096)).toBeGreaterThan(1.9);
  });

  it('reads more experts for more tokens, until it reads all of them', () => {
    const of = deployment(experts);
    const gain = (from: number, to: number) => stepUs(of, to) - stepUs(of, from);
    expect(gain(1, 8)).toBeGreaterThan(10 * gain(128, 135));
  });

  it('divides among a tensor group what can be divided and pays for its rings', () => {
    const two = deployment(dense, 2);
    expect(stepUs(two, 1)).toBeLessThan(stepUs(deployment(dense), 1));
    const extra = stepUs(two, 1, { ring }) - stepUs(two, 1);
    expect(extra).toBeCloseTo(64 * (20 + (4_096 * 2 * 1e6) / 16e9), 0);
  });

  it('exchanges all ranks’ tokens a layer of experts, and nothing where there are none', () => {
    const of = (shape: ModelShape, over: typeof ring) =>
      mixedStepOf(deployment(shape, 1, 2), at, { ring: over })(100, 60).tau0Us;
    expect(of(experts, ring) - of(experts, free)).toBeCloseTo(32 * (40 + (100 * 4_096 * 2 * 1e6) / 16e9), 0);
    expect(of(dense, ring) - of(dense, free)).toBeCloseTo(0, 6);
  });

  it('takes an accelerator’s own shares before the constants', () => {
    expect(stepUs(deployment(dense), 4_096, { gemmFlopsShare: 0.9 })).toBeLessThan(stepUs(deployment(dense), 4_096));
    expect(stepUs(deployment(dense), 1, { weightReadShare: 0.5 })).toBeGreaterThan(1.5 * stepUs(deployment(dense), 1));
  });
});
