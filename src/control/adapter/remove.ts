import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { notFound, requireEndpoint, scopeOf } from '../internal.ts';
import { Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { adapterView, attachedAdapters, EndpointAdapter } from './schemas.ts';

export const adapterRemove = defineVerb({
  name: 'adapter.remove',
  summary: 'Take an adapter off an endpoint. Requests that run on it end by themselves.',
  access: 'manage_endpoints',
  route: { method: 'DELETE', path: '/endpoints/{endpointId}/adapters/{modelId}' },
  input: z.strictObject({
    endpointId: Id.describe('Id or name'),
    modelId: Id.describe('The adapter, by id or name'),
    tenantId: TenantFilter,
  }),
  output: EndpointAdapter,
  async run({ ctx, input }) {
    const answer = await ctx.transaction(async (trx) => {
      const endpoint = await requireEndpoint(trx, scopeOf(ctx, input), input.endpointId);
      const attached = await attachedAdapters(trx, endpoint.id);
      const row = attached.find(({ id, name }) => id === input.modelId || name === input.modelId);
      if (row === undefined) throw notFound('adapter', input.modelId);
      await trx
        .deleteFrom('endpoint_adapters')
        .where('endpoint_id', '=', endpoint.id)
        .where('model_id', '=', row.id)
        .execute();
      const { id: subject, tenant_id: tenantId } = endpoint;
      await audit(trx, ctx, { verb: 'adapter.remove', subject, tenantId, detail: { modelId: row.id } });
      return adapterView(endpoint, row);
    });
    ctx.changed();
    return answer;
  },
});
