import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import type { Fleet, ReplicaState } from '../../fleet/port.ts';
import { audit } from '../../store/audit.ts';
import { LIVE_GROUP_STATES, notFound } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb, type Trx } from '../verb.ts';
import { Server, serverView } from './schemas.ts';

export const serverRemove = defineVerb({
  name: 'server.remove',
  summary: 'Stop using an adopted server. The server itself keeps running.',
  access: 'operate',
  route: { method: 'DELETE', path: '/servers/{serverId}' },
  input: z.strictObject({
    serverId: Id,
    force: z.boolean().default(false).describe('true: also when units that were sold then have no server'),
  }),
  output: Server,
  async run({ ctx, input }) {
    const answer = await ctx.transaction(async (trx) => {
      const removed = await trx
        .updateTable('servers')
        .set({ removed_at_ms: ctx.now() })
        .where('id', '=', input.serverId)
        .where('removed_at_ms', 'is', null)
        .returningAll()
        .executeTakeFirst();
      if (removed === undefined) throw notFound('server', input.serverId);
      if (!input.force) await checkNotNeeded(trx, ctx.fleet, removed.template_id);
      await audit(trx, ctx, {
        verb: 'server.remove',
        subject: removed.id,
        tenantId: null,
        detail: { url: removed.url, model: removed.model, force: input.force },
      });
      return serverView(removed);
    });
    ctx.changed();
    return answer;
  },
});

const ENDED: ReadonlySet<ReplicaState> = new Set(['stopped', 'failed']);

/** Units of the template that were sold must still fit when one server less is there. */
async function checkNotNeeded(trx: Trx, fleet: Fleet, templateId: string): Promise<void> {
  const { sold } = await trx
    .selectFrom('instance_groups')
    .select((eb) => eb.fn.coalesce(eb.fn.sum<number>('units'), eb.lit(0)).as('sold'))
    .where('template_id', '=', templateId)
    .where('state', 'in', LIVE_GROUP_STATES)
    .executeTakeFirstOrThrow();
  const running = fleet.list().filter((r) => r.templateId === templateId && !ENDED.has(r.state)).length;
  const room = running + fleet.capacity(templateId).free;
  if (Number(sold) <= room - 1 || Number(sold) === 0) return;
  throw new CubitError(
    'conflict',
    `${sold} units of ${templateId} are sold and need every server. Resize or unsubscribe groups first, adopt another server, or say force.`,
    { details: { templateId, unitsSold: Number(sold), units: room } },
  );
}
