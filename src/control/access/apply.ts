import { z } from 'zod';
import { mayBuy } from '../../core/commerce/access.ts';
import { CubitError } from '../../core/errors.ts';
import { apply } from '../application/application.ts';
import { Application, applicationView, Reason } from '../application/schemas.ts';
import { requireTenant } from '../internal.ts';
import { TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';
import { decidedAccess, stateOf } from './access.ts';
import { Feature } from './schemas.ts';

export const accessApply = defineVerb({
  name: 'access.apply',
  summary: 'Ask the operator for access to model units, with a reason.',
  access: 'buy',
  route: { method: 'POST', path: '/access/applications' },
  input: z.strictObject({
    tenantId: TenantId,
    feature: Feature.default('model_units'),
    reason: Reason.describe('For whoever decides'),
  }),
  output: Application,
  async run({ ctx, input }) {
    const { feature, reason } = input;
    return ctx.transaction(async (trx) => {
      const { id } = await requireTenant(trx, tenantOf(ctx, input));
      if (mayBuy(ctx.policy.access, stateOf(await decidedAccess(trx, id, feature)))) {
        throw new CubitError(
          'conflict',
          `This tenant has access to ${feature} already: there is nothing to apply for.`,
        );
      }
      return applicationView(
        await apply(trx, ctx, { tenant_id: id, kind: 'access', about: feature, units: null, reason }),
      );
    });
  },
});
