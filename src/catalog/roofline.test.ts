import { describe, expect, it } from 'vitest';
import { loadCatalog } from './load.ts';
import { hardwareOf, rooflineOf } from './roofline.ts';
import type { Catalog, Template } from './schema.ts';

const catalog = await loadCatalog();
const fromFacts = [...catalog.templates.values()].filter(({ profile }) => profile.from === 'facts');

function recompute(template: Template, { models, machineTypes }: Catalog, engine = template.engine) {
  const on = (wanted: readonly string[]) => {
    const role = template.roles.find(({ role }) => wanted.includes(role))!;
    return hardwareOf(machineTypes.get(role.machineTypeId)!, role.machinesPerUnit)!;
  };
  return rooflineOf({
    architecture: models.get(template.modelId)!.architecture!,
    engine,
    batch: template.tiers[0]!.batch,
    prefill: on(['unified', 'prefill']),
    decode: on(['unified', 'decode']),
  });
}

describe('profiles from facts', () => {
  it.each(fromFacts)('$id holds what the roofline gives', (template) => {
    const { prefillFixedUs, step, kvTokensPerUnit } = recompute(template, catalog);
    expect(template.profile).toMatchObject({ prefillFixedUs, step });
    expect(template.kvTokensPerUnit).toBe(kvTokensPerUnit);
  });
});

describe('rooflineOf', () => {
  const single = catalog.templates.get('llama-3.3-70b-h100-x4')!;
  const bf16 = recompute(single, catalog);

  it('worked example: 70.55 B weights in bf16 on 4 × 3.35 TB/s', () => {
    // (70.55 − 1.05 of input embedding) GB × 2 ÷ (13.4 TB/s × 0.85) + 720 kernels × 4.3 µs + 160 all-reduces × 8 µs
    expect(bf16.step.tau0Us).toBeCloseTo(((70.5515 - 1.0507) * 2e9 * 1e6) / (13.4e12 * 0.85) + 720 * 4.3 + 160 * 8, -2);
    // 80 layers × 2 × 8 heads × 128 × 2 bytes = 327,680 bytes a token, a quarter on each accelerator
    expect(bf16.step.tau4Us).toBeCloseTo((327_680 / 4 / (3.35e12 * 0.75)) * 1e6, 4);
  });

  it('reads half the weights, multiplies twice as fast and keeps more cache at 8 bits', () => {
    const fp8 = recompute(single, catalog, { ...single.engine, weightBits: 8 });
    expect(fp8.step.tau0Us).toBeLessThan(bf16.step.tau0Us * 0.7);
    expect(fp8.step.tau3Us - 7).toBeCloseTo((bf16.step.tau3Us - 7) / 2, 1);
    expect(fp8.step.tau4Us).toBe(bf16.step.tau4Us);
    expect(fp8.kvTokensPerUnit).toBeGreaterThan(bf16.kvTokensPerUnit);
  });

  it('halves what a context token costs and doubles the cache at 8 bits of KV', () => {
    const fp8 = recompute(single, catalog, { ...single.engine, kvBits: 8 });
    expect(fp8.step.tau4Us).toBeCloseTo(bf16.step.tau4Us / 2, 4);
    expect(fp8.kvTokensPerUnit / bf16.kvTokensPerUnit).toBeCloseTo(2, 2);
  });

  it('knows no hardware without accelerator facts', () => {
    expect(hardwareOf(catalog.machineTypes.get('local-cpu')!, 1)).toBeNull();
  });
});
