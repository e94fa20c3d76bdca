import { z } from 'zod';
import { NOTICE_KINDS } from '../../core/commerce/notice.ts';
import { noticeText } from '../../core/commerce/notice-text.ts';
import { type Db, scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { Count, EpochMs, Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';

const NoticeKind = z.enum(NOTICE_KINDS);

const Notice = z.object({
  noticeId: Id,
  tenantId: Id,
  kind: NoticeKind,
  subject: Id.describe('The group, order, budget, tenant, application, quota or access that it is about'),
  dueAtMs: EpochMs,
  readAtMs: EpochMs.nullable().describe('null: nobody of the tenant has read it'),
  title: z.string(),
  text: z.string().describe("In the tenant's language, times in its zone"),
  detail: z.record(z.string(), z.unknown()),
});

export const noticeList = defineVerb({
  name: 'notice.list',
  summary:
    'The inbox: terms that end, renewals, overdue wallets, bills, failed orders, decisions, budgets. Newest first.',
  access: 'view',
  route: { method: 'GET', path: '/notices' },
  input: z.strictObject({
    tenantId: TenantFilter,
    kind: NoticeKind.optional(),
    subject: Id.optional(),
    unread: z.boolean().optional().describe('Only what nobody has read'),
    ...PageInput,
  }),
  output: pageOf(Notice).extend({ unread: Count.describe('Unread notices in all') }),
  columns: ['dueAtMs', 'noticeId', 'kind', 'subject', 'title'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const { kind, subject } = input;
    const rows = await ctx.db
      .selectFrom('notices')
      .innerJoin('tenants', 'tenants.id', 'notices.tenant_id')
      .leftJoin('notice_preferences', 'notice_preferences.tenant_id', 'notices.tenant_id')
      .selectAll('notices')
      .select(['zone', 'language'])
      .$if(scope !== null, (query) => query.where('notices.tenant_id', '=', scope))
      .$if(kind !== undefined, (query) => query.where('kind', '=', kind ?? 'expiring'))
      .$if(subject !== undefined, (query) => query.where('subject', '=', subject ?? ''))
      .$if(input.unread === true, (query) => query.where('read_at_ms', 'is', null))
      .$call(newestFirst(input, 'notices.due_at_ms', 'notices.id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.due_at_ms, id: row.id }));
    const items = page.rows.map((row) => {
      const detail = JSON.parse(row.detail_json) as Record<string, unknown>;
      const { kind, subject, zone } = row;
      const { title, body } = noticeText({ kind, subject, detail }, { language: row.language ?? 'en', zone });
      return {
        noticeId: row.id,
        tenantId: row.tenant_id,
        kind,
        subject,
        dueAtMs: row.due_at_ms,
        readAtMs: row.read_at_ms,
        title,
        text: body,
        detail,
      };
    });
    return { items, nextCursor: page.nextCursor, unread: await unreadCount(ctx.db, scope) };
  },
});

/** Of a tenant, or (null) of all. Read from an index that has only these. */
export async function unreadCount(db: Db, scope: string | null): Promise<number> {
  const { n } = await db
    .selectFrom('notices')
    .select((eb) => eb.fn.countAll<number>().as('n'))
    .where('read_at_ms', 'is', null)
    .$if(scope !== null, (query) => query.where('tenant_id', '=', scope ?? ''))
    .executeTakeFirstOrThrow();
  return n;
}
