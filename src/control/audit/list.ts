import { z } from 'zod';
import { type Db, scopeOf } from '../internal.ts';
import { selectMembers } from '../member/schemas.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { EpochMs, Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';

const AuditRow = z.object({
  auditId: Id,
  atMs: EpochMs,
  tenantId: Id.nullable(),
  actor: z.string().describe('member:…, key:…, operator:…, operator (the operator token) or system:…'),
  actorEmail: z.string().nullable().describe('Of a member, and for operators of an operator'),
  verb: z.string(),
  subject: z.string(),
  detail: z.record(z.string(), z.unknown()),
});

export const auditList = defineVerb({
  name: 'audit.list',
  summary: 'Who changed what, newest first.',
  access: 'view_people',
  route: { method: 'GET', path: '/audit' },
  input: z.strictObject({
    tenantId: TenantFilter,
    verb: z.string().max(64).optional().describe('Only this verb, as in order.resize'),
    subject: Id.optional().describe('Only changes of this id'),
    ...PageInput,
  }),
  output: pageOf(AuditRow),
  columns: ['atMs', 'actor', 'actorEmail', 'verb', 'subject'],
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
    const emails = await emailsOf(ctx.db, ctx.actor.kind === 'operator' ? null : scope, page.rows);
    const items = page.rows.map((row) => ({
      auditId: row.id,
      atMs: row.at_ms,
      tenantId: row.tenant_id,
      actor: row.actor,
      actorEmail: emails.get(row.actor) ?? null,
      verb: row.verb,
      subject: row.subject,
      detail: JSON.parse(row.detail_json) as Record<string, unknown>,
    }));
    return { items, nextCursor: page.nextCursor };
  },
});

/** By what the audit calls them. A tenant is told the addresses of its own people only. */
async function emailsOf(
  db: Db,
  scope: string | null,
  rows: readonly { actor: string }[],
): Promise<Map<string, string>> {
  const actors = new Set(rows.map((row) => row.actor).filter((actor) => /^(member|operator):/.test(actor)));
  if (actors.size === 0) return new Map();
  const ids = [...actors].map((actor) => actor.slice(actor.indexOf(':') + 1));
  const members = await selectMembers(db)
    .where('memberships.id', 'in', ids)
    .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
    .execute();
  return new Map(members.map((row) => [`${row.tenant_id === null ? 'operator' : 'member'}:${row.id}`, row.email]));
}
