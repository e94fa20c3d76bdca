import { expect, it } from 'vitest';
import { parametersOf } from '../core/serving/performance/parameters.ts';
import { loadCatalog } from './load.ts';

// The totals in the catalogue are what publishers state; here they are recomputed from the published shapes. There are
// no exceptions: what the recount leaves out (norms, biases, attention sinks, vision towers) stays under 1.5 % of each.
const TOTAL_SHARE_OFF_MAX = 0.03;
// Publishers round active parameters to a billion, and differ on whether embeddings count.
const ACTIVE_SHARE_OFF_MAX = 0.1;

const described = [...(await loadCatalog()).models.values()].flatMap(({ id, architecture }) =>
  architecture ? [{ id, architecture }] : [],
);

it.each(described)('$id: total parameters follow from its shape', ({ architecture }) => {
  const { total } = parametersOf(architecture);
  expect(Math.abs(total / architecture.parametersTotal - 1)).toBeLessThan(TOTAL_SHARE_OFF_MAX);
});

it.each(described.filter(({ architecture }) => architecture.feedForward.experts))(
  '$id: active parameters follow from its shape',
  ({ architecture }) => {
    const { active } = parametersOf(architecture);
    expect(Math.abs(active / architecture.parametersActive - 1)).toBeLessThan(ACTIVE_SHARE_OFF_MAX);
  },
);

it('counts SmolLM2-135M to the parameter, norms aside', () => {
  const smollm = described.find(({ id }) => id === 'smollm2-135m-instruct')!.architecture;
  const norms = (2 * smollm.layers + 1) * smollm.hiddenSize;
  expect(parametersOf(smollm).total + norms).toBe(134_515_008);
});
