import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { notFound, scopeOf } from '../internal.ts';
import { requireCover } from '../permission.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Invitation, invitationView } from './schemas.ts';

export const invitationRevoke = defineVerb({
  name: 'invitation.revoke',
  summary: 'Withdraw an invitation to a role that is not above yours. One that is not open any more stays as it is.',
  access: 'manage_members',
  route: { method: 'POST', path: '/invitations/{invitationId}/revoke' },
  input: z.strictObject({ invitationId: Id }),
  output: Invitation,
  async run({ ctx, input }) {
    const scope = scopeOf(ctx);
    return ctx.transaction(async (trx) => {
      const before = await trx
        .selectFrom('invitations')
        .selectAll()
        .where('id', '=', input.invitationId)
        .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
        .executeTakeFirst();
      if (before === undefined) throw notFound('invitation', input.invitationId);
      requireCover(ctx.actor, before.role);
      const revoked = await trx
        .updateTable('invitations')
        .set({ revoked_at_ms: ctx.now() })
        .where('id', '=', before.id)
        .where('accepted_at_ms', 'is', null)
        .where('revoked_at_ms', 'is', null)
        .returningAll()
        .executeTakeFirst();
      if (revoked === undefined) return invitationView(before, ctx.now());
      const detail = { email: revoked.email, role: revoked.role };
      await audit(trx, ctx, { verb: 'invitation.revoke', subject: revoked.id, tenantId: revoked.tenant_id, detail });
      return invitationView(revoked, ctx.now());
    });
  },
});
