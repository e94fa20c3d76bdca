import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { decide, pendingApplication } from '../application/application.ts';
import { Reason } from '../application/schemas.ts';
import { requireTenant } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { moveAccess } from './access.ts';
import { Access, accessView, Feature } from './schemas.ts';

export const accessGrant = defineVerb({
  name: 'access.grant',
  summary: 'Give a tenant access, whether it applied or not; a pending application is approved with it.',
  access: 'operate',
  route: { method: 'POST', path: '/access/grant' },
  input: z.strictObject({
    tenantId: Id,
    feature: Feature.default('model_units'),
    note: Reason.optional().describe('For the tenant'),
  }),
  output: Access,
  async run({ ctx, input }) {
    const { tenantId, feature, note } = input;
    return ctx.transaction(async (trx) => {
      await requireTenant(trx, tenantId);
      const pending = await pendingApplication(trx, { tenant_id: tenantId, kind: 'access', about: feature });
      if (pending !== undefined) await decide(trx, ctx, pending, { event: 'approve', note });
      const row = await moveAccess(trx, ctx, { event: 'grant', tenantId, feature, note: note ?? null });
      await audit(trx, ctx, { verb: 'access.grant', subject: row.id, tenantId, detail: { feature, note } });
      return accessView(ctx, tenantId, feature, row);
    });
  },
});
