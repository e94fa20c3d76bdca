import { z } from 'zod';
import { notFound, scopeOf } from '../internal.ts';
import { Count, Id, Money, money } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Bill, billView, Line, TokenLine } from './schemas.ts';

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
    tokenLines: z
      .array(
        TokenLine.extend({ amountTotal: Money.describe("Since the endpoint's start: lines are differences of these") }),
      )
      .describe('Of endpoints that are paid by the token'),
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
    const tokenLines = await ctx.db
      .selectFrom('token_lines')
      .selectAll()
      .where('bill_id', '=', bill.id)
      .orderBy('id')
      .execute();
    return {
      ...billView(bill),
      tokenLines: tokenLines.map((line) => ({
        endpointId: line.endpoint_id,
        modelId: line.model_id,
        requests: line.requests,
        lateRequests: line.late_requests,
        inputTokens: line.input_tokens,
        cachedTokens: line.cached_tokens,
        outputTokens: line.output_tokens,
        amount: money(line.amount_micros, bill.currency),
        arithmetic: line.arithmetic,
        amountTotal: money(line.amount_total_micros, bill.currency),
      })),
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
