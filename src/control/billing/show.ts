import { z } from 'zod';
import { scopeOf } from '../internal.ts';
import { Count, Id, Money, money } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { billDetail } from './detail.ts';
import { Bill, billView, Correction, correctionView, Line, TokenLine } from './schemas.ts';

export const billShow = defineVerb({
  name: 'bill.show',
  summary: 'One bill, line by line, with its arithmetic and the notes that correct it.',
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
    corrections: z.array(Correction).describe('The bill itself is never changed'),
  }),
  async run({ ctx, input }) {
    const { bill, lines, tokenLines, corrections } = await billDetail(ctx.db, scopeOf(ctx), input.billId);
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
        arithmetic: line.arithmetic,
        priceVersions: [...line.priceVersions],
        unitSecondsTotal: line.unit_seconds_total,
        amountTotal: money(line.amount_total_micros, bill.currency),
      })),
      corrections: corrections.map((row) => correctionView(row, bill.currency)),
    };
  },
});
