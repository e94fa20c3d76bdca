import { z } from 'zod';
import { requireGroup, requireTenant, scopeOf } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Preview, previewView } from './preview.ts';
import { quoteUnsubscribe } from './quote.ts';

export const orderPreviewUnsubscribe = defineVerb({
  name: 'order.preview-unsubscribe',
  summary: 'What ending a group now pays back and what penalty is kept. Nothing is done.',
  access: 'view',
  route: { method: 'GET', path: '/groups/{groupId}/unsubscribe-preview' },
  input: z.strictObject({ groupId: Id }),
  output: Preview,
  async run({ ctx, input }) {
    return ctx.db.transaction().execute(async (trx) => {
      const askedAtMs = ctx.now();
      const group = await requireGroup(trx, scopeOf(ctx), input.groupId);
      const tenant = await requireTenant(trx, group.tenant_id);
      const quote = await quoteUnsubscribe(trx, ctx, { tenant, group }, askedAtMs);
      return previewView(trx, ctx, tenant, { quotes: [quote], askedAtMs });
    });
  },
});
