import { z } from 'zod';
import { requireEndpoint, scopeOf } from '../internal.ts';
import { pageOf } from '../page.ts';
import { Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { adapterView, attachedAdapters, EndpointAdapter } from './schemas.ts';

export const adapterList = defineVerb({
  name: 'adapter.list',
  summary: 'The LoRA adapters that an endpoint answers with.',
  access: 'view',
  route: { method: 'GET', path: '/endpoints/{endpointId}/adapters' },
  input: z.strictObject({ endpointId: Id.describe('Id or name'), tenantId: TenantFilter }),
  output: pageOf(EndpointAdapter),
  columns: ['callAs', 'modelId', 'baseModelId', 'rank'],
  async run({ ctx, input }) {
    const endpoint = await requireEndpoint(ctx.db, scopeOf(ctx, input), input.endpointId);
    const rows = await attachedAdapters(ctx.db, endpoint.id);
    return { items: rows.map((row) => adapterView(endpoint, row)), nextCursor: null };
  },
});
