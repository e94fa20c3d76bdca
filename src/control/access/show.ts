import { z } from 'zod';
import { requireTenant } from '../internal.ts';
import { TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';
import { decidedAccess } from './access.ts';
import { Access, accessView, Feature } from './schemas.ts';

export const accessShow = defineVerb({
  name: 'access.show',
  summary: 'Whether a tenant may buy units.',
  access: 'view',
  route: { method: 'GET', path: '/access' },
  input: z.strictObject({ tenantId: TenantId, feature: Feature.default('model_units') }),
  output: Access,
  async run({ ctx, input }) {
    const { id } = await requireTenant(ctx.db, tenantOf(ctx, input));
    return accessView(ctx, id, input.feature, await decidedAccess(ctx.db, id, input.feature));
  },
});
