import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { requireTenant } from '../internal.ts';
import { Rpm, Tpm } from '../pool/schemas.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { requirePooled, setLimit } from './limits.ts';

export const limitSet = defineVerb({
  name: 'limit.set',
  summary: 'Set the limits by the minute of a tenant on a model, or of all tenants without limits of their own.',
  access: 'operate',
  route: { method: 'POST', path: '/limits' },
  input: z.strictObject({
    tenantId: Id.optional().describe('Whose; left out: of all without limits of their own'),
    modelId: Id,
    rpm: Rpm,
    tpm: Tpm,
  }),
  output: z.object({ tenantId: Id.nullable(), modelId: z.string(), rpm: Rpm, tpm: Tpm }),
  async run({ ctx, input }) {
    const { tenantId, modelId, rpm, tpm } = input;
    const answer = await ctx.transaction(async (trx) => {
      const pool = await requirePooled(trx, modelId);
      if (tenantId === undefined) {
        await trx
          .updateTable('pools')
          .set({ requests_per_minute: rpm, tokens_per_minute: tpm })
          .where('id', '=', pool.id)
          .execute();
      } else {
        await requireTenant(trx, tenantId);
        await setLimit(trx, { tenantId, modelId, rpm, tpm }, ctx.now());
      }
      const detail = { modelId, rpm, tpm };
      const owner = tenantId ?? null;
      await audit(trx, ctx, { verb: 'limit.set', subject: tenantId ?? pool.id, tenantId: owner, detail });
      return { tenantId: owner, ...detail };
    });
    ctx.changed();
    return answer;
  },
});
