import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { Reason } from '../application/schemas.ts';
import { requireTenant } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { moveAccess } from './access.ts';
import { Access, accessView, Feature } from './schemas.ts';

export const accessRevoke = defineVerb({
  name: 'access.revoke',
  summary: 'Take access from a tenant. What runs stays until its term ends; nothing is ordered, enlarged or renewed.',
  access: 'operate',
  route: { method: 'POST', path: '/access/revoke' },
  input: z.strictObject({
    tenantId: Id,
    feature: Feature.default('model_units'),
    reason: Reason.describe('Why, for the tenant'),
  }),
  output: Access,
  async run({ ctx, input }) {
    const { tenantId, feature, reason } = input;
    return ctx.transaction(async (trx) => {
      await requireTenant(trx, tenantId);
      const row = await moveAccess(trx, ctx, { event: 'revoke', tenantId, feature, note: reason });
      await audit(trx, ctx, { verb: 'access.revoke', subject: row.id, tenantId, detail: { feature, reason } });
      return accessView(ctx, tenantId, feature, row);
    });
  },
});
