import { monthAt, monthOf } from '../../core/commerce/term.ts';
import type { Row } from '../../store/schema.ts';
import { billedToMs, nextBillableMs } from '../billing/groups.ts';
import { chargedCosts, unbilledCosts } from '../chargeback/costs.ts';
import { splitCosts } from '../chargeback/split.ts';
import type { Span } from '../chargeback/supply.ts';
import type { Db } from '../internal.ts';
import { nextRecognitionMs } from '../prepaid/recognise.ts';

type Tenant = Row<'tenants'>;
type Budget = Row<'budgets'>;

export type Spent = Pick<Budget, 'month' | 'spent_micros' | 'spent_to_ms' | 'settled_micros' | 'settled_to_ms'>;

/**
 * What of a tenant's budgets is spent at an instant, by budget: the charges of times that ended in the month and what is
 * not billed yet. A label's part is that of its keys in the chargeback, idle share included. At a midnight that ends a
 * month it is that month's. Charges that change no more are `settled` and not read again: an hour costs the same at the
 * month's end as at its start.
 */
export async function spentOf(
  db: Db,
  tenant: Tenant,
  budgets: readonly Budget[],
  atMs: number,
): Promise<ReadonlyMap<string, Spent>> {
  const month = monthAt(atMs - 1, tenant.zone);
  const startMs = monthOf(month, tenant.zone).fromMs;
  const finalMs = await finalUntilMs(db, tenant, atMs);
  const labels = budgets.some(({ label }) => label !== '') ? await labelsOfKeys(db, tenant.id) : null;
  const baseOf = (budget: Budget) => (budget.month === month ? Math.max(startMs, budget.settled_to_ms) : startMs);
  const spent = new Map<string, Spent>();
  for (const [fromMs, same] of Map.groupBy(budgets, baseOf)) {
    const settledMs = Math.max(fromMs, finalMs);
    const final = await counted(db, tenant, { fromMs, toMs: settledMs }, { labels, withUnbilled: false });
    const open = await counted(db, tenant, { fromMs: settledMs, toMs: atMs }, { labels, withUnbilled: true });
    for (const budget of same) {
      const before = fromMs === startMs ? 0n : budget.settled_micros;
      const settledMicros = before + final(budget.label);
      spent.set(budget.id, {
        month,
        spent_micros: settledMicros + open(budget.label),
        spent_to_ms: atMs,
        settled_micros: settledMicros,
        settled_to_ms: settledMs,
      });
    }
  }
  return spent;
}

/** Up to where every hour is billed and every day earned. */
async function finalUntilMs(db: Db, tenant: Tenant, atMs: number): Promise<number> {
  const unbilledMs = await nextBillableMs(db, tenant.id, await billedToMs(db, tenant.id));
  const unearnedMs = await nextRecognitionMs(db, tenant);
  return Math.min(atMs, unbilledMs ?? atMs, unearnedMs === null ? atMs : unearnedMs - 1);
}

type Labels = ReadonlyMap<string, ReadonlySet<string>>;

/** Micros by a budget's label, of charges of times that ended in (fromMs, toMs]. */
async function counted(
  db: Db,
  tenant: Tenant,
  span: Span,
  { labels, withUnbilled }: { readonly labels: Labels | null; readonly withUnbilled: boolean },
): Promise<(label: string) => bigint> {
  if (labels === null) {
    const unbilled = withUnbilled ? await unbilledCosts(db, tenant, span.fromMs, span.toMs) : [];
    const costs = [...(await chargedCosts(db, tenant, span)), ...unbilled];
    const sum = costs.reduce((total, { costMicros }) => total + costMicros, 0n);
    return () => sum;
  }
  const split = await splitCosts(db, { tenant, endpointId: null, span, withUnbilled });
  return (label) => {
    if (label === '') return split.costMicros;
    let sum = 0n;
    for (const [key, { usedMicros, idleMicros }] of split.shares) {
      if (labels.get(key)?.has(label)) sum += usedMicros + idleMicros;
    }
    return sum;
  };
}

async function labelsOfKeys(db: Db, tenantId: string): Promise<Labels> {
  const rows = await db
    .selectFrom('api_keys')
    .select(['id', 'labels_json'])
    .where('tenant_id', '=', tenantId)
    .execute();
  return new Map(
    rows.map((row) => {
      const labels = Object.entries(JSON.parse(row.labels_json) as Record<string, string>);
      return [row.id, new Set(labels.map(([name, value]) => `${name}=${value}`))];
    }),
  );
}
