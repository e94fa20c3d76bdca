import { CubitError } from '../../core/errors.ts';
import type { MemberRole } from '../../core/roles.ts';
import { actorName, audit } from '../../store/audit.ts';
import { selectMembers } from '../member/schemas.ts';
import { requireCover } from '../permission.ts';
import { INVITATION_PREFIX, makeSecret } from '../secret.ts';
import type { Ctx, Trx } from '../verb.ts';
import { invitationView } from './schemas.ts';

const HOUR_MS = 3_600_000;

export interface Invited {
  /** null: to be an operator. */
  readonly tenantId: string | null;
  readonly email: string;
  readonly name?: string | undefined;
  readonly role: MemberRole | 'operator';
  readonly expiresInHours: number;
  /** For the audit. */
  readonly verb: string;
}

/**
 * One open invitation for each address and tenant: a new one takes the place of the last. Throws `forbidden` for a role
 * above the inviter's, `conflict` when the person is a member already.
 */
export async function makeInvitation(trx: Trx, ctx: Ctx, invited: Invited) {
  const { tenantId, role } = invited;
  const email = invited.email.toLowerCase();
  requireCover(ctx.actor, role);
  await refuseMember(trx, tenantId, email);
  await withdrawEarlier(trx, ctx, tenantId, email);
  const { secret, hash } = makeSecret(ctx, INVITATION_PREFIX);
  const nowMs = ctx.now();
  const row = {
    id: ctx.newId('invitation'),
    tenant_id: tenantId,
    email,
    name: invited.name ?? null,
    role,
    hash,
    invited_by: actorName(ctx.actor),
    created_at_ms: nowMs,
    expires_at_ms: nowMs + invited.expiresInHours * HOUR_MS,
    accepted_at_ms: null,
    revoked_at_ms: null,
  };
  await trx.insertInto('invitations').values(row).execute();
  await audit(trx, ctx, { verb: invited.verb, subject: row.id, tenantId, detail: { email, role } });
  return { ...invitationView(row, nowMs), invitation: secret };
}

/** Throws `conflict` when the person is one already. */
export async function refuseMember(trx: Trx, tenantId: string | null, email: string): Promise<void> {
  const member = await selectMembers(trx)
    .where('email', '=', email)
    .where('tenant_id', tenantId === null ? 'is' : '=', tenantId)
    .where('removed_at_ms', 'is', null)
    .executeTakeFirst();
  if (member === undefined) return;
  throw new CubitError('conflict', `${email} is a member already, as ${member.role}.`, {
    details: { reason: 'is_member', memberId: member.id, role: member.role },
  });
}

async function withdrawEarlier(trx: Trx, ctx: Ctx, tenantId: string | null, email: string): Promise<void> {
  const withdrawn = await trx
    .updateTable('invitations')
    .set({ revoked_at_ms: ctx.now() })
    .where('email', '=', email)
    .where('tenant_id', tenantId === null ? 'is' : '=', tenantId)
    .where('accepted_at_ms', 'is', null)
    .where('revoked_at_ms', 'is', null)
    .where('expires_at_ms', '>', ctx.now())
    .returning('role')
    .execute();
  for (const { role } of withdrawn) requireCover(ctx.actor, role);
}
