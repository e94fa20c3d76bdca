import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { notFound, scopeOf } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';

export const budgetRemove = defineVerb({
  name: 'budget.remove',
  summary: 'Remove a budget: no more notices of it, and nothing stops for it.',
  access: 'pay',
  route: { method: 'DELETE', path: '/budgets/{budgetId}' },
  input: z.strictObject({ budgetId: Id }),
  output: z.object({ budgetId: Id }),
  async run({ ctx, input }) {
    const scope = scopeOf(ctx);
    return ctx.transaction(async (trx) => {
      const removed = await trx
        .deleteFrom('budgets')
        .where('id', '=', input.budgetId)
        .$if(scope !== null, (query) => query.where('tenant_id', '=', scope ?? ''))
        .returningAll()
        .executeTakeFirst();
      if (removed === undefined) throw notFound('budget', input.budgetId);
      const { id: budgetId, tenant_id: tenantId, label, amount_micros: amountMicros } = removed;
      await audit(trx, ctx, { verb: 'budget.remove', subject: budgetId, tenantId, detail: { label, amountMicros } });
      return { budgetId };
    });
  },
});
