import { describe, expect, it } from 'vitest';
import { capacityOf } from './capacity.ts';
import { CONSTANTS } from './constants.ts';
import { allReduceUs, decodeTerms, distinctExperts } from './decode.ts';
import { H100, LLAMA_70B, on, QWEN3_30B_A3B, R1 } from './fixture.ts';
import { kernelsOf } from './layers.ts';
import { prefillTerms } from './prefill.ts';
import { computeFormat, overlapped } from './rates.ts';

const batch = (sequences: number, contextTokens = 2000) => ({ sequences, contextTokens });

describe('worked by hand', () => {
  it('weights: 70 B in bytes over 4 × 3.35 TB/s at 0.888', () => {
    // 80 layers of attention 150,994,944 and feed-forward 704,643,072 parameters, the head 128,256 × 8192 in 2 bytes
    const bytes = 80 * (150_994_944 + 704_643_072) + 2 * 128_256 * 8192;
    const { weightsUs } = decodeTerms(on(LLAMA_70B, { tensor: 4 }), batch(1));
    expect(weightsUs / ((bytes * 1e6) / (4 * 3.35e12 * CONSTANTS.weightReadShare))).toBeCloseTo(1, 2);
  });

  it('kernels: 9 a layer; a latent mixture has 8 more, and 6 for routed and shared experts', () => {
    expect(kernelsOf(LLAMA_70B)).toBe(9 * 80);
    expect(kernelsOf(R1)).toBe(9 * 61 + 8 * 61 + 6 * 58);
  });

  it('all-reduce: 16 tokens × 8192 × 2 bytes from 3 others at 450 GB/s × 0.716, after 5.94 + 2 × 1.98 µs', () => {
    const us = 5.94 + 2 * 1.98 + (3 * 16 * 8192 * 2 * 1e6) / (450e9 * 0.716);
    expect(allReduceUs(on(LLAMA_70B, { tensor: 4 }), 16)).toBeCloseTo(us, 6);
  });

  it('cache: 20,480 bytes a token of Llama 70B on each of 8 accelerators, 35,136 of R1', () => {
    // 80 layers × 2 × 8 heads × 128 bytes, over 8 accelerators; 61 layers × 576 bytes, on each
    expect(capacityOf(on(LLAMA_70B, { tensor: 8 }), 4096).cacheBytesPerToken).toBe((80 * 2 * 8 * 128) / 8);
    expect(capacityOf(on(R1, { tensor: 8 }), 4096).cacheBytesPerToken).toBe(61 * 576);
  });
});

describe('physics', () => {
  it('touches as many experts as it activates for one token, and at most all', () => {
    expect(distinctExperts(QWEN3_30B_A3B, 1)).toBeCloseTo(8, 9);
    expect(distinctExperts(QWEN3_30B_A3B, 10_000)).toBeLessThanOrEqual(128);
    expect(distinctExperts(LLAMA_70B, 8)).toBe(0);
  });

  it('divides a cache by KV head, but no latent', () => {
    const kv = (tensor: number, shape = LLAMA_70B) => decodeTerms(on(shape, { tensor }), batch(64)).kvUs;
    expect(kv(8)).toBeCloseTo(kv(4) / 2, 1);
    expect(kv(16)).toBeGreaterThan(kv(8) * 0.6);
    const latent = (tensor: number) => capacityOf(on(R1, { tensor }), 4096).cacheBytesPerToken;
    expect(latent(8)).toBe(latent(2));
  });

  it('needs no collective alone, all-reduces under tensor and all-to-alls under data parallelism', () => {
    const collectives = (parallelism: object) => decodeTerms(on(R1, parallelism), batch(64)).collectivesUs;
    expect(collectives({})).toBe(0);
    expect(collectives({ attentionData: 8 })).toBeGreaterThan(0);
    expect(decodeTerms(on(LLAMA_70B, { attentionData: 8 }), batch(64)).collectivesUs).toBe(0);
  });

  it('holds at least one sequence a rank, also where weights fill the memory', () => {
    expect(capacityOf(on(LLAMA_70B, { attentionData: 4 }), 1e6).sequencesMax).toBeGreaterThanOrEqual(4);
  });

  it('reads a window or a selection, not the context, where attention is windowed or sparse', () => {
    const windowed = {
      ...LLAMA_70B,
      attention: { ...LLAMA_70B.attention, slidingWindow: { tokens: 1024, layers: 60 } },
    };
    const sparse = {
      ...R1,
      attention: { ...R1.attention, sparse: { topK: 2048, indexHeads: 64, indexDimension: 128 } },
    };
    const kv = (shape: typeof LLAMA_70B) => decodeTerms(on(shape, { tensor: 4 }), batch(16, 65_536)).kvUs;
    expect(kv(windowed)).toBeLessThan(kv(LLAMA_70B) / 3);
    expect(kv(sparse)).toBeLessThan(kv(R1) / 2);
    const attention = (shape: typeof LLAMA_70B) => prefillTerms(on(shape, { tensor: 4 }), 65_536).attentionUs;
    expect(attention(windowed)).toBeLessThan(attention(LLAMA_70B) / 3);
    expect(attention(sparse)).toBeLessThan(attention(R1) / 3);
  });

  it('widens formats that an accelerator cannot multiply in', () => {
    expect(computeFormat(H100, 'fp8')).toBe('fp8');
    expect(computeFormat(H100, 'fp4')).toBe('bf16');
    expect(computeFormat(H100, 'int4')).toBe('bf16');
  });

  it('overlaps: at least the larger, at most the sum', () => {
    expect(overlapped(3, 4)).toBeGreaterThan(4);
    expect(overlapped(3, 4)).toBeLessThan(7);
    expect(overlapped(0, 0)).toBe(0);
  });

  it('shares experts among the ranks that prefill at the same time', () => {
    const one = prefillTerms(on(R1, { attentionData: 8 }), 2000);
    const all = prefillTerms(on(R1, { attentionData: 8 }), 2000, 8);
    expect(all.gemmUs).toBeGreaterThan(one.gemmUs);
    expect(all.gemmUs).toBeLessThan(8 * one.gemmUs);
  });
});
