import type { Accelerator, Deployment, ModelShape } from '../../core/serving/performance/facts.ts';
import { performanceOf, type TpotTerms, type TtftTerms } from '../../core/serving/performance.ts';
import { predictDisaggregated } from './disaggregated.ts';
import { precisionOf } from './precision.ts';
import type { MeasuredRow } from './rows.ts';
import { draftTokensOf } from './speculative.ts';
import { concurrencyOf, isWholeDeployment, lengthShare, loadOf, parallelismOf } from './topology.ts';

/** A measured row beside what the model says of it. */
export interface Prediction {
  readonly row: MeasuredRow;
  readonly shape: ModelShape;
  readonly mode: 'agg' | 'disagg' | 'agg_whole_deployment';
  readonly concurrency: number;
  /** Parts of TPOT and of TTFT, microseconds; each adds up to its prediction. */
  readonly tpotParts: Readonly<Record<keyof TpotTerms, number>>;
  readonly ttftParts: Readonly<Record<keyof TtftTerms, number>>;
}

export function predict(row: MeasuredRow, shape: ModelShape, accelerator: Accelerator): Prediction {
  const whole = isWholeDeployment(row);
  const deployment: Deployment = {
    shape,
    accelerator,
    engine: row.backend,
    parallelism: parallelismOf(row.mode === 'agg' ? row.whole : row.decode, row.backend),
    precision: precisionOf(row, shape, accelerator),
    draftTokens: draftTokensOf(row),
  };
  const common = { row, shape, mode: whole ? 'agg_whole_deployment' : row.mode } as const;
  if (row.mode === 'disagg' || whole) return { ...common, ...predictDisaggregated(row, deployment) };
  const concurrency = concurrencyOf(row);
  const share = lengthShare(row);
  const point = { promptTokens: share * row.promptTokens, outputTokens: share * row.outputTokens, concurrency };
  const { terms, ttftTerms } = performanceOf(deployment, point, loadOf(row));
  return { ...common, concurrency, tpotParts: terms, ttftParts: ttftTerms };
}

export function sumUs(parts: Readonly<Record<string, number>>): number {
  return Object.values(parts).reduce((sum, us) => sum + us, 0);
}
