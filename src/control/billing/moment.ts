import type { Trx } from '../verb.ts';
import { billedToMs } from './groups.ts';

/**
 * The instant to write for something that changes what a group costs (its start, a resize, its end): now, but never
 * inside an hour that is billed already nor at or before the group's last such change. So a clock that was set back
 * cannot rewrite what was charged, and segments stay in order.
 */
export async function billingMoment(
  trx: Trx,
  group: { readonly id: string; readonly tenantId: string },
  nowMs: number,
): Promise<number> {
  const last = await trx
    .selectFrom('group_segments')
    .select('from_ms')
    .where('group_id', '=', group.id)
    .orderBy('from_ms', 'desc')
    .limit(1)
    .executeTakeFirst();
  return Math.max(nowMs, await billedToMs(trx, group.tenantId), (last?.from_ms ?? -1) + 1);
}
