import { describe, expect, it } from 'vitest';
import { decodeUs } from './decode.ts';
import { LLAMA_70B, on, R1 } from './fixture.ts';
import { prefillTerms, prefillUs } from './prefill.ts';
import { stepModelOf } from './step-model.ts';

const at = { sequences: 32, contextTokens: 2100, promptTokens: 2000 };

describe('stepModelOf', () => {
  it.each([
    ['dense', on(LLAMA_70B, { tensor: 4 })] as const,
    ['latent mixture', on(R1, { attentionData: 16 })] as const,
  ])('gives the step and the prompt at its point, and close by (%s)', (_name, deployment) => {
    const { prefillFixedUs, step } = stepModelOf(deployment, at);
    const decode = (batch: number, context: number) => step.tau0Us + batch * (step.tau3Us + step.tau4Us * context);
    expect(decode(32, 2100) / decodeUs(deployment, at)).toBeCloseTo(1, 9);
    const near = decodeUs(deployment, { sequences: 36, contextTokens: 2400 });
    expect(Math.abs(decode(36, 2400) / near - 1)).toBeLessThan(0.02);
    const { attentionData } = deployment.parallelism;
    const prompt = prefillUs(deployment, prefillTerms(deployment, 2000, attentionData)) / attentionData;
    expect((prefillFixedUs + 2000 * step.tau1Us + (2000 ** 2 / 2) * step.tau2Us) / prompt).toBeCloseTo(1, 9);
  });

  it('takes prefill from the machines that prefill', () => {
    const decode = on(LLAMA_70B, { tensor: 4 });
    const apart = stepModelOf(decode, at, on(LLAMA_70B, { tensor: 8 }));
    const together = stepModelOf(decode, at);
    expect(apart.step.tau0Us).toBe(together.step.tau0Us);
    expect(apart.step.tau1Us).toBeLessThan(together.step.tau1Us);
    expect(apart.kvTokens).toBe(together.kvTokens);
  });

  it('refuses a point that is none', () => {
    expect(() => stepModelOf(on(LLAMA_70B, { tensor: 4 }), { ...at, sequences: 0 })).toThrow('sequences is 0');
  });
});
