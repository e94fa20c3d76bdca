import { z } from 'zod';
import { requireEndpoint, scopeOf } from '../internal.ts';
import { Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { OverflowView, overflowView } from './schemas.ts';

export const overflowShow = defineVerb({
  name: 'overflow.show',
  summary: 'What becomes of requests that an endpoint has no place for, and what spilling has cost in this period.',
  access: 'view',
  route: { method: 'GET', path: '/endpoints/{endpointId}/overflow' },
  input: z.strictObject({ endpointId: Id.describe('Id or name'), tenantId: TenantFilter }),
  output: OverflowView,
  async run({ ctx, input }) {
    const row = await requireEndpoint(ctx.db, scopeOf(ctx, input), input.endpointId);
    return overflowView(ctx.db, row, ctx.now());
  },
});
