import { z } from 'zod';
import { Operator, operatorView, selectMembers } from '../member/schemas.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { defineVerb } from '../verb.ts';

export const operatorList = defineVerb({
  name: 'operator.list',
  summary:
    'Operators by name, newest first, removed ones included. The operator token of the data folder is beside them.',
  access: 'operate',
  route: { method: 'GET', path: '/operators' },
  input: z.strictObject({ ...PageInput }),
  output: pageOf(Operator),
  columns: ['memberId', 'email', 'name', 'removedAtMs'],
  async run({ ctx, input }) {
    const rows = await selectMembers(ctx.db)
      .where('tenant_id', 'is', null)
      .$call(newestFirst(input, 'memberships.created_at_ms', 'memberships.id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.created_at_ms, id: row.id }));
    return { items: page.rows.map(operatorView), nextCursor: page.nextCursor };
  },
});
