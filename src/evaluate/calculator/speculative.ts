import type { MeasuredRow } from './rows.ts';

/**
 * Drafts per step. No column says so. The rule is the one that rows with the same settings and contradictory times
 * leave: which release of which engine ran a model with its own multi-token prediction head in the benchmark.
 */
export function draftTokensOf(row: MeasuredRow): number {
  return speculates(row) ? 2 : 0;
}

function speculates(row: MeasuredRow): boolean {
  const model = row.modelPath.toLowerCase();
  const measured = /measured=(\d{4}-\d{2}-\d{2})/.exec(row.source)?.[1] ?? '';
  if (row.backend === 'trtllm' && model.includes('deepseek')) {
    if (measured === '2026-02-05' || measured === '2026-02-06') return true;
    return measured === '2026-01-14' && row.backendVersion === '1.1.0rc2.post2';
  }
  const { expertTensor, tensor } = row.whole;
  return (
    row.backend === 'sglang' &&
    row.backendVersion === '0.5.9' &&
    row.precision === 'fp8' &&
    tensor === 4 &&
    expertTensor === 4 &&
    model.includes('qwen3.5')
  );
}
