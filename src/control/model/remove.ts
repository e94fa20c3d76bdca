import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import { notFound, scopeOf } from '../internal.ts';
import { Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { OwnModel, ownModelView, requireOwnModel } from './own.ts';

export const modelRemove = defineVerb({
  name: 'model.remove',
  summary: 'Remove a model of your own that no endpoint uses. Its file stays where it was registered from.',
  access: 'manage_endpoints',
  route: { method: 'DELETE', path: '/own-models/{modelId}' },
  input: z.strictObject({ modelId: Id.describe('Id or name'), tenantId: TenantFilter }),
  output: OwnModel,
  async run({ ctx, input }) {
    return ctx.transaction(async (trx) => {
      const { id } = await requireOwnModel(trx, scopeOf(ctx, input), input.modelId);
      const removed = await trx
        .updateTable('own_models')
        .set({ removed_at_ms: ctx.now() })
        .where('id', '=', id)
        .where('removed_at_ms', 'is', null)
        .returningAll()
        .executeTakeFirst();
      if (removed === undefined) throw notFound('model', input.modelId);
      const used = await trx
        .selectFrom('endpoint_adapters')
        .innerJoin('endpoints', 'endpoints.id', 'endpoint_adapters.endpoint_id')
        .select('endpoints.name')
        .where('model_id', '=', id)
        .where('endpoints.deleted_at_ms', 'is', null)
        .execute();
      const served = await trx
        .selectFrom('served_models')
        .innerJoin('endpoints', 'endpoints.id', 'served_models.endpoint_id')
        .select('endpoints.name')
        .where('own_model_id', '=', id)
        .where('endpoints.deleted_at_ms', 'is', null)
        .execute();
      if (used.length + served.length > 0) {
        const names = [...used, ...served].map(({ name }) => name).join(', ');
        throw new CubitError(
          'conflict',
          `It answers on ${names}. Take it off there first (adapter.remove), or delete the endpoint.`,
        );
      }
      await audit(trx, ctx, { verb: 'model.remove', subject: id, tenantId: removed.tenant_id, detail: {} });
      return ownModelView(removed);
    });
  },
});
