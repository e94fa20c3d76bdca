import type { Kysely } from 'kysely';
import type { BudgetLease, LeaseBudget } from '../../gateway/spill-budget.ts';
import type { Database } from '../../store/schema.ts';
import type { Trx } from '../verb.ts';
import { budgetPeriod, overflowOf } from './config.ts';

/** Of the whole budget at a time, so that a gateway that dies takes little with it. */
const PART = 50;

/**
 * Spill budgets in the store: what a gateway takes counts as spent until it gives some back. So the sum of what all
 * gateways can spend is never more than the budget, and what a killed one held stays counted.
 */
export function budgetLeases(deps: { readonly db: Kysely<Database>; now(): number }): LeaseBudget {
  return {
    lease: (endpointId, micros) => deps.db.transaction().execute((trx) => take(trx, endpointId, micros, deps.now())),
    async giveBack(endpointId, periodStartMs, micros) {
      await deps.db
        .updateTable('spill_budgets')
        .set((eb) => ({ leased_micros: eb('leased_micros', '-', BigInt(Math.trunc(micros))) }))
        .where('endpoint_id', '=', endpointId)
        .where('period_start_ms', '=', periodStartMs)
        .execute();
    },
  };
}

const NOTHING: BudgetLease = { micros: 0, periodStartMs: 0, periodEndMs: 0 };

async function take(trx: Trx, endpointId: string, micros: number, nowMs: number): Promise<BudgetLease> {
  const budget = (await overflowOf(trx, endpointId))?.budget;
  const tenant = await trx
    .selectFrom('endpoints')
    .innerJoin('tenants', 'tenants.id', 'endpoints.tenant_id')
    .select('tenants.zone')
    .where('endpoints.id', '=', endpointId)
    .executeTakeFirst();
  if (budget === undefined || budget === null || tenant === undefined) return NOTHING;
  const { fromMs, toMs } = budgetPeriod(budget.period, nowMs, tenant.zone);
  const key = { endpoint_id: endpointId, period_start_ms: fromMs };
  // Writing the row first makes others wait, or retry, instead of reading what is about to change.
  const { leased_micros: leased } = await trx
    .insertInto('spill_budgets')
    .values({ ...key, leased_micros: 0n, refused_at_ms: null })
    .onConflict((conflict) =>
      conflict
        .columns(['endpoint_id', 'period_start_ms'])
        .doUpdateSet((eb) => ({ leased_micros: eb.ref('spill_budgets.leased_micros') })),
    )
    .returning('leased_micros')
    .executeTakeFirstOrThrow();
  const left = budget.micros - Number(leased);
  const granted = left < micros ? 0 : Math.min(left, Math.max(Math.ceil(micros), Math.floor(budget.micros / PART)));
  await trx
    .updateTable('spill_budgets')
    .set(granted === 0 ? { refused_at_ms: nowMs } : { leased_micros: leased + BigInt(granted), refused_at_ms: null })
    .where('endpoint_id', '=', endpointId)
    .where('period_start_ms', '=', fromMs)
    .execute();
  return { micros: granted, periodStartMs: fromMs, periodEndMs: toMs };
}
