import { z } from 'zod';
import { requireTenant, scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { OwnModel, ownModelView } from './own.ts';

export const modelRegistered = defineVerb({
  name: 'model.registered',
  summary: 'Your own models, newest first.',
  access: 'view',
  route: { method: 'GET', path: '/own-models' },
  input: z.strictObject({ tenantId: TenantFilter, baseModelId: Id.optional(), ...PageInput }),
  output: pageOf(OwnModel),
  columns: ['modelId', 'name', 'kind', 'baseModelId', 'rank', 'bytes'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    if (scope !== null) await requireTenant(ctx.db, scope);
    const { baseModelId } = input;
    const rows = await ctx.db
      .selectFrom('own_models')
      .selectAll()
      .where('removed_at_ms', 'is', null)
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope ?? ''))
      .$if(baseModelId !== undefined, (query) => query.where('base_model_id', '=', baseModelId ?? ''))
      .$call(newestFirst(input, 'created_at_ms', 'id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.created_at_ms, id: row.id }));
    return { items: page.rows.map(ownModelView), nextCursor: page.nextCursor };
  },
});
