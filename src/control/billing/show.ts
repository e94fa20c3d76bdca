import { z } from 'zod';
import { scopeOf } from '../internal.ts';
import { Count, Id, Money, money } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { billDetail } from './detail.ts';
import { Bill, billView, Correction, correctionView, Line } from './schemas.ts';

export const billShow = defineVerb({
  name: 'bill.show',
  summary: 'One bill, line by line, with its arithmetic and the notes that correct it.',
  access: 'read',
  route: { method: 'GET', path: '/bills/{billId}' },
  input: z.strictObject({ billId: Id }),
  output: Bill.extend({
    lines: z.array(
      Line.extend({
        unitSecondsTotal: Count.describe("Since the group's start"),
        amountTotal: Money.describe("Since the group's start: lines are differences of these"),
      }),
    ),
    corrections: z.array(Correction).describe('The bill itself is never changed'),
  }),
  async run({ ctx, input }) {
    const { bill, lines, corrections } = await billDetail(ctx.db, scopeOf(ctx), input.billId);
    return {
      ...billView(bill),
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
