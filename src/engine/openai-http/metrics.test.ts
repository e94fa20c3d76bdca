import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { workerMetricsText } from '../llama/metrics-text.ts';
import { engineMetrics } from './metrics.ts';

describe('engineMetrics', () => {
  it('reads a real vLLM', async () => {
    const text = await readFile(new URL('../../../test/recorded/vllm-0.32/metrics.txt', import.meta.url), 'utf8');
    expect(engineMetrics(text, 'vllm')).toEqual({
      running: 0,
      waiting: 0,
      kvUsedShare: 0,
      promptTokensTotal: 53_000,
      cachedTokensTotal: 0,
      outputTokensTotal: 1756,
    });
  });

  it('adds the ranks of a data-parallel vLLM and takes the mean of their KV shares', () => {
    const text = [0, 1]
      .map(
        (rank) =>
          `vllm:num_requests_running{engine="${rank}"} ${rank + 1}\nvllm:kv_cache_usage_perc{engine="${rank}"} ${rank / 2}`,
      )
      .join('\n');
    expect(engineMetrics(text, 'vllm')).toMatchObject({
      running: 3,
      waiting: 0,
      kvUsedShare: 0.25,
      cachedTokensTotal: null,
    });
  });

  it('reads our own worker', () => {
    const gauges = {
      running: 1,
      waiting: 2,
      kvUsedShare: 0.5,
      promptTokensTotal: 3,
      cachedTokensTotal: 4,
      outputTokensTotal: 5,
    };
    const cancels = { cancelsTotal: 6, cancelFreeS: 0.25, lastCancelS: 1_700_000_000.5 };
    const text = workerMetricsText({ ...gauges, ...cancels }, 'a "model"');
    expect(engineMetrics(text, 'cubit')).toEqual(gauges);
    expect(text).toContain('cubit_worker_cancel_free_seconds_total{model="a _model_"} 0.25\n');
  });

  it('reads SGLang and llama-server by their documented names', () => {
    const sglang =
      'sglang:num_running_reqs{model_name="m"} 4.0\nsglang:num_queue_reqs{model_name="m"} 1.0\nsglang:token_usage{model_name="m"} 0.28\n';
    expect(engineMetrics(sglang, 'sglang')).toMatchObject({ running: 4, waiting: 1, kvUsedShare: 0.28 });
    const llama =
      'llamacpp:requests_processing 2\nllamacpp:requests_deferred 0\nllamacpp:tokens_predicted_total 39080\n';
    expect(engineMetrics(llama, 'llama-server')).toMatchObject({
      running: 2,
      kvUsedShare: null,
      outputTokensTotal: 39_080,
    });
  });

  it('says nothing about a page without the engine’s gauges', () => {
    expect(engineMetrics('process_cpu_seconds_total 1\n', 'vllm')).toBeNull();
    expect(engineMetrics('vllm:num_requests_running 1\n', 'generic')).toBeNull();
  });
});
