import { z } from 'zod';
import { notFound, scopeOf } from '../internal.ts';
import { Count, Id, Money, money } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Bill, billView, Line } from './schemas.ts';

export const billShow = defineVerb({
  name: 'bill.show',
  summary: 'One bill, line by line, with its arithmetic.',
  access: 'view_money',
  route: { method: 'GET', path: '/bills/{billId}' },
  input: z.strictObject({ billId: Id }),
  output: Bill.extend({
    lines: z.array(
      Line.extend({
        unitSecondsTotal: Count.describe("Since the group's start"),
        amountTotal: Money.describe("Since the group's start: lines are differences of these"),
      }),
    ),
  }),
  async run({ ctx, input }) {
    const scope = scopeOf(ctx);
    const bill = await ctx.db
      .selectFrom('bills')
      .selectAll()
      .where('id', '=', input.billId)
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
      .executeTakeFirst();
    if (bill === undefined) throw notFound('bill', input.billId);
    const lines = await ctx.db
      .selectFrom('bill_lines')
      .selectAll()
      .where('bill_id', '=', bill.id)
      .orderBy('id')
      .execute();
    return {
      ...billView(bill),
      lines: lines.map((line) => ({
        groupId: line.group_id,
        unitSeconds: line.unit_seconds,
        amount: money(line.amount_micros, bill.currency),
        priceVersions: line.price_versions?.split(' ') ?? [],
        arithmetic: line.arithmetic,
        unitSecondsTotal: line.unit_seconds_total,
        amountTotal: money(line.amount_total_micros, bill.currency),
      })),
    };
  },
});
