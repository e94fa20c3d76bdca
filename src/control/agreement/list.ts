import { z } from 'zod';
import { scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Acceptance, acceptanceView } from './schemas.ts';

export const agreementList = defineVerb({
  name: 'agreement.list',
  summary: 'Who accepted which version of the agreement and when, newest first.',
  access: 'view',
  route: { method: 'GET', path: '/agreement/acceptances' },
  input: z.strictObject({ tenantId: TenantFilter, ...PageInput }),
  output: pageOf(Acceptance),
  columns: ['acceptedAtMs', 'tenantId', 'version', 'actor', 'sha256'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const rows = await ctx.db
      .selectFrom('agreement_acceptances')
      .selectAll()
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
      .$call(newestFirst(input, 'created_at_ms', 'id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.created_at_ms, id: row.id }));
    return { items: page.rows.map(acceptanceView), nextCursor: page.nextCursor };
  },
});
