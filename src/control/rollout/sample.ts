import type { Outcome } from '../../core/serving/outcome.ts';
import type { RolloutSample } from '../../core/serving/rollout.ts';
import type { Row } from '../../store/schema.ts';
import type { Db } from '../internal.ts';

const BAD: ReadonlySet<Outcome> = new Set([
  'rejected_capacity',
  'rejected_unready',
  'expired',
  'failed',
  'interrupted',
]);
/** What the client got wrong, or took back, says nothing of a model. */
const SAYING: readonly Outcome[] = ['completed', ...BAD];
/** The newest of a step: enough for a percentile, and one step's cost is bounded. */
const RECEIPTS_MAX = 2_000;

/** What receipts say of a served model since the present step of a rollout began. */
export async function sampleOf(db: Db, row: Row<'rollouts'>, servedModelId: string): Promise<RolloutSample> {
  const rows = await db
    .selectFrom('receipts')
    .select(['outcome', 'ttft_ms', 'wait_ms'])
    .where('endpoint_id', '=', row.endpoint_id)
    .where('served_model_id', '=', servedModelId)
    .where('received_at_ms', '>=', row.step_at_ms)
    .where('outcome', 'in', SAYING)
    .orderBy('received_at_ms', 'desc')
    .limit(RECEIPTS_MAX)
    .execute();
  const ttfts = rows
    .flatMap(({ ttft_ms, wait_ms }) => (ttft_ms === null ? [] : ttft_ms + wait_ms))
    .sort((a, b) => a - b);
  return {
    requests: rows.length,
    bad: rows.filter(({ outcome }) => BAD.has(outcome)).length,
    ttftP95Ms: ttfts[Math.ceil(ttfts.length * 0.95) - 1] ?? null,
  };
}
