import { z } from 'zod';
import { NOTICE_KINDS } from '../../store/schema.ts';
import { scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { EpochMs, Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';

const NoticeKind = z.enum(NOTICE_KINDS);

const Notice = z.object({
  noticeId: Id,
  tenantId: Id,
  kind: NoticeKind,
  subject: Id.describe('The group, tenant, application, quota or access that it is about'),
  dueAtMs: EpochMs,
  detail: z.record(z.string(), z.unknown()),
});

export const noticeList = defineVerb({
  name: 'notice.list',
  summary:
    'What a tenant was to be told: terms that end, renewals, overdue wallets, units taken back, quota and access. Newest first.',
  access: 'view',
  route: { method: 'GET', path: '/notices' },
  input: z.strictObject({ tenantId: TenantFilter, kind: NoticeKind.optional(), subject: Id.optional(), ...PageInput }),
  output: pageOf(Notice),
  columns: ['dueAtMs', 'kind', 'subject', 'detail'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const { kind, subject } = input;
    const rows = await ctx.db
      .selectFrom('notices')
      .selectAll()
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
      .$if(kind !== undefined, (query) => query.where('kind', '=', kind ?? 'expiring'))
      .$if(subject !== undefined, (query) => query.where('subject', '=', subject ?? ''))
      .$call(newestFirst(input, 'due_at_ms', 'id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.due_at_ms, id: row.id }));
    const items = page.rows.map((row) => ({
      noticeId: row.id,
      tenantId: row.tenant_id,
      kind: row.kind,
      subject: row.subject,
      dueAtMs: row.due_at_ms,
      detail: JSON.parse(row.detail_json) as Record<string, unknown>,
    }));
    return { items, nextCursor: page.nextCursor };
  },
});
