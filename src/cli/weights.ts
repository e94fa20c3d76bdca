import type { Command } from 'commander';
import { DEFAULT_MODEL_ID } from '../catalog/default.ts';
import { loadCatalog } from '../catalog/load.ts';
import type { Weights } from '../catalog/schema.ts';
import { loadConfig } from '../config.ts';
import { CubitError } from '../core/errors.ts';
import { ensureWeights, weightsAt } from '../engine/llama/weights.ts';

export function addWeights(program: Command): void {
  program
    .command('weights')
    .description('fetch and verify the weights of an embedded model, and print where they are')
    .argument('[model]', 'model of the catalogue', DEFAULT_MODEL_ID)
    .action(async (modelId: string) => {
      const config = loadConfig({ dataDir: program.opts()['data'] });
      const model = (await loadCatalog(config.catalogDir)).models.get(modelId);
      if (model?.weights === undefined) {
        throw new CubitError('not_found', `The catalogue has no weights for a model ${modelId}.`);
      }
      console.log(await weightsWithProgress(model.weights, config.cacheDir, config.weights));
    });
}

/** Weights from the user's own file, the cache or a source; progress on stderr. */
export async function weightsWithProgress(
  weights: Weights,
  cacheDir: string,
  override: string | null,
): Promise<string> {
  if (override !== null) return weightsAt(override);
  const bar = progressBar(`weights ${weights.file}`);
  try {
    return await ensureWeights(weights, { cacheDir, onProgress: bar.update });
  } finally {
    bar.end();
  }
}

/** A bar that redraws on a terminal and prints a line every 10 % (or 10 s) elsewhere. */
function progressBar(title: string) {
  const out = process.stderr;
  const startedAt = performance.now();
  let printedAt = 0;
  let printedTenth = -1;
  let drawn = false;
  const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
  return {
    update(source: string, doneBytes: number, totalBytes: number | null): void {
      const nowMs = performance.now();
      const share = totalBytes === null ? null : doneBytes / totalBytes;
      const seconds = ((nowMs - startedAt) / 1000).toFixed(0);
      const figures =
        share === null
          ? `${mib(doneBytes)} MiB, ${seconds} s`
          : `${(share * 100).toFixed(0).padStart(3)} % of ${mib(totalBytes as number)} MiB, ${seconds} s`;
      if (out.isTTY) {
        if (nowMs - printedAt < 100 && share !== 1) return;
        const filled = share === null ? 0 : Math.round(share * 24);
        const bar = share === null ? '' : `[${'█'.repeat(filled)}${'·'.repeat(24 - filled)}] `;
        out.write(`\r\x1b[2K${title} ${bar}${figures} (${source})`);
        printedAt = nowMs;
        drawn = true;
        return;
      }
      const tenth = share === null ? printedTenth : Math.floor(share * 10);
      if (tenth === printedTenth && nowMs - printedAt < 10_000) return;
      printedTenth = tenth;
      printedAt = nowMs;
      out.write(`${title}: ${figures} (${source})\n`);
    },
    end(): void {
      if (drawn) out.write('\n');
    },
  };
}
