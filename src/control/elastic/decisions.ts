import { z } from 'zod';
import { requireGroup, scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Decision } from './schemas.ts';

export const scalingDecisions = defineVerb({
  name: 'scaling.decisions',
  summary: 'Every change that scaling made to groups, and why. Newest first.',
  access: 'view',
  route: { method: 'GET', path: '/scaling/decisions' },
  input: z.strictObject({ tenantId: TenantFilter, groupId: Id.optional(), ...PageInput }),
  output: pageOf(Decision),
  columns: ['atMs', 'groupId', 'unitsBefore', 'unitsAfter', 'sentence'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const { groupId } = input;
    if (groupId !== undefined) await requireGroup(ctx.db, scope, groupId);
    const rows = await ctx.db
      .selectFrom('scaling_decisions')
      .selectAll()
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
      .$if(groupId !== undefined, (query) => query.where('group_id', '=', groupId ?? ''))
      .$call(newestFirst(input, 'at_ms', 'id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.at_ms, id: row.id }));
    const items = page.rows.map((row) => ({
      decisionId: row.id,
      groupId: row.group_id,
      atMs: row.at_ms,
      unitsBefore: row.units_before,
      unitsAfter: row.units_after,
      cause: row.cause,
      sentence: row.sentence,
      inputs: JSON.parse(row.inputs_json) as Record<string, number>,
    }));
    return { items, nextCursor: page.nextCursor };
  },
});
