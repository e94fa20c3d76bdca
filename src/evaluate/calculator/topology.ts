import { BURST, type Load, type Parallelism } from '../../core/serving/performance/facts.ts';
import type { MeasuredRow, Topology } from './rows.ts';

/**
 * What the topology columns mean. The source of these rules are rows that state the same run twice, once as it was and
 * once as its exporter multiplied it (docs/performance-model.md, "Reading measured rows").
 */

/** Accelerators that one instance of an engine is divided over, repaired. */
export function parallelismOf(topology: Topology, backend: MeasuredRow['backend']): Parallelism {
  const { attentionData, expert, expertTensor, pipeline, tensor } = topology;
  // A square product stored twice: 16 = 4 × 4 is 4 accelerators whose experts are divided 4-fold, 64 = 8 × 8 is 8.
  if (expert > 1 && expert === expertTensor) {
    if (tensor === expert * expert) return { tensor: expert, attentionData: 1, pipeline };
    if (attentionData === expert * expert) return { tensor: 1, attentionData: expert, pipeline };
  }
  // vLLM counts data-parallel ranks beside the tensor group that they live in.
  if (backend === 'vllm' && attentionData > 1 && attentionData === tensor && expert === tensor * attentionData) {
    return { tensor: 1, attentionData, pipeline };
  }
  // SGLang's tensor size contains its attention ranks.
  if (backend === 'sglang' && attentionData > 1 && tensor >= attentionData && tensor === expert * expertTensor) {
    return { tensor: tensor / attentionData, attentionData, pipeline };
  }
  return { tensor, attentionData, pipeline };
}

/** A whole disaggregated deployment exported as one aggregated row: no engine divides experts over more than 8 by tensor. */
export function isWholeDeployment(row: MeasuredRow): boolean {
  return row.mode === 'agg' && row.whole.expertTensor > 8;
}

/** Requests in flight that the source names; null where it names none. */
export function sourceConcurrency(row: MeasuredRow): number | null {
  const match = /silicon_concurrency=(\d+)/.exec(row.source);
  return match ? Number(match[1]) : null;
}

/**
 * Requests in flight on one aggregated instance: a benchmark names them in its source. Rows of a deployer's sweep
 * (`gtl_…`) name those of all its replicas, and `batch_size` is of one replica.
 */
export function concurrencyOf(row: MeasuredRow): number {
  const named = sourceConcurrency(row);
  if (named !== null && !row.source.includes('gtl_')) return named;
  return row.batch === null ? (named ?? 1) : row.batch * row.whole.attentionData;
}

/**
 * Mean share of the nominal lengths that requests had. The public benchmark behind the rows that name no sweep draws
 * both lengths evenly between 0.8 and 1 of the nominal ones (its random range ratio); sweeps use them exactly.
 */
export function lengthShare(row: MeasuredRow): number {
  return row.source.includes('auto-gap') ? 1 : 0.9;
}

/**
 * How the rows were driven: the public benchmark sends ten prompts a client of mixed lengths; sweeps send prompts of
 * equal lengths, so that about six keep in step, and in the exporter's SGLang sweeps all at once.
 */
export function loadOf(row: MeasuredRow): Load {
  if (!row.source.includes('auto-gap')) return { firstWave: 0.1, inStep: 1 };
  return row.backend === 'sglang' && !row.source.includes('gtl_') ? BURST : { firstWave: 0.1, inStep: 6 };
}
