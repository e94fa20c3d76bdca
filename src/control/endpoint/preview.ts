import { z } from 'zod';
import { requireTenant } from '../internal.ts';
import { Preview, previewView } from '../order/preview.ts';
import { TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';
import { chooseModels } from './choose.ts';
import { quoteModels, WantedModels } from './create.ts';

export const endpointPreview = defineVerb({
  name: 'endpoint.preview',
  summary: 'What an endpoint with its first units would cost. Nothing is done.',
  access: 'view',
  route: { method: 'POST', path: '/endpoint-previews' },
  input: z.strictObject({ tenantId: TenantId, models: WantedModels }),
  output: Preview,
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    const chosen = chooseModels(ctx.catalog, ctx.fleet, input.models);
    return ctx.db.transaction().execute(async (trx) => {
      const askedAtMs = ctx.now();
      const tenant = await requireTenant(trx, tenantId);
      const quotes = await quoteModels(trx, ctx, { tenant, chosen, wanted: input.models }, askedAtMs);
      return previewView(trx, ctx, tenant, { quotes, askedAtMs });
    });
  },
});
