import { CONSTANTS } from '../../core/serving/performance/constants.ts';
import { decodeTerms } from '../../core/serving/performance/decode.ts';
import type { Deployment } from '../../core/serving/performance/facts.ts';
import { prefillTerms, prefillUs } from '../../core/serving/performance/prefill.ts';
import type { Prediction } from './predict.ts';
import type { MeasuredRow } from './rows.ts';
import { sourceConcurrency } from './topology.ts';

type Parts = Pick<Prediction, 'concurrency' | 'tpotParts' | 'ttftParts'>;

/**
 * Disaggregated rows state neither batches nor how many workers shared the requests, so this is weak (the errors say how
 * weak): decode without interference at a batch that grows a little slower than the requests, and a prefill pool whose
 * queue grows with them.
 */
export function predictDisaggregated(row: MeasuredRow, deployment: Deployment): Parts {
  const { batch, workers } = row.decode;
  const named = sourceConcurrency(row);
  const concurrency = named ?? (batch ?? 1) * (workers ?? 1);
  const spread = withAttentionRanks(deployment, concurrency);
  const known = batch === null ? null : batch * Math.max(1, row.decode.attentionData);
  const sequences = known ?? Math.max(1, concurrency ** CONSTANTS.disaggregatedBatchExponent);
  const contextTokens = row.promptTokens + row.outputTokens / 2;
  const decode = decodeTerms(spread, { sequences, contextTokens });
  const share = CONSTANTS.disaggregatedDecodeFactor;
  const prompt = prefillUs(deployment, prefillTerms(deployment, row.promptTokens));
  const queue = 1 + CONSTANTS.disaggregatedQueue * concurrency ** CONSTANTS.disaggregatedQueueExponent;
  return {
    concurrency,
    tpotParts: {
      weightsUs: share * decode.weightsUs,
      expertsUs: share * decode.expertsUs,
      kvUs: share * decode.kvUs,
      latencyUs: share * decode.latencyUs,
      collectivesUs: share * decode.collectivesUs,
      hostUs: share * decode.hostUs,
      interferenceUs: 0,
    },
    ttftParts: {
      fixedUs: CONSTANTS.disaggregatedTtftUs,
      prefillUs: CONSTANTS.disaggregatedPrefill * prompt * queue,
      decodeUs: 0,
      overflowUs: 0,
    },
  };
}

/** Wide decode pools of mixtures attend by data parallelism once there are enough requests to fill the ranks. */
function withAttentionRanks(deployment: Deployment, concurrency: number): Deployment {
  const { attentionData, pipeline, tensor } = deployment.parallelism;
  const mixture = deployment.shape.feedForward.experts !== undefined;
  if (!mixture || attentionData > 1 || concurrency < 16 * tensor) return deployment;
  return { ...deployment, parallelism: { tensor: 1, attentionData: tensor, pipeline } };
}
