import { z } from 'zod';
import { requireGroup, scopeOf } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Group, groupViews } from './schemas.ts';

export const groupShow = defineVerb({
  name: 'group.show',
  summary: 'One instance group: its units, term, price and charge so far.',
  access: 'view',
  route: { method: 'GET', path: '/groups/{groupId}' },
  input: z.strictObject({ groupId: Id }),
  output: Group,
  async run({ ctx, input }) {
    const row = await requireGroup(ctx.db, scopeOf(ctx), input.groupId);
    const [view] = await groupViews(ctx, ctx.db, [row]);
    return view!;
  },
});
