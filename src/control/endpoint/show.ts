import { z } from 'zod';
import { requireEndpoint, scopeOf } from '../internal.ts';
import { Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Endpoint, endpointViews } from './schemas.ts';

export const endpointShow = defineVerb({
  name: 'endpoint.show',
  summary: 'One endpoint with its models and live groups.',
  access: 'view',
  route: { method: 'GET', path: '/endpoints/{endpointId}' },
  input: z.strictObject({ endpointId: Id.describe('Id or name'), tenantId: TenantFilter }),
  output: Endpoint,
  async run({ ctx, input }) {
    const row = await requireEndpoint(ctx.db, scopeOf(ctx, input), input.endpointId);
    const [view] = await endpointViews(ctx, ctx.db, [row]);
    return view!;
  },
});
