import type { Deployment, ModelShape, Accelerator } from '../../core/serving/performance/facts.ts';
import { type Performance, performanceOf } from '../../core/serving/performance.ts';
import { precisionOf } from './precision.ts';
import type { MeasuredRow } from './rows.ts';
import { draftTokensOf } from './speculative.ts';
import { concurrencyOf, parallelismOf } from './topology.ts';

export function predictAggregated(row: MeasuredRow, shape: ModelShape, accelerator: Accelerator): Performance {
  const deployment: Deployment = {
    shape,
    accelerator,
    engine: row.backend,
    parallelism: parallelismOf(row.whole, row.backend),
    precision: precisionOf(row, shape),
    draftTokens: draftTokensOf(row),
  };
  const point = { promptTokens: row.promptTokens, outputTokens: row.outputTokens, concurrency: concurrencyOf(row) };
  return performanceOf(deployment, point, isSingleWave(row) ? 'burst' : 'steady');
}

/** Sweeps of the exporter's own tool start every request of a SGLang run at once. */
export function isSingleWave(row: MeasuredRow): boolean {
  return row.backend === 'sglang' && row.source.includes('auto-gap') && !row.source.includes('gtl_');
}
