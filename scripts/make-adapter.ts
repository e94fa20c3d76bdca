import { open } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { DEFAULT_MODEL_ID } from '../src/catalog/default.ts';
import { loadCatalog } from '../src/catalog/load.ts';
import { weightsWithProgress } from '../src/cli/weights.ts';
import { loadConfig } from '../src/config.ts';
import { GGUF_HEAD_BYTES_MAX, readGguf } from '../src/model-files/gguf.ts';
import { type AdaptedMatrix, writeAdapter } from '../src/model-files/write-adapter.ts';

/**
 * `node scripts/make-adapter.ts --rank 16 out.gguf`: a LoRA adapter of random values on all linear layers of a model (the
 * embedded one unless --base names a GGUF file), for `cubit profile --adapter`. The same seed, the same file.
 */
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    rank: { type: 'string', default: '16' },
    seed: { type: 'string', default: '1' },
    scale: { type: 'string', default: '0.001' },
    base: { type: 'string' },
  },
});
const [path, more] = positionals;
const rank = Number(values.rank);
if (path === undefined || more !== undefined || !Number.isInteger(rank) || rank < 1) {
  console.error('usage: node scripts/make-adapter.ts [--rank N] [--seed N] [--scale X] [--base FILE] OUT.gguf');
  process.exit(2);
}
const base = values.base ?? (await embedded());
await writeAdapter(path, await matricesOf(base), {
  rank,
  alpha: rank,
  seed: Number(values.seed),
  scale: Number(values.scale),
});

async function embedded(): Promise<string> {
  const config = loadConfig({});
  const weights = (await loadCatalog(config.catalogDir)).models.get(DEFAULT_MODEL_ID)?.weights;
  if (weights === undefined) throw new Error(`the catalogue has no weights of ${DEFAULT_MODEL_ID}`);
  return weightsWithProgress(weights, config.cacheDir, config.weights);
}

/** All linear layers of the model's blocks. */
async function matricesOf(model: string): Promise<AdaptedMatrix[]> {
  const file = await open(model, 'r');
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(GGUF_HEAD_BYTES_MAX) });
  await file.close();
  return [...readGguf(buffer.subarray(0, bytesRead)).tensors].flatMap(([name, [inputs, outputs]]) => {
    const linear = /^blk\.\d+\.(attn_(q|k|v|output)|ffn_(gate|up|down))\.weight$/.test(name);
    return linear && inputs !== undefined && outputs !== undefined ? [{ name, inputs, outputs }] : [];
  });
}
