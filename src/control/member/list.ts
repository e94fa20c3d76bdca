import { z } from 'zod';
import { scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Member, memberView, selectMembers } from './schemas.ts';

export const memberList = defineVerb({
  name: 'member.list',
  summary: 'People of a tenant, newest first; those who were removed with removed=true.',
  access: 'view_people',
  route: { method: 'GET', path: '/members' },
  input: z.strictObject({
    tenantId: TenantFilter,
    removed: z.boolean().default(false).describe('Those who were removed instead'),
    ...PageInput,
  }),
  output: pageOf(Member),
  columns: ['memberId', 'email', 'name', 'role'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const rows = await selectMembers(ctx.db)
      .where('tenant_id', 'is not', null)
      .where('removed_at_ms', input.removed ? 'is not' : 'is', null)
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
      .$call(newestFirst(input, 'memberships.created_at_ms', 'memberships.id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.created_at_ms, id: row.id }));
    return { items: page.rows.map(memberView), nextCursor: page.nextCursor };
  },
});
