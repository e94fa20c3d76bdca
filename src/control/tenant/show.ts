import { z } from 'zod';
import { requireTenant, scopeOf } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Tenant, tenantView } from './schemas.ts';

export const tenantShow = defineVerb({
  name: 'tenant.show',
  summary: 'One tenant.',
  access: 'view',
  route: { method: 'GET', path: '/tenants/{tenantId}' },
  input: z.strictObject({ tenantId: Id }),
  output: Tenant,
  async run({ ctx, input }) {
    scopeOf(ctx, input);
    return tenantView(await requireTenant(ctx.db, input.tenantId));
  },
});
