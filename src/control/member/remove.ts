import { z } from 'zod';
import { scopeOf } from '../internal.ts';
import { requireCover } from '../permission.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { endMembership, keepAnOwner, requireMember } from './member.ts';
import { Member, memberView } from './schemas.ts';

export const memberRemove = defineVerb({
  name: 'member.remove',
  summary: 'Remove a member whose role is not above yours. Their tokens stop at once; API keys they made stay.',
  access: 'manage_members',
  route: { method: 'DELETE', path: '/members/{memberId}' },
  input: z.strictObject({ memberId: Id }),
  output: Member,
  async run({ ctx, input }) {
    return ctx.transaction(async (trx) => {
      const member = await requireMember(trx, scopeOf(ctx), input.memberId);
      requireCover(ctx.actor, member.role);
      const ended = await endMembership(trx, ctx, member, 'member.remove');
      if (member.role === 'owner') await keepAnOwner(trx, member.tenant_id ?? '');
      return memberView(ended);
    });
  },
});
