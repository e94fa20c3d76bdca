import { formatMicros } from '../../core/commerce/money.ts';
import { clockHourOf } from '../../core/commerce/term.ts';
import type { IdKind } from '../../core/ids.ts';
import { notify } from '../../store/notices.ts';
import type { Row } from '../../store/schema.ts';
import type { Trx } from '../verb.ts';
import { spentOf } from './spent.ts';

/** Percent of a budget at which its tenant is told. */
const THRESHOLDS = [100, 80, 50] as const;

/**
 * Counts what is spent of a tenant's budgets at an instant, writes it down, and tells each threshold that is reached,
 * once a month and amount; of several at once the highest. Comes back at the next full hour.
 */
export async function evaluate(
  trx: Trx,
  by: { now(): number; newId(kind: IdKind): string },
  tenant: Row<'tenants'>,
  { atMs, budgetId }: { readonly atMs: number; readonly budgetId: string | null },
): Promise<Row<'budgets'>[]> {
  const budgets = await trx
    .selectFrom('budgets')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .$if(budgetId !== null, (query) => query.where('id', '=', budgetId ?? ''))
    .$if(budgetId === null, (query) => query.where('next_due_ms', '<=', atMs))
    .orderBy('id')
    .execute();
  const spent = await spentOf(trx, tenant, budgets, atMs);
  const after: Row<'budgets'>[] = [];
  for (const budget of budgets) {
    const now = spent.get(budget.id);
    if (now === undefined) continue;
    const { month, spent_micros: spentMicros } = now;
    const toldBefore = budget.month === month ? budget.told_percent : 0;
    const reached = THRESHOLDS.find((percent) => spentMicros * 100n >= budget.amount_micros * BigInt(percent)) ?? 0;
    if (reached > toldBefore) await tell(trx, by, { tenant, budget, month, spentMicros, percent: reached, atMs });
    const changes = {
      ...now,
      told_percent: Math.max(toldBefore, reached),
      next_due_ms: clockHourOf(atMs, tenant.zone).toMs,
    };
    await trx.updateTable('budgets').set(changes).where('id', '=', budget.id).execute();
    after.push({ ...budget, ...changes });
  }
  return after;
}

async function tell(
  trx: Trx,
  by: { now(): number; newId(kind: IdKind): string },
  reached: {
    readonly tenant: Row<'tenants'>;
    readonly budget: Row<'budgets'>;
    readonly month: string;
    readonly spentMicros: bigint;
    readonly percent: number;
    readonly atMs: number;
  },
): Promise<void> {
  const { tenant, budget, month, percent, atMs } = reached;
  const inMoney = (micros: bigint) => ({ amount: formatMicros(micros), currency: tenant.currency });
  const [amount, spent] = [inMoney(budget.amount_micros), inMoney(reached.spentMicros)];
  const scope = budget.label === '' ? tenant.id : budget.label;
  const hardStop = budget.hard_stop === 1;
  const detail = { month, percent, amount, spent, scope, hardStop };
  const { id: tenantId } = tenant;
  await notify(trx, by, { tenantId, kind: 'budget_threshold', subject: budget.id, dueAtMs: atMs, detail });
}
