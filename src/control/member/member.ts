import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import { type Db, notFound } from '../internal.ts';
import type { Ctx, Trx } from '../verb.ts';
import { type MemberRow, selectMembers } from './schemas.ts';

/** A member of a tenant who was not removed. `scope`: the only tenant, null for all of them. Throws `not_found`. */
export async function requireMember(db: Db, scope: string | null, memberId: string): Promise<MemberRow> {
  const member = await selectMembers(db)
    .where('memberships.id', '=', memberId)
    .where('removed_at_ms', 'is', null)
    .where('tenant_id', 'is not', null)
    .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
    .executeTakeFirst();
  if (member === undefined) throw notFound('member', memberId);
  return member;
}

/**
 * Called after a change, in its transaction, which it takes back where no owner is left: of two owners who remove each
 * other at once, the second finds himself to be the last. Throws `conflict`.
 */
export async function keepAnOwner(trx: Trx, tenantId: string): Promise<void> {
  const owner = await trx
    .selectFrom('memberships')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('role', '=', 'owner')
    .where('removed_at_ms', 'is', null)
    .executeTakeFirst();
  if (owner !== undefined) return;
  throw new CubitError('conflict', 'A tenant keeps one owner at least. Make somebody else an owner first.', {
    details: { reason: 'last_owner' },
  });
}

/**
 * Ends a membership: its tokens stop, and invitations that the member wrote and nobody took yet are withdrawn. Of a
 * member or an operator; `verb` is what the audit says. Throws `not_found` when another was faster.
 */
export async function endMembership(trx: Trx, ctx: Ctx, member: MemberRow, verb: string): Promise<MemberRow> {
  const removedAtMs = ctx.now();
  const ended = await trx
    .updateTable('memberships')
    .set({ removed_at_ms: removedAtMs })
    .where('id', '=', member.id)
    .where('removed_at_ms', 'is', null)
    .returning('id')
    .executeTakeFirst();
  if (ended === undefined) throw notFound('member', member.id);
  await trx
    .updateTable('invitations')
    .set({ revoked_at_ms: removedAtMs })
    .where('invited_by', 'in', [`member:${member.id}`, `operator:${member.id}`])
    .where('accepted_at_ms', 'is', null)
    .where('revoked_at_ms', 'is', null)
    .execute();
  const detail = { email: member.email, role: member.role };
  await audit(trx, ctx, { verb, subject: member.id, tenantId: member.tenant_id, detail });
  return { ...member, removed_at_ms: removedAtMs };
}
