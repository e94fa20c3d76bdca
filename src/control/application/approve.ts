import { z } from 'zod';
import { moveAccess } from '../access/access.ts';
import { Feature } from '../access/schemas.ts';
import { invalidField } from '../input.ts';
import { scopeOf } from '../internal.ts';
import { quotasOf, setQuota } from '../quota/quota.ts';
import { QuotaUnits } from '../quota/schemas.ts';
import { Id } from '../schemas.ts';
import { type Ctx, defineVerb, type Trx } from '../verb.ts';
import { decide, requireApplication } from './application.ts';
import { Application, applicationView, Reason } from './schemas.ts';

type Row = Awaited<ReturnType<typeof requireApplication>>;

export const applicationApprove = defineVerb({
  name: 'application.approve',
  summary: 'Give what was applied for: quota, all or part of it, or access. The tenant is told.',
  access: 'operate',
  route: { method: 'POST', path: '/applications/{applicationId}/approve' },
  input: z.strictObject({
    applicationId: Id,
    units: QuotaUnits.optional().describe('Quota: give this many instead of what was asked for'),
    note: Reason.optional(),
  }),
  output: Application,
  async run({ ctx, input }) {
    const { note, units } = input;
    return ctx.transaction(async (trx) => {
      const before = await requireApplication(trx, scopeOf(ctx), input.applicationId);
      const grantedUnits = before.kind === 'quota' ? { grantedUnits: units ?? before.units ?? 0 } : {};
      if (before.kind === 'access' && units !== undefined) throw invalidField('units', 'only quota is given in units');
      const decided = await decide(trx, ctx, before, { event: 'approve', note, ...grantedUnits });
      await give(trx, ctx, decided);
      return applicationView(decided);
    });
  },
});

async function give(trx: Trx, ctx: Ctx, decided: Row): Promise<void> {
  const { id: subject, tenant_id: tenantId, about, note, granted_units: units } = decided;
  if (decided.kind === 'access') {
    await moveAccess(trx, ctx, { event: 'grant', tenantId, feature: Feature.parse(about), note, subject });
    return;
  }
  const { limitUnits } = (await quotasOf(trx, ctx, tenantId)).of(about);
  if (limitUnits === null || (units ?? 0) <= limitUnits) {
    throw invalidField(
      'units',
      `the quota is ${limitUnits ?? 'without limit'} by now: approve more, or refuse (cubit quota set sets any number)`,
    );
  }
  await setQuota(trx, ctx, { tenantId, templateId: about, units: units ?? 0, note, subject });
}
