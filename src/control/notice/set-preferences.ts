import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { rescheduleDigest } from '../billing/digest.ts';
import { requireTenant } from '../internal.ts';
import { TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';
import { Preferences, preferencesOf } from './preferences.ts';

const { language, bills } = Preferences.shape;

export const noticeSetPreferences = defineVerb({
  name: 'notice.set-preferences',
  summary: 'Say in which language notices are sent, and how often bills are told.',
  access: 'manage_notices',
  route: { method: 'POST', path: '/notice-preferences' },
  input: z.strictObject({ tenantId: TenantId, language: language.optional(), bills: bills.optional() }),
  output: Preferences,
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    return ctx.transaction(async (trx) => {
      const tenant = await requireTenant(trx, tenantId);
      const before = await preferencesOf(trx, tenantId);
      const after = { language: input.language ?? before.language, bills: input.bills ?? before.bills };
      await trx
        .insertInto('notice_preferences')
        .values({ tenant_id: tenantId, ...after })
        .onConflict((conflict) => conflict.column('tenant_id').doUpdateSet(after))
        .execute();
      await rescheduleDigest(trx, tenant, after.bills);
      await audit(trx, ctx, { verb: 'notice.set-preferences', subject: tenantId, tenantId, detail: after });
      return { tenantId, ...after };
    });
  },
});
