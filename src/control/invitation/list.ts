import { z } from 'zod';
import { scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Invitation, invitationView } from './schemas.ts';

export const invitationList = defineVerb({
  name: 'invitation.list',
  summary: 'Invitations and what became of them, newest first.',
  access: 'view_people',
  route: { method: 'GET', path: '/invitations' },
  input: z.strictObject({ tenantId: TenantFilter, ...PageInput }),
  output: pageOf(Invitation),
  columns: ['invitationId', 'email', 'role', 'state', 'expiresAtMs', 'invitedBy'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const rows = await ctx.db
      .selectFrom('invitations')
      .selectAll()
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
      .$call(newestFirst(input, 'created_at_ms', 'id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.created_at_ms, id: row.id }));
    return { items: page.rows.map((row) => invitationView(row, ctx.now())), nextCursor: page.nextCursor };
  },
});
