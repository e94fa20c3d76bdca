import { CubitError } from '../../core/errors.ts';
import { sharesAt } from '../../core/serving/rollout.ts';
import type { Row } from '../../store/schema.ts';
import type { Trx } from '../verb.ts';

/** Gives `to` so many percent of the traffic that it has together with `from`; other models keep theirs. */
export async function moveTraffic(
  trx: Trx,
  { from_id, to_id }: Pick<Row<'rollouts'>, 'from_id' | 'to_id'>,
  percent: number,
): Promise<void> {
  const rows = await trx
    .selectFrom('served_models')
    .select('traffic_percent')
    .where('id', 'in', [from_id, to_id])
    .execute();
  const shares = sharesAt(
    percent,
    rows.reduce((sum, row) => sum + row.traffic_percent, 0),
  );
  for (const [id, traffic_percent] of [
    [to_id, shares.next],
    [from_id, shares.old],
  ] as const) {
    await trx.updateTable('served_models').set({ traffic_percent }).where('id', '=', id).execute();
  }
}

/** Throws `conflict`: one hand at a time moves an endpoint's traffic. */
export async function requireNoRollout(trx: Trx, endpointId: string): Promise<void> {
  const running = await trx
    .selectFrom('rollouts')
    .select('id')
    .where('endpoint_id', '=', endpointId)
    .where('ended_at_ms', 'is', null)
    .executeTakeFirst();
  if (running === undefined) return;
  const message =
    'A rollout is moving this endpoint’s traffic. Take it back first (cubit rollout back), or let it end.';
  throw new CubitError('conflict', message, { details: { rolloutId: running.id } });
}
