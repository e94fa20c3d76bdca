import { z } from 'zod';
import { requireTenant } from '../internal.ts';
import { TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';
import { accept, agreementNow, namedAgreement } from './agreement.ts';
import { Acceptance, acceptanceView } from './schemas.ts';

export const agreementAccept = defineVerb({
  name: 'agreement.accept',
  summary: 'Accept the current version of the agreement for a tenant. Again: nothing changes.',
  access: 'buy',
  route: { method: 'POST', path: '/agreement/acceptances' },
  input: z.strictObject({
    tenantId: TenantId,
    version: z.string().min(1).max(40).describe('The one that was read; has to be current'),
  }),
  output: Acceptance,
  async run({ ctx, input }) {
    return ctx.transaction(async (trx) => {
      const { id } = await requireTenant(trx, tenantOf(ctx, input));
      const agreement = namedAgreement(agreementNow(ctx), input.version, 'version');
      return acceptanceView(await accept(trx, ctx, id, agreement));
    });
  },
});
