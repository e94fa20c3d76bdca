import { z } from 'zod';
import { invalidField } from '../input.ts';
import { notFound } from '../internal.ts';
import { Count, EpochMs, Id, TenantId } from '../schemas.ts';
import { defineVerb, type Trx, tenantOf } from '../verb.ts';
import { unreadCount } from './list.ts';

export const noticeMarkRead = defineVerb({
  name: 'notice.mark-read',
  summary: 'Mark notices of a tenant as read: these, or all that were due by an instant. For all who read its inbox.',
  access: 'manage_notices',
  route: { method: 'POST', path: '/notices/mark-read' },
  input: z.strictObject({
    tenantId: TenantId,
    noticeIds: z.array(Id).min(1).max(200).optional(),
    dueByMs: EpochMs.optional().describe('All that were due at or before this instant'),
  }),
  output: z.object({ marked: Count, unread: Count.describe('Left') }),
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    const { noticeIds, dueByMs } = input;
    if ((noticeIds === undefined) === (dueByMs === undefined)) {
      throw invalidField('noticeIds', 'say either noticeIds or dueByMs');
    }
    return ctx.transaction(async (trx) => {
      if (noticeIds !== undefined) await requireNotices(trx, tenantId, noticeIds);
      const { numUpdatedRows } = await trx
        .updateTable('notices')
        .set({ read_at_ms: ctx.now() })
        .where('tenant_id', '=', tenantId)
        .where('read_at_ms', 'is', null)
        .$if(noticeIds !== undefined, (query) => query.where('id', 'in', noticeIds ?? []))
        .$if(dueByMs !== undefined, (query) => query.where('due_at_ms', '<=', dueByMs ?? 0))
        .executeTakeFirstOrThrow();
      return { marked: Number(numUpdatedRows), unread: await unreadCount(trx, tenantId) };
    });
  },
});

async function requireNotices(trx: Trx, tenantId: string, noticeIds: readonly string[]): Promise<void> {
  const rows = await trx
    .selectFrom('notices')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('id', 'in', noticeIds)
    .execute();
  const known = new Set(rows.map(({ id }) => id));
  const missing = noticeIds.find((id) => !known.has(id));
  if (missing !== undefined) throw notFound('notice', missing);
}
