import { z } from 'zod';
import { requireGroup, requireTenant, scopeOf } from '../internal.ts';
import { Id, Units } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Preview, previewView } from './preview.ts';
import { quoteResize } from './quote.ts';

export const orderPreviewResize = defineVerb({
  name: 'order.preview-resize',
  summary: 'What changing the units of a group costs or pays back. Nothing is done.',
  access: 'view',
  route: { method: 'GET', path: '/groups/{groupId}/resize-preview' },
  input: z.strictObject({ groupId: Id, units: Units }),
  output: Preview,
  async run({ ctx, input }) {
    return ctx.db.transaction().execute(async (trx) => {
      const askedAtMs = ctx.now();
      const group = await requireGroup(trx, scopeOf(ctx), input.groupId);
      const tenant = await requireTenant(trx, group.tenant_id);
      const quote = await quoteResize(trx, ctx, { tenant, group, units: input.units }, askedAtMs);
      return previewView(trx, ctx, tenant, { quotes: [quote], askedAtMs });
    });
  },
});
