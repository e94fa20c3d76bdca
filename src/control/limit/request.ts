import { sql } from 'kysely';
import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import { requireTenant } from '../internal.ts';
import { Rpm, Tpm } from '../pool/schemas.ts';
import { Id, TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';
import { LimitRequest, limitRequestView, requirePooled } from './limits.ts';

export const limitRequest = defineVerb({
  name: 'limit.request',
  summary: 'Ask for other limits by the minute on a model that is paid by the token. The operator decides.',
  access: 'buy',
  route: { method: 'POST', path: '/limit-requests' },
  input: z.strictObject({
    tenantId: TenantId,
    modelId: Id,
    rpm: Rpm,
    tpm: Tpm,
    reason: z.string().trim().min(1).max(1000).describe('What for'),
  }),
  output: LimitRequest,
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    return ctx.transaction(async (trx) => {
      await requireTenant(trx, tenantId);
      await requirePooled(trx, input.modelId);
      const row = await trx
        .insertInto('limit_requests')
        .values({
          id: ctx.newId('limitRequest'),
          tenant_id: tenantId,
          model_id: input.modelId,
          requests_per_minute: input.rpm,
          tokens_per_minute: input.tpm,
          reason: input.reason,
          state: 'open',
          created_at_ms: ctx.now(),
        })
        .onConflict((conflict) =>
          conflict.columns(['tenant_id', 'model_id']).where('state', '=', sql.lit('open')).doNothing(),
        )
        .returningAll()
        .executeTakeFirst();
      if (row === undefined) {
        throw new CubitError('conflict', `A request for ${input.modelId} is open. Wait until it is decided.`);
      }
      const { modelId, rpm, tpm } = input;
      await audit(trx, ctx, { verb: 'limit.request', subject: row.id, tenantId, detail: { modelId, rpm, tpm } });
      return limitRequestView(row);
    });
  },
});
