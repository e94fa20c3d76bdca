import { z } from 'zod';
import { apply } from '../application/application.ts';
import { Application, applicationView, Reason } from '../application/schemas.ts';
import { invalidField } from '../input.ts';
import { requireTenant } from '../internal.ts';
import { Id, TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';
import { quotasOf } from './quota.ts';
import { checkTemplate, QuotaUnits } from './schemas.ts';

export const quotaApply = defineVerb({
  name: 'quota.apply',
  summary: 'Ask the operator for a larger quota of a template, with a reason.',
  access: 'buy',
  route: { method: 'POST', path: '/quotas/{templateId}/applications' },
  input: z.strictObject({
    templateId: Id,
    tenantId: TenantId,
    units: QuotaUnits,
    reason: Reason.describe('For whoever decides'),
  }),
  output: Application,
  async run({ ctx, input }) {
    const { templateId, units, reason } = input;
    return ctx.transaction(async (trx) => {
      const tenant = await requireTenant(trx, tenantOf(ctx, input));
      checkTemplate(ctx, templateId);
      const { limitUnits } = (await quotasOf(trx, ctx, tenant.id)).of(templateId);
      if (limitUnits === null)
        throw invalidField('units', `${templateId} has no quota here: there is nothing to apply for`);
      if (units <= limitUnits)
        throw invalidField('units', `the quota is ${limitUnits} already: say the whole of what is needed`);
      return applicationView(
        await apply(trx, ctx, { tenant_id: tenant.id, kind: 'quota', about: templateId, units, reason }),
      );
    });
  },
});
