import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { scopeOf } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { cancelDeliveries, requireChannel } from './schemas.ts';

export const channelRemove = defineVerb({
  name: 'channel.remove',
  summary: 'Send no more notices there. What waits for it is cancelled.',
  access: 'manage_notices',
  route: { method: 'DELETE', path: '/channels/{channelId}' },
  input: z.strictObject({ channelId: Id }),
  output: z.object({ channelId: Id }),
  async run({ ctx, input }) {
    return ctx.transaction(async (trx) => {
      const { id: channelId, tenant_id: tenantId } = await requireChannel(trx, scopeOf(ctx), input.channelId);
      await trx
        .updateTable('channels')
        // Its deliveries stay, so the row does; what it knew of the receiver does not.
        .set({ state: 'removed', url: null, secret: null, previous_secret: null, recipients_json: null })
        .where('id', '=', channelId)
        .execute();
      await cancelDeliveries(trx, channelId, ctx.now());
      await audit(trx, ctx, { verb: 'channel.remove', subject: channelId, tenantId });
      return { channelId };
    });
  },
});
