import { z } from 'zod';
import { scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Application, ApplicationKind, ApplicationStates, applicationView } from './schemas.ts';

export const applicationList = defineVerb({
  name: 'application.list',
  summary: 'What tenants applied for (quota, access) and what became of it, newest first.',
  access: 'view',
  route: { method: 'GET', path: '/applications' },
  input: z.strictObject({
    tenantId: TenantFilter,
    kind: ApplicationKind.optional(),
    state: ApplicationStates.optional(),
    ...PageInput,
  }),
  output: pageOf(Application),
  columns: ['applicationId', 'tenantId', 'kind', 'about', 'units', 'grantedUnits', 'state', 'createdAtMs', 'reason'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const { kind, state } = input;
    const rows = await ctx.db
      .selectFrom('applications')
      .selectAll()
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
      .$if(kind !== undefined, (query) => query.where('kind', '=', kind ?? 'quota'))
      .$if(state !== undefined, (query) => query.where('state', '=', state ?? 'pending'))
      .$call(newestFirst(input, 'created_at_ms', 'id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.created_at_ms, id: row.id }));
    return { items: page.rows.map(applicationView), nextCursor: page.nextCursor };
  },
});
