import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import { notFound, scopeOf } from '../internal.ts';
import { requireCover } from '../permission.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { keepAnOwner, requireMember } from './member.ts';
import { Member, memberView, Role } from './schemas.ts';

export const memberUpdate = defineVerb({
  name: 'member.update',
  summary: 'Give a member another role, at once for their tokens too. Neither role may be above yours.',
  access: 'manage_members',
  route: { method: 'PATCH', path: '/members/{memberId}' },
  input: z.strictObject({ memberId: Id, role: Role }),
  output: Member,
  async run({ ctx, input }) {
    const { memberId, role } = input;
    return ctx.transaction(async (trx) => {
      const member = await requireMember(trx, scopeOf(ctx), memberId);
      if (ctx.actor.kind === 'member' && ctx.actor.memberId === memberId) {
        throw new CubitError('forbidden', 'Nobody changes their own role. Ask another member who may.', {
          details: { reason: 'own_role' },
        });
      }
      requireCover(ctx.actor, member.role);
      requireCover(ctx.actor, role);
      if (member.role === role) return memberView(member);
      const updated = await trx
        .updateTable('memberships')
        .set({ role })
        .where('id', '=', memberId)
        .where('removed_at_ms', 'is', null)
        .returning('id')
        .executeTakeFirst();
      if (updated === undefined) throw notFound('member', memberId);
      const tenantId = member.tenant_id ?? '';
      if (member.role === 'owner') await keepAnOwner(trx, tenantId);
      const detail = { email: member.email, from: member.role, to: role };
      await audit(trx, ctx, { verb: 'member.update', subject: memberId, tenantId, detail });
      return memberView({ ...member, role });
    });
  },
});
