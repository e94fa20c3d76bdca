import type { Row } from '../../store/schema.ts';
import type { Trx } from '../verb.ts';
import { billedToMs } from './groups.ts';

/**
 * The instant to write for something that changes what a group costs (its start, a resize, its end): now, but never
 * inside an hour that is billed already, before the group's start, nor at or before its last such change. So a clock
 * that was set back cannot rewrite what was charged, and segments stay in order.
 */
export async function billingMoment(
  trx: Trx,
  group: Pick<Row<'instance_groups'>, 'id' | 'tenant_id' | 'billed_from_ms'>,
  nowMs: number,
): Promise<number> {
  const last = await trx
    .selectFrom('group_segments')
    .select('from_ms')
    .where('group_id', '=', group.id)
    .orderBy('from_ms', 'desc')
    .limit(1)
    .executeTakeFirst();
  const billedMs = await billedToMs(trx, group.tenant_id);
  return Math.max(nowMs, billedMs, group.billed_from_ms ?? 0, (last?.from_ms ?? -1) + 1);
}
