import { z } from 'zod';
import { requireTenant } from '../internal.ts';
import { makeInvitation } from '../invitation/make.ts';
import { ExpiresInHours, Invitation, Secret } from '../invitation/schemas.ts';
import { Name, TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';
import { Email, Role } from './schemas.ts';

export const memberInvite = defineVerb({
  name: 'member.invite',
  summary:
    'Invite a person to a role not above yours. The answer shows the invitation this once; a new one replaces it.',
  access: 'manage_members',
  route: { method: 'POST', path: '/members/invite' },
  input: z.strictObject({
    tenantId: TenantId,
    email: Email,
    name: Name.optional(),
    role: Role,
    expiresInHours: ExpiresInHours,
  }),
  output: Invitation.extend({ invitation: Secret }),
  once: ['invitation'],
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    return ctx.transaction(async (trx) => {
      await requireTenant(trx, tenantId);
      return makeInvitation(trx, ctx, { ...input, tenantId, verb: 'member.invite' });
    });
  },
});
