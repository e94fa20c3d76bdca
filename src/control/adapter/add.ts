import { z } from 'zod';
import type { Catalog } from '../../catalog/schema.ts';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { invalidField } from '../input.ts';
import { holdEndpoint, requireEndpoint, scopeOf } from '../internal.ts';
import { requireOwnModel } from '../model/own.ts';
import { Id, TenantFilter } from '../schemas.ts';
import { defineVerb, type Trx } from '../verb.ts';
import { adapterView, attachedAdapters, EndpointAdapter } from './schemas.ts';

/** Of one endpoint: its units load what requests ask for, so many more would only displace each other. */
const ADAPTERS_PER_ENDPOINT_MAX = 100;

export const adapterAdd = defineVerb({
  name: 'adapter.add',
  summary: 'Have an endpoint answer with a LoRA adapter of yours: requests then say ENDPOINT:NAME as model.',
  access: 'manage_endpoints',
  route: { method: 'POST', path: '/endpoints/{endpointId}/adapters' },
  input: z.strictObject({
    endpointId: Id.describe('Id or name'),
    modelId: Id.describe('A registered adapter, by id or name'),
    tenantId: TenantFilter,
  }),
  output: EndpointAdapter,
  async run({ ctx, input }) {
    const answer = await ctx.transaction(async (trx) => {
      const endpoint = await requireEndpoint(trx, scopeOf(ctx, input), input.endpointId);
      await holdEndpoint(trx, endpoint.id);
      const model = await requireOwnModel(trx, endpoint.tenant_id, input.modelId);
      await checkFits(trx, ctx.catalog, endpoint, model);
      const attached = await attachedAdapters(trx, endpoint.id);
      if (attached.length >= ADAPTERS_PER_ENDPOINT_MAX) {
        throw new CubitError('conflict', `This endpoint has ${attached.length} adapters, which is all it may have.`);
      }
      await trx
        .insertInto('endpoint_adapters')
        .values({
          endpoint_id: endpoint.id,
          model_id: model.id,
          tenant_id: endpoint.tenant_id,
          created_at_ms: ctx.now(),
        })
        .onConflict((conflict) => conflict.columns(['endpoint_id', 'model_id']).doNothing())
        .execute();
      const { id: subject, tenant_id: tenantId } = endpoint;
      await audit(trx, ctx, { verb: 'adapter.add', subject, tenantId, detail: { modelId: model.id } });
      const row = (await attachedAdapters(trx, endpoint.id)).find(({ id }) => id === model.id);
      return adapterView(endpoint, row!);
    });
    ctx.changed();
    return answer;
  },
});

/** The endpoint serves the base with units of its own, on an engine that reads the adapter's format. */
async function checkFits(
  trx: Trx,
  catalog: Catalog,
  endpoint: Row<'endpoints'>,
  model: Row<'own_models'>,
): Promise<void> {
  if (model.kind !== 'lora') throw invalidField('modelId', `${model.name} is a whole model, no adapter`);
  if (endpoint.access_mode === 'pay_per_token') {
    throw invalidField('endpointId', 'a shared pool serves no adapters: they need model units of your own');
  }
  const served = await trx.selectFrom('served_models').selectAll().where('endpoint_id', '=', endpoint.id).execute();
  const base = served.filter((row) => row.model_id === model.base_model_id);
  if (base.length === 0) {
    throw invalidField('modelId', `it was made for ${model.base_model_id}, which ${endpoint.name} does not serve`);
  }
  for (const { template_id } of base) {
    const kind = catalog.templates.get(template_id)?.engine.kind;
    if (kind === 'llama' && model.format !== 'gguf') {
      throw invalidField(
        'modelId',
        `the engine of ${template_id} reads adapters as GGUF files; convert it and register it again`,
      );
    }
    if (kind === 'openai-http' && model.format !== 'peft') {
      throw invalidField(
        'modelId',
        `the servers of ${template_id} read adapters in PEFT’s layout; register its folder`,
      );
    }
  }
}
