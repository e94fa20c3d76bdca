import { z } from 'zod';
import { scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { EpochMs, Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';

const AuditRow = z.object({
  auditId: Id,
  atMs: EpochMs,
  tenantId: Id.nullable(),
  actor: z.string().describe('operator, key:… or system:…'),
  verb: z.string(),
  subject: z.string(),
  detail: z.record(z.string(), z.unknown()),
});

export const auditList = defineVerb({
  name: 'audit.list',
  summary: 'Who changed what, newest first.',
  access: 'manage',
  route: { method: 'GET', path: '/audit' },
  input: z.strictObject({
    tenantId: TenantFilter,
    verb: z.string().max(64).optional().describe('Only this verb, as in order.resize'),
    subject: Id.optional().describe('Only changes of this id'),
    ...PageInput,
  }),
  output: pageOf(AuditRow),
  columns: ['atMs', 'actor', 'verb', 'subject'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const { verb, subject } = input;
    const rows = await ctx.db
      .selectFrom('audit')
      .selectAll()
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
      .$if(verb !== undefined, (query) => query.where('verb', '=', verb ?? ''))
      .$if(subject !== undefined, (query) => query.where('subject', '=', subject ?? ''))
      .$call(newestFirst(input, 'at_ms', 'id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.at_ms, id: row.id }));
    const items = page.rows.map((row) => ({
      auditId: row.id,
      atMs: row.at_ms,
      tenantId: row.tenant_id,
      actor: row.actor,
      verb: row.verb,
      subject: row.subject,
      detail: JSON.parse(row.detail_json) as Record<string, unknown>,
    }));
    return { items, nextCursor: page.nextCursor };
  },
});
