import { z } from 'zod';
import { endpointIdOf, scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Order, OrderStates, orderView } from './schemas.ts';

export const orderList = defineVerb({
  name: 'order.list',
  summary: 'Orders, newest first.',
  access: 'view',
  route: { method: 'GET', path: '/orders' },
  input: z.strictObject({
    tenantId: TenantFilter,
    endpointId: Id.optional().describe('Only this endpoint, by id or name'),
    groupId: Id.optional(),
    state: OrderStates.optional(),
    ...PageInput,
  }),
  output: pageOf(Order),
  columns: ['orderId', 'kind', 'billingType', 'groupId', 'units', 'months', 'amount', 'state', 'failure'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const { groupId, state } = input;
    const endpointId = await endpointIdOf(ctx.db, scope, input.endpointId);
    const rows = await ctx.db
      .selectFrom('orders')
      .innerJoin('tenants', 'tenants.id', 'orders.tenant_id')
      .selectAll('orders')
      .select('tenants.currency')
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
      .$if(endpointId !== undefined, (query) => query.where('endpoint_id', '=', endpointId ?? ''))
      .$if(groupId !== undefined, (query) => query.where('group_id', '=', groupId ?? ''))
      .$if(state !== undefined, (query) => query.where('state', '=', state ?? ''))
      .$call(newestFirst(input, 'orders.created_at_ms', 'orders.id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.created_at_ms, id: row.id }));
    return { items: page.rows.map((row) => orderView(row, row.currency)), nextCursor: page.nextCursor };
  },
});
