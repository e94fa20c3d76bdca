import { z } from 'zod';
import { move } from '../../core/commerce/ledger.ts';
import { parseMicros } from '../../core/commerce/money.ts';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import { balanceMicros, post } from '../../store/ledger.ts';
import { invalidField } from '../input.ts';
import { requireTenant } from '../internal.ts';
import { noteCredit } from '../overdue/overdue.ts';
import { Id, Money, money } from '../schemas.ts';
import { defineVerb } from '../verb.ts';

const TOP_UP_MICROS_MAX = parseMicros('1000000000');
/** Far below what a 64-bit sum of a ledger can hold. */
const BALANCE_MICROS_MAX = parseMicros('999999999999');

export const walletTopUp = defineVerb({
  name: 'wallet.top-up',
  summary: "Book money that came in to a tenant's wallet. Under one reference or Idempotency-Key it is booked once.",
  access: 'operate',
  route: { method: 'POST', path: '/wallet/top-ups' },
  input: z.strictObject({
    tenantId: Id,
    amount: z
      .string()
      .regex(/^\d{1,10}(\.\d{1,6})?$/, 'a decimal number with at most 6 decimals, as in "100" or "12.50"')
      .describe('In the currency of the wallet'),
    reference: z.string().trim().min(1).max(200).optional().describe('Number of the payment'),
  }),
  output: z.object({ tenantId: Id, transactionId: Id, amount: Money, balance: Money }),
  async run({ ctx, input }) {
    const { tenantId, reference } = input;
    const amountMicros = parseMicros(input.amount);
    if (amountMicros <= 0n) throw invalidField('amount', 'has to be more than 0');
    if (amountMicros > TOP_UP_MICROS_MAX) throw invalidField('amount', 'at most 1000000000 at a time');
    const answer = await ctx.transaction(async (trx) => {
      const { currency } = await requireTenant(trx, tenantId);
      const { transactionId, created } = await post(trx, ctx, {
        tenantId,
        kind: 'top_up',
        idempotencyKey: `top-up:${tenantId}:${onceBy(ctx, reference)}`,
        memo: reference ?? 'Top-up',
        bookedAtMs: ctx.now(),
        entries: move(amountMicros, 'cash', 'wallet'),
      });
      const balance = await balanceMicros(trx, tenantId);
      if (balance > BALANCE_MICROS_MAX) throw new CubitError('conflict', 'No wallet holds that much.');
      if (created) {
        await noteCredit(trx, ctx, tenantId, ctx.now());
        const detail = { transactionId, amountMicros, ...(reference === undefined ? {} : { reference }) };
        await audit(trx, ctx, { verb: 'wallet.top-up', subject: tenantId, tenantId, detail });
      }
      return { tenantId, transactionId, amount: money(amountMicros, currency), balance: money(balance, currency) };
    });
    // What was suspended serves again.
    ctx.changed();
    return answer;
  },
});

/** What makes this top-up the same one when it is sent again; without any of it each call is its own. */
function onceBy(ctx: { idempotencyKey: string | null; requestId: string }, reference: string | undefined): string {
  if (reference !== undefined) return `reference:${reference}`;
  return ctx.idempotencyKey === null ? `request:${ctx.requestId}` : `key:${ctx.idempotencyKey}`;
}
