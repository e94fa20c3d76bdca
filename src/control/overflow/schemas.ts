import { z } from 'zod';
import { SPILL_REASONS } from '../../gateway/overflow-snapshot.ts';
import type { Row } from '../../store/schema.ts';
import type { Db } from '../internal.ts';
import { EpochMs, Id, MaxWaitMs, Money, money, OverflowPolicy } from '../schemas.ts';
import { budgetPeriod, NO_OVERFLOW, overflowOf } from './config.ts';

const BudgetView = z.object({
  amount: Money,
  period: z.enum(['day', 'month']),
  periodStartMs: EpochMs,
  periodEndMs: EpochMs,
  spent: Money.describe('By the receipts of the period'),
  taken: Money.describe('By gateways: spent, held by requests under way, or theirs to spend next'),
  state: z.enum(['open', 'stopped']).describe('stopped: a request found too little left; nothing that costs spills'),
});

export const OverflowView = z.object({
  endpointId: Id,
  policy: OverflowPolicy,
  allow: z.array(OverflowPolicy).describe('What a request may ask for with x-cubit-overflow'),
  maxWaitMs: MaxWaitMs.describe('Of the policy queue'),
  spillAfterMs: MaxWaitMs.describe('What a request waits before it spills when it does not say'),
  reasons: z.array(z.enum(SPILL_REASONS)).describe('For which a request spills'),
  targets: z.array(z.object({ targetId: Id, name: z.string().nullable().describe('null: it is gone') })),
  budget: BudgetView.nullable(),
});

export async function overflowView(
  db: Db,
  row: Row<'endpoints'>,
  nowMs: number,
): Promise<z.output<typeof OverflowView>> {
  const config = (await overflowOf(db, row.id)) ?? NO_OVERFLOW;
  const targets = [];
  for (const targetId of config.targets) {
    const found = await targetOf(db, row, targetId);
    targets.push({ targetId, name: found?.name ?? null });
  }
  return {
    endpointId: row.id,
    policy: row.overflow_policy,
    allow: allowedOf(config.allow, row.overflow_policy),
    maxWaitMs: row.max_wait_ms,
    spillAfterMs: config.spillAfterMs,
    reasons: config.reasons,
    targets,
    budget: config.budget === null ? null : await budgetView(db, row, config.budget, nowMs),
  };
}

/** A request may always ask for what happens anyway, and to be refused at once. */
export function allowedOf(allow: readonly z.output<typeof OverflowPolicy>[], policy: z.output<typeof OverflowPolicy>) {
  return [...new Set([policy, 'reject' as const, ...allow])];
}

/** A live endpoint or upstream of the tenant, by id or name, or a served model of the endpoint itself. */
export async function targetOf(db: Db, { id: endpointId, tenant_id: tenantId }: Row<'endpoints'>, idOrName: string) {
  const own = await db
    .selectFrom('served_models')
    .select(['id', 'model_id as name'])
    .where('endpoint_id', '=', endpointId)
    .where('id', '=', idOrName)
    .executeTakeFirst();
  if (own !== undefined) return { ...own, isPriced: false };
  const endpoint = await db
    .selectFrom('endpoints')
    .select(['id', 'name', 'access_mode'])
    .where('tenant_id', '=', tenantId)
    .where('deleted_at_ms', 'is', null)
    .where((eb) => eb.or([eb('id', '=', idOrName), eb('name', '=', idOrName)]))
    .executeTakeFirst();
  if (endpoint !== undefined) return { ...endpoint, isPriced: endpoint.access_mode === 'pay_per_token' };
  const upstream = await db
    .selectFrom('upstreams')
    .select(['id', 'name'])
    .where('tenant_id', '=', tenantId)
    .where('removed_at_ms', 'is', null)
    .where('id', '=', idOrName)
    .executeTakeFirst();
  return upstream === undefined ? undefined : { ...upstream, isPriced: true };
}

async function budgetView(
  db: Db,
  { id, tenant_id }: Row<'endpoints'>,
  budget: { readonly micros: number; readonly period: 'day' | 'month' },
  nowMs: number,
): Promise<z.output<typeof BudgetView>> {
  const { zone, currency } = await db
    .selectFrom('tenants')
    .select(['zone', 'currency'])
    .where('id', '=', tenant_id)
    .executeTakeFirstOrThrow();
  const { fromMs, toMs } = budgetPeriod(budget.period, nowMs, zone);
  const kept = await db
    .selectFrom('spill_budgets')
    .selectAll()
    .where('endpoint_id', '=', id)
    .where('period_start_ms', '=', fromMs)
    .executeTakeFirst();
  const { spent_micros } = await db
    .selectFrom('receipts')
    .select((eb) =>
      eb.cast<bigint>(eb.fn.coalesce(eb.fn.sum('spill_cost_micros'), eb.lit(0)), 'bigint').as('spent_micros'),
    )
    .where('spill_from', '=', id)
    .where('received_at_ms', '>=', fromMs)
    .where('received_at_ms', '<', toMs)
    .executeTakeFirstOrThrow();
  const taken = kept?.leased_micros ?? 0n;
  const isStopped = (kept?.refused_at_ms ?? null) !== null || taken >= BigInt(budget.micros);
  return {
    amount: money(BigInt(budget.micros), currency),
    period: budget.period,
    periodStartMs: fromMs,
    periodEndMs: toMs,
    spent: money(spent_micros, currency),
    taken: money(taken, currency),
    state: isStopped ? 'stopped' : 'open',
  };
}
