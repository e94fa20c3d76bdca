import { z } from 'zod';
import { scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Channel, channelView } from './schemas.ts';

export const channelList = defineVerb({
  name: 'channel.list',
  summary: 'Where notices are sent, newest first.',
  access: 'manage_notices',
  route: { method: 'GET', path: '/channels' },
  input: z.strictObject({ tenantId: TenantFilter, ...PageInput }),
  output: pageOf(Channel),
  columns: ['channelId', 'kind', 'state', 'name', 'webhookUrl', 'recipients'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const rows = await ctx.db
      .selectFrom('channels')
      .selectAll()
      .where('state', '!=', 'removed')
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope ?? ''))
      .$call(newestFirst(input, 'created_at_ms', 'id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.created_at_ms, id: row.id }));
    return { items: page.rows.map(channelView), nextCursor: page.nextCursor };
  },
});
