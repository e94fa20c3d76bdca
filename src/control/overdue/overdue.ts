import type { Kysely } from 'kysely';
import { isCleared, nextOverdueEvent, OVERDUE_MS } from '../../core/commerce/overdue.ts';
import type { IdKind } from '../../core/ids.ts';
import { balanceMicros, overdrawnOf } from '../../store/ledger.ts';
import { notify } from '../../store/notices.ts';
import type { Database, Row } from '../../store/schema.ts';
import { LIVE_GROUP_STATES } from '../internal.ts';
import { resume, servingByToken } from '../pool/suspend.ts';
import type { Trx } from '../verb.ts';

type By = { now(): number; newId(kind: IdKind): string };

/** The tenant's overdue time that has not ended, if any. */
export function openOverdue(db: Kysely<Database>, tenantId: string): Promise<Row<'overdues'> | undefined> {
  return db
    .selectFrom('overdues')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('ended_at_ms', 'is', null)
    .executeTakeFirst();
}

/** After charges: a tenant below zero with postpaid units that could be taken back, or endpoints that are paid by the token, is overdue from its charge. */
export async function noteCharges(
  trx: Trx,
  by: By,
  charges: readonly { readonly tenantId: string; readonly atMs: number }[],
): Promise<void> {
  const tenantIds = charges.map((charge) => charge.tenantId);
  const overdrawn = await overdrawnOf(trx, tenantIds);
  if (overdrawn.size === 0) return;
  const known = await trx
    .selectFrom('overdues')
    .select('tenant_id')
    .where('tenant_id', 'in', [...overdrawn])
    .where('ended_at_ms', 'is', null)
    .execute();
  const alreadyOverdue = new Set(known.map((row) => row.tenant_id));
  for (const { tenantId, atMs } of charges)
    if (overdrawn.has(tenantId) && !alreadyOverdue.has(tenantId)) await fallOverdue(trx, by, tenantId, atMs);
}

async function fallOverdue(trx: Trx, by: By, tenantId: string, chargedAtMs: number): Promise<void> {
  const live = await livePostpaidGroups(trx, tenantId, chargedAtMs);
  const endpointIds = await servingByToken(trx, tenantId, chargedAtMs);
  if (live.length === 0 && endpointIds.length === 0) return;
  const inserted = await trx
    .insertInto('overdues')
    .values({
      id: by.newId('overdue'),
      tenant_id: tenantId,
      since_ms: chargedAtMs,
      next_due_ms: nextOverdueEvent(chargedAtMs, chargedAtMs)?.atMs ?? null,
    })
    .onConflict((conflict) => conflict.column('tenant_id').where('ended_at_ms', 'is', null).doNothing())
    .returning('id')
    .executeTakeFirst();
  if (inserted === undefined) return;
  const groupIds = live.map(({ id }) => id);
  const detail = { sinceMs: chargedAtMs, reclaimAtMs: chargedAtMs + OVERDUE_MS, groupIds, endpointIds };
  await notify(trx, by, { tenantId, kind: 'overdue', subject: tenantId, dueAtMs: chargedAtMs, detail });
}

/** After money came in: in time and enough, and nothing is taken back. */
export async function noteCredit(trx: Trx, by: By, tenantId: string, atMs: number): Promise<void> {
  const balance = await balanceMicros(trx, tenantId);
  if (balance >= 0n) await resume(trx, tenantId);
  const overdue = await openOverdue(trx, tenantId);
  if (overdue === undefined) return;
  if (!isCleared({ sinceMs: overdue.since_ms }, balance, atMs)) return;
  await trx
    .updateTable('overdues')
    .set({ ended_at_ms: atMs, outcome: 'cleared', next_due_ms: null })
    .where('id', '=', overdue.id)
    .where('ended_at_ms', 'is', null)
    .execute();
  const detail = { sinceMs: overdue.since_ms };
  await notify(trx, by, { tenantId, kind: 'overdue_cleared', subject: tenantId, dueAtMs: atMs, detail });
}

/** Bought before an instant and not ended. */
export function livePostpaidGroups(trx: Trx, tenantId: string, beforeMs: number): Promise<Row<'instance_groups'>[]> {
  return trx
    .selectFrom('instance_groups')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('billing_type', '=', 'postpaid')
    .where('state', 'in', LIVE_GROUP_STATES)
    .where('created_at_ms', '<', beforeMs)
    .orderBy('id')
    .execute();
}
