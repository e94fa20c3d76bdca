import { z } from 'zod';
import { requireGroup, scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { AddedUnit } from './schemas.ts';

export const scalingUnits = defineVerb({
  name: 'scaling.units',
  summary: 'Units that scaling added to a group: launched, billed, drained, released. Newest first.',
  access: 'view',
  route: { method: 'GET', path: '/groups/{groupId}/units' },
  input: z.strictObject({ groupId: Id, ...PageInput }),
  output: pageOf(AddedUnit),
  columns: ['unitId', 'state', 'launchedAtMs', 'readyAtMs', 'drainingAtMs', 'endedAtMs', 'failure'],
  async run({ ctx, input }) {
    const { id } = await requireGroup(ctx.db, scopeOf(ctx), input.groupId);
    const rows = await ctx.db
      .selectFrom('elastic_units')
      .selectAll()
      .where('group_id', '=', id)
      .$call(newestFirst(input, 'launched_at_ms', 'id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.launched_at_ms, id: row.id }));
    const items = page.rows.map((row) => ({
      unitId: row.id,
      groupId: row.group_id,
      replicaId: row.replica_id,
      state: row.state,
      launchedAtMs: row.launched_at_ms,
      readyAtMs: row.ready_at_ms,
      drainingAtMs: row.draining_at_ms,
      endedAtMs: row.ended_at_ms,
      failure: row.failure,
    }));
    return { items, nextCursor: page.nextCursor };
  },
});
