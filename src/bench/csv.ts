import { meetsSlo, type Slo } from './figures.ts';
import type { RequestRecord } from './record.ts';

const COLUMNS = [
  ...['index', 'due_at_ms', 'lag_ms', 'warm_up', 'status', 'error', 'ttft_ms', 'tpot_ms', 'e2e_ms', 'slo_met'],
  ...['prompt_tokens_asked', 'prompt_tokens', 'cached_tokens', 'output_tokens_max', 'output_tokens', 'frames', 'usage'],
  ...['retry_after_ms', 'wait_ms', 'estimated_us', 'actual_us'],
];

/** A row a request, in the order in which they were sent. An empty field: there is no such figure. */
export function csvOf(records: readonly RequestRecord[], slo: Slo): string {
  const rows = [...records]
    .sort((a, b) => a.index - b.index)
    .map((row) => [
      ...[row.index, row.dueAtMs, row.lagMs, row.warmUp, row.status, row.error, row.ttftMs, row.tpotMs, row.e2eMs],
      ...[meetsSlo(row, slo), row.promptTokensAsked, row.promptTokens, row.cachedTokens, row.outputTokensMax],
      ...[row.outputTokens, row.frames, row.usage, row.retryAfterMs, row.waitMs, row.estimatedUs, row.actualUs],
    ]);
  return `${[COLUMNS, ...rows].map((row) => row.map(field).join(',')).join('\n')}\n`;
}

/** Error codes come from servers: quoted where CSV needs it. */
function field(value: string | number | boolean | null): string {
  if (typeof value === 'number') return String(Math.round(value * 1000) / 1000);
  const text = String(value ?? '');
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
