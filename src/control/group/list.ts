import { z } from 'zod';
import { requireEndpoint, scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Group, GroupState, groupViews } from './schemas.ts';

export const groupList = defineVerb({
  name: 'group.list',
  summary: 'Instance groups, newest first.',
  access: 'view',
  route: { method: 'GET', path: '/groups' },
  input: z.strictObject({
    tenantId: TenantFilter,
    endpointId: Id.optional(),
    state: GroupState.optional(),
    ...PageInput,
  }),
  output: pageOf(Group),
  columns: ['groupId', 'endpointId', 'billingType', 'state', 'units', 'unitsReady', 'charge', 'term.expiresAtMs'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const { state } = input;
    const endpoint = input.endpointId === undefined ? null : await requireEndpoint(ctx.db, scope, input.endpointId);
    const rows = await ctx.db
      .selectFrom('instance_groups')
      .selectAll()
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
      .$if(endpoint !== null, (query) => query.where('endpoint_id', '=', endpoint?.id ?? ''))
      .$if(state !== undefined, (query) => query.where('state', '=', state ?? 'active'))
      .$call(newestFirst(input, 'created_at_ms', 'id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.created_at_ms, id: row.id }));
    return { items: await groupViews(ctx, ctx.db, page.rows), nextCursor: page.nextCursor };
  },
});
