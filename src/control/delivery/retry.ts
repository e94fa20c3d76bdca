import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import { notFound, scopeOf } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { DeliveryState } from './schemas.ts';

export const deliveryRetry = defineVerb({
  name: 'delivery.retry',
  summary: 'Send a notice that was given up once more, with all its attempts.',
  access: 'manage_notices',
  route: { method: 'POST', path: '/deliveries/{deliveryId}/retry' },
  input: z.strictObject({ deliveryId: Id }),
  output: z.object({ deliveryId: Id, state: DeliveryState }),
  async run({ ctx, input }) {
    const scope = scopeOf(ctx);
    return ctx.transaction(async (trx) => {
      const delivery = await trx
        .selectFrom('deliveries')
        .innerJoin('channels', 'channels.id', 'deliveries.channel_id')
        .select(['deliveries.id', 'deliveries.tenant_id', 'deliveries.state', 'channels.state as channel_state'])
        .where('deliveries.id', '=', input.deliveryId)
        .$if(scope !== null, (query) => query.where('deliveries.tenant_id', '=', scope ?? ''))
        .executeTakeFirst();
      if (delivery === undefined) throw notFound('delivery', input.deliveryId);
      if (delivery.state !== 'failed' || delivery.channel_state !== 'active') {
        const why = delivery.state === 'failed' ? 'its channel is not active' : `it is ${delivery.state}`;
        throw new CubitError('conflict', `Only what was given up is sent again, to an active channel; ${why}.`);
      }
      await trx
        .updateTable('deliveries')
        .set({ state: 'pending', attempts: 0, next_due_ms: ctx.now(), ended_at_ms: null })
        .where('id', '=', delivery.id)
        .execute();
      await audit(trx, ctx, { verb: 'delivery.retry', subject: delivery.id, tenantId: delivery.tenant_id });
      return { deliveryId: delivery.id, state: 'pending' as const };
    });
  },
});
