import { describe, expect, it } from 'vitest';
import { acceleratorOf, unitFromFacts } from './from-facts.ts';
import { loadCatalog } from './load.ts';
import { simulatedOn, simulatedTiers } from './tiers.ts';

const catalog = await loadCatalog();
const fromFacts = [...catalog.templates.values()].filter(({ profile }) => profile.from === 'facts');

it.each(fromFacts)('$id holds what the performance model gives (npm run templates)', (template) => {
  const { kvTokens, prefillFixedUs, step } = unitFromFacts(template, catalog)!;
  expect(template.profile).toMatchObject({ prefillFixedUs, step });
  expect(template.kvTokensPerUnit).toBe(kvTokens);
});

it.each(fromFacts)('$id holds the tiers that simulating its profile gives (npm run templates)', (template) => {
  expect(template.tiers).toEqual(simulatedTiers(template));
  expect(template.profile.on).toBe(simulatedOn(template));
});

describe('unitFromFacts', () => {
  const single = catalog.templates.get('llama-3.3-70b-h100-x4')!;
  const bf16 = unitFromFacts(single, catalog)!;

  it('reads half the weights, multiplies faster and keeps more cache at 8 bits', () => {
    const fp8 = unitFromFacts({ ...single, engine: { ...single.engine, weightBits: 8 } }, catalog)!;
    expect(fp8.step.tau0Us).toBeLessThan(bf16.step.tau0Us * 0.75);
    expect(fp8.step.tau1Us).toBeLessThan(bf16.step.tau1Us * 0.8);
    expect(fp8.step.tau4Us).toBeCloseTo(bf16.step.tau4Us, 5);
    expect(fp8.kvTokens).toBeGreaterThan(bf16.kvTokens);
  });

  it('lowers what a context token costs and doubles the cache at 8 bits of KV', () => {
    const fp8 = unitFromFacts({ ...single, engine: { ...single.engine, kvBits: 8 } }, catalog)!;
    expect(fp8.step.tau4Us).toBeLessThan(bf16.step.tau4Us * 0.6);
    expect(fp8.kvTokens / bf16.kvTokens).toBeCloseTo(2, 2);
  });

  it('knows nothing without accelerator facts', () => {
    expect(acceleratorOf(catalog.machineTypes.get('local-cpu')!)).toBeNull();
    expect(unitFromFacts(catalog.templates.get('smollm2-135m-local')!, catalog)).toBeNull();
  });
});
