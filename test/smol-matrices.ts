import type { AdaptedMatrix } from '../src/model-files/write-adapter.ts';

const LAYERS = 30;
const HIDDEN = 576;
const KV = 192;

/** What the small test adapters change of SmolLM2-135M: queries and values of every layer. */
export function smolMatrices(): AdaptedMatrix[] {
  return Array.from({ length: LAYERS }, (_, layer) => [
    { name: `blk.${layer}.attn_q.weight`, inputs: HIDDEN, outputs: HIDDEN },
    { name: `blk.${layer}.attn_v.weight`, inputs: HIDDEN, outputs: KV },
  ]).flat();
}
