import { z } from 'zod';
import type { Row } from '../../store/schema.ts';
import { EpochMs, Id, Money, money } from '../schemas.ts';

export const Budget = z.object({
  budgetId: Id,
  tenantId: Id,
  label: z.string().nullable().describe('null: all that the tenant spends'),
  amount: Money.describe('For a calendar month of the tenant’s zone'),
  hardStop: z.boolean().describe('What is paid per token stops when it is spent'),
  month: z.string(),
  spent: Money.describe('In that month up to spentToMs, what is not billed yet included'),
  spentToMs: EpochMs,
  percent: z.number().describe('Spent of the amount'),
  stopped: z.boolean().describe('hardStop, and spent'),
});

export function budgetView(row: Row<'budgets'>, currency: string): z.output<typeof Budget> {
  const hardStop = row.hard_stop === 1;
  return {
    budgetId: row.id,
    tenantId: row.tenant_id,
    label: row.label === '' ? null : row.label,
    amount: money(row.amount_micros, currency),
    hardStop,
    month: row.month,
    spent: money(row.spent_micros, currency),
    spentToMs: row.spent_to_ms,
    percent: Number((row.spent_micros * 1000n) / row.amount_micros) / 10,
    stopped: hardStop && row.spent_micros >= row.amount_micros,
  };
}
