import { z } from 'zod';
import { scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Delivery, DeliveryState } from './schemas.ts';

export const deliveryList = defineVerb({
  name: 'delivery.list',
  summary: 'Notices on their way to channels: delivered, waiting for another attempt, or given up. Newest first.',
  access: 'manage_notices',
  route: { method: 'GET', path: '/deliveries' },
  input: z.strictObject({
    tenantId: TenantFilter,
    channelId: Id.optional(),
    state: DeliveryState.optional(),
    ...PageInput,
  }),
  output: pageOf(Delivery),
  columns: ['createdAtMs', 'deliveryId', 'channelId', 'kind', 'state', 'attempts', 'failure'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const { channelId, state } = input;
    const rows = await ctx.db
      .selectFrom('deliveries')
      .innerJoin('notices', 'notices.id', 'deliveries.notice_id')
      .selectAll('deliveries')
      .select('notices.kind')
      .$if(scope !== null, (query) => query.where('deliveries.tenant_id', '=', scope ?? ''))
      .$if(channelId !== undefined, (query) => query.where('channel_id', '=', channelId ?? ''))
      .$if(state !== undefined, (query) => query.where('state', '=', state ?? 'pending'))
      .$call(newestFirst(input, 'deliveries.created_at_ms', 'deliveries.id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.created_at_ms, id: row.id }));
    const items = page.rows.map((row) => ({
      deliveryId: row.id,
      tenantId: row.tenant_id,
      channelId: row.channel_id,
      noticeId: row.notice_id,
      kind: row.kind,
      state: row.state,
      attempts: row.attempts,
      failure: row.failure,
      nextAttemptAtMs: row.next_due_ms,
      createdAtMs: row.created_at_ms,
      endedAtMs: row.ended_at_ms,
    }));
    return { items, nextCursor: page.nextCursor };
  },
});
