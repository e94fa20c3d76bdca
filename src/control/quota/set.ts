import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { Reason } from '../application/schemas.ts';
import { requireTenant } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { quotasOf, setQuota } from './quota.ts';
import { checkTemplate, QUOTA_UNITS_MAX, Quota } from './schemas.ts';

export const quotaSet = defineVerb({
  name: 'quota.set',
  summary: "Set a tenant's quota of a template to any number. What runs beyond it stays; nothing more is sold.",
  access: 'operate',
  route: { method: 'POST', path: '/quotas/{templateId}' },
  input: z.strictObject({
    templateId: Id,
    tenantId: Id,
    units: z.int().min(0).max(QUOTA_UNITS_MAX).describe('The whole quota'),
    note: Reason.optional().describe('For the tenant'),
  }),
  output: Quota,
  async run({ ctx, input }) {
    const { tenantId, templateId, units, note } = input;
    return ctx.transaction(async (trx) => {
      await requireTenant(trx, tenantId);
      checkTemplate(ctx, templateId);
      const before = (await quotasOf(trx, ctx, tenantId)).of(templateId);
      const row = await setQuota(trx, ctx, { tenantId, templateId, units, note: note ?? null });
      await audit(trx, ctx, {
        verb: 'quota.set',
        subject: row.id,
        tenantId,
        detail: { templateId, unitsBefore: before.limitUnits, units, note },
      });
      return (await quotasOf(trx, ctx, tenantId)).of(templateId);
    });
  },
});
