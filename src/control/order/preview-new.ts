import { z } from 'zod';
import { scopeOf } from '../internal.ts';
import { defineVerb } from '../verb.ts';
import { NewOrderInput, orderedModel } from './new.ts';
import { Preview, previewView } from './preview.ts';
import { quoteNew } from './quote.ts';

export const orderPreviewNew = defineVerb({
  name: 'order.preview-new',
  summary: 'What another group of units would cost, and its term. Nothing is done.',
  access: 'view',
  route: { method: 'GET', path: '/endpoints/{endpointId}/order-preview' },
  input: z.strictObject(NewOrderInput),
  output: Preview,
  async run({ ctx, input }) {
    return ctx.db.transaction().execute(async (trx) => {
      const askedAtMs = ctx.now();
      const { tenant, served } = await orderedModel(trx, ctx, scopeOf(ctx, input), input);
      const quote = await quoteNew(trx, ctx, { ...input, tenant, templateId: served.template_id }, askedAtMs);
      return previewView(trx, ctx, tenant, { quotes: [quote], askedAtMs });
    });
  },
});
