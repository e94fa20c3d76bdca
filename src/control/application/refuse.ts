import { z } from 'zod';
import { notify } from '../../store/notices.ts';
import { scopeOf } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { decide, requireApplication } from './application.ts';
import { Application, applicationView, Reason } from './schemas.ts';

export const applicationRefuse = defineVerb({
  name: 'application.refuse',
  summary: 'Refuse what was applied for, with a reason. The tenant is told, and may apply again.',
  access: 'operate',
  route: { method: 'POST', path: '/applications/{applicationId}/refuse' },
  input: z.strictObject({ applicationId: Id, note: Reason.describe('Why, for the tenant') }),
  output: Application,
  async run({ ctx, input }) {
    const { note } = input;
    return ctx.transaction(async (trx) => {
      const before = await requireApplication(trx, scopeOf(ctx), input.applicationId);
      const decided = await decide(trx, ctx, before, { event: 'refuse', note });
      await notify(trx, ctx, {
        tenantId: decided.tenant_id,
        kind: `${decided.kind}_decided`,
        subject: decided.id,
        dueAtMs: ctx.now(),
        detail: { decision: 'refused', about: decided.about, units: decided.units, note },
      });
      return applicationView(decided);
    });
  },
});
