import { z } from 'zod';
import { requireGroup, requireTenant, scopeOf } from '../internal.ts';
import { Id, Months } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Preview, previewView } from './preview.ts';
import { quoteRenew } from './quote.ts';

export const orderPreviewRenew = defineVerb({
  name: 'order.preview-renew',
  summary: 'What more months of a prepaid group cost and when its term ends then. Nothing is done.',
  access: 'read',
  route: { method: 'GET', path: '/groups/{groupId}/renew-preview' },
  input: z.strictObject({ groupId: Id, months: Months.default(1) }),
  output: Preview,
  async run({ ctx, input }) {
    return ctx.db.transaction().execute(async (trx) => {
      const askedAtMs = ctx.now();
      const group = await requireGroup(trx, scopeOf(ctx), input.groupId);
      const tenant = await requireTenant(trx, group.tenant_id);
      const quote = await quoteRenew(trx, ctx, { tenant, group, months: input.months }, askedAtMs);
      return previewView(trx, ctx, tenant, { quotes: [quote], askedAtMs });
    });
  },
});
