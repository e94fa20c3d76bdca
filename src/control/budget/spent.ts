import { monthAt, monthOf } from '../../core/commerce/term.ts';
import type { Row } from '../../store/schema.ts';
import { chargedCosts, unbilledCosts } from '../chargeback/costs.ts';
import { splitCosts } from '../chargeback/split.ts';
import type { Db } from '../internal.ts';

export interface Spent {
  /** `YYYY-MM` */
  readonly month: string;
  /** Micros by budget. */
  readonly micros: ReadonlyMap<string, bigint>;
}

/**
 * What of a tenant's budgets is spent at an instant: the charges of times that ended in the month and what is not billed
 * yet. A label's part is that of its keys in the chargeback, idle share included. At a midnight that ends a month it is
 * that month's.
 */
export async function spentOf(
  db: Db,
  tenant: Row<'tenants'>,
  budgets: readonly Pick<Row<'budgets'>, 'id' | 'label'>[],
  atMs: number,
): Promise<Spent> {
  const month = monthAt(atMs - 1, tenant.zone);
  const span = { fromMs: monthOf(month, tenant.zone).fromMs, toMs: atMs };
  const micros = new Map<string, bigint>();
  const labelled = budgets.filter(({ label }) => label !== '');
  if (labelled.length > 0) {
    const split = await splitCosts(db, { tenant, endpointId: null, span, withUnbilled: true });
    const labels = await labelsOfKeys(db, tenant.id);
    for (const { id, label } of labelled) {
      let sum = 0n;
      for (const [key, { usedMicros, idleMicros }] of split.shares) {
        if (labels.get(key)?.has(label)) sum += usedMicros + idleMicros;
      }
      micros.set(id, sum);
    }
  }
  const whole = budgets.filter(({ label }) => label === '');
  if (whole.length > 0) {
    const costs = [
      ...(await chargedCosts(db, tenant, span)),
      ...(await unbilledCosts(db, tenant, span.fromMs, span.toMs)),
    ];
    const sum = costs.reduce((total, { costMicros }) => total + costMicros, 0n);
    for (const { id } of whole) micros.set(id, sum);
  }
  return { month, micros };
}

async function labelsOfKeys(db: Db, tenantId: string): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
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
