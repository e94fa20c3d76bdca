export interface WorkerGauges {
  readonly running: number;
  readonly waiting: number;
  readonly kvUsedShare: number;
  readonly promptTokensTotal: number;
  readonly cachedTokensTotal: number;
  readonly outputTokensTotal: number;
  readonly cancelsTotal: number;
  readonly cancelFreeS: number;
  /** Epoch; 0: never. */
  readonly lastCancelS: number;
}

/** The worker's own metrics in Prometheus' text format. */
export function workerMetricsText(gauges: WorkerGauges, model: string): string {
  const rows: readonly [name: string, type: string, help: string, value: number][] = [
    ['requests_running', 'gauge', 'Requests on a sequence.', gauges.running],
    ['requests_waiting', 'gauge', 'Requests that wait for a sequence.', gauges.waiting],
    ['kv_used_ratio', 'gauge', 'Share of the KV cells that running requests occupy.', gauges.kvUsedShare],
    ['prompt_tokens_total', 'counter', 'Prompt tokens, cached ones included.', gauges.promptTokensTotal],
    ['cached_tokens_total', 'counter', 'Prompt tokens whose KV state was reused.', gauges.cachedTokensTotal],
    ['output_tokens_total', 'counter', 'Tokens drawn.', gauges.outputTokensTotal],
    ['cancels_total', 'counter', 'Running requests whose client left.', gauges.cancelsTotal],
    ['cancel_free_seconds_total', 'counter', 'From seeing that until the sequence was free.', gauges.cancelFreeS],
    ['last_cancel_timestamp_seconds', 'gauge', 'When that was last seen.', gauges.lastCancelS],
  ];
  const label = `{model="${model.replace(/[\\"\n]/g, '_')}"}`;
  return rows
    .map(([name, type, help, value]) => {
      const full = `cubit_worker_${name}`;
      return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${full}${label} ${value}\n`;
    })
    .join('');
}
