import { z } from 'zod';
import { requireTenant } from '../internal.ts';
import { Id, TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';
import { quotasOf } from './quota.ts';
import { Quota } from './schemas.ts';

export const quotaList = defineVerb({
  name: 'quota.list',
  summary: 'How many units of each template a tenant may hold, and how many it holds.',
  access: 'view',
  route: { method: 'GET', path: '/quotas' },
  input: z.strictObject({ tenantId: TenantId, templateId: Id.optional().describe('Only this one') }),
  output: z.strictObject({ items: z.array(Quota), nextCursor: z.null() }),
  columns: ['templateId', 'limitUnits', 'usedUnits', 'headroomUnits', 'freeUnits', 'source'],
  async run({ ctx, input }) {
    const { id } = await requireTenant(ctx.db, tenantOf(ctx, input));
    // One moment for limits and units.
    const quotas = await ctx.db.transaction().execute((trx) => quotasOf(trx, ctx, id));
    const forSale = ctx.catalog.priceBook.prices.map((price) => price.templateId);
    const items = [...new Set([...forSale, ...quotas.templateIds])]
      .filter((templateId) => input.templateId === undefined || templateId === input.templateId)
      .toSorted()
      .map((templateId) => quotas.of(templateId));
    return { items, nextCursor: null };
  },
});
