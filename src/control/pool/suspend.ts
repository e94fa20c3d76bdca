import type { Trx } from '../verb.ts';

/** Endpoints of a tenant that are paid by the token, were made before an instant and are not suspended. */
export async function servingByToken(trx: Trx, tenantId: string, beforeMs: number): Promise<string[]> {
  const rows = await trx
    .selectFrom('endpoints')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('access_mode', '=', 'pay_per_token')
    .where('deleted_at_ms', 'is', null)
    .where('suspended_at_ms', 'is', null)
    .where('created_at_ms', '<', beforeMs)
    .orderBy('id')
    .execute();
  return rows.map((row) => row.id);
}

/** The tenant stayed overdue: they serve nothing more. */
export async function suspend(trx: Trx, endpointIds: readonly string[], atMs: number): Promise<void> {
  if (endpointIds.length === 0) return;
  await trx.updateTable('endpoints').set({ suspended_at_ms: atMs }).where('id', 'in', endpointIds).execute();
}

/** Nothing is owed any more: they serve again. */
export async function resume(trx: Trx, tenantId: string): Promise<void> {
  await trx
    .updateTable('endpoints')
    .set({ suspended_at_ms: null })
    .where('tenant_id', '=', tenantId)
    .where('suspended_at_ms', 'is not', null)
    .execute();
}
