import { z } from 'zod';
import { scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { LIMIT_REQUEST_STATES, LimitRequest, limitRequestView } from './limits.ts';

export const limitList = defineVerb({
  name: 'limit.list',
  summary: 'Requests for limits by the minute, newest first: open ones and how the others were decided.',
  access: 'view',
  route: { method: 'GET', path: '/limit-requests' },
  input: z.strictObject({
    tenantId: TenantFilter,
    state: z.enum(LIMIT_REQUEST_STATES).optional(),
    ...PageInput,
  }),
  output: pageOf(LimitRequest),
  columns: ['requestId', 'tenantId', 'modelId', 'rpm', 'tpm', 'state', 'reason'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const { state } = input;
    const rows = await ctx.db
      .selectFrom('limit_requests')
      .selectAll()
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope ?? ''))
      .$if(state !== undefined, (query) => query.where('state', '=', state ?? 'open'))
      .$call(newestFirst(input, 'created_at_ms', 'id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.created_at_ms, id: row.id }));
    return { items: page.rows.map(limitRequestView), nextCursor: page.nextCursor };
  },
});
