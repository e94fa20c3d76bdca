import { z } from 'zod';
import { requireTenant } from '../internal.ts';
import { livePools } from '../pool/pools.ts';
import { TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';
import { Limit } from './limits.ts';

export const limitShow = defineVerb({
  name: 'limit.show',
  summary: 'What a tenant may send a minute to each model that is paid by the token.',
  access: 'view',
  route: { method: 'GET', path: '/limits' },
  input: z.strictObject({ tenantId: TenantId }),
  output: z.object({ items: z.array(Limit) }),
  columns: ['modelId', 'rpm', 'tpm', 'own'],
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    await requireTenant(ctx.db, tenantId);
    const rows = await ctx.db.selectFrom('token_limits').selectAll().where('tenant_id', '=', tenantId).execute();
    const own = new Map(rows.map((row) => [row.model_id, row]));
    const items = (await livePools(ctx.db)).map((pool) => {
      const limits = own.get(pool.model_id);
      const { requests_per_minute: rpm, tokens_per_minute: tpm } = limits ?? pool;
      return { tenantId, modelId: pool.model_id, rpm, tpm, own: limits !== undefined };
    });
    return { items };
  },
});
