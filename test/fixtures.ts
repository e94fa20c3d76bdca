import { DEFAULT_MODEL_ID } from '../src/catalog/default.ts';
import { loadCatalog } from '../src/catalog/load.ts';
import { loadConfig } from '../src/config.ts';
import { ensureWeights } from '../src/engine/llama/weights.ts';

/** Path of the default model's weights, which tests of the real engine run on; fetched when they are not cached. */
export async function testWeights(): Promise<string> {
  const { cacheDir, catalogDir, weights: own } = loadConfig();
  if (own !== null) return own;
  const weights = (await loadCatalog(catalogDir)).models.get(DEFAULT_MODEL_ID)?.weights;
  if (weights === undefined) throw new Error('the catalogue has no weights for the default model');
  return ensureWeights(weights, { cacheDir });
}
