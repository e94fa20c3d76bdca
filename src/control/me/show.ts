import { z } from 'zod';
import { PERMISSIONS, type Permission, permissionsOf, ROLES } from '../../core/roles.ts';
import { actorName } from '../../store/audit.ts';
import { requireTenant, scopeOf } from '../internal.ts';
import { selectMembers } from '../member/schemas.ts';
import { roleOf } from '../permission.ts';
import { Id } from '../schemas.ts';
import { ownMemberId } from '../token/owner.ts';
import { defineVerb } from '../verb.ts';

export const meShow = defineVerb({
  name: 'me.show',
  summary: 'Who you are to this Cubit: actor, role and what it may do.',
  access: 'view',
  route: { method: 'GET', path: '/me' },
  input: z.strictObject({}),
  output: z.object({
    actor: z.string().describe('As the audit names it'),
    role: z.enum(ROLES),
    tenant: z.object({ tenantId: Id, name: z.string() }).nullable().describe('null: the whole platform'),
    member: z.object({ memberId: Id, email: z.string(), name: z.string() }).nullable().describe('null: no person'),
    permissions: z.array(z.enum(Object.keys(PERMISSIONS) as [Permission, ...Permission[]])),
  }),
  async run({ ctx }) {
    const role = roleOf(ctx.actor);
    const memberId = ownMemberId(ctx.actor);
    const member =
      memberId === null ? null : await selectMembers(ctx.db).where('memberships.id', '=', memberId).executeTakeFirst();
    const tenantId = scopeOf(ctx);
    const tenant = tenantId === null ? null : await requireTenant(ctx.db, tenantId);
    return {
      actor: actorName(ctx.actor),
      role,
      tenant: tenant === null ? null : { tenantId: tenant.id, name: tenant.name },
      member: member == null ? null : { memberId: member.id, email: member.email, name: member.name },
      permissions: permissionsOf(role),
    };
  },
});
