import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { invalidField, invalidInput } from '../input.ts';
import { holdEndpoint, requireEndpoint, scopeOf } from '../internal.ts';
import { overflowOf } from '../overflow/config.ts';
import { requireNoRollout } from '../rollout/move.ts';
import { Id, MaxWaitMs, OverflowPolicy, TenantFilter, TrafficPercent } from '../schemas.ts';
import { defineVerb, type Trx } from '../verb.ts';
import { checkedTraffic } from './choose.ts';
import { Endpoint, endpointViews } from './schemas.ts';

const Share = z.strictObject({ servedModelId: Id, trafficPercent: TrafficPercent });

export const endpointUpdate = defineVerb({
  name: 'endpoint.update',
  summary: 'Change how an endpoint waits, overflows and shares traffic among its models.',
  access: 'manage_endpoints',
  route: { method: 'PATCH', path: '/endpoints/{endpointId}' },
  input: z.strictObject({
    endpointId: Id.describe('Id or name'),
    tenantId: TenantFilter,
    maxWaitMs: MaxWaitMs.optional(),
    overflowPolicy: OverflowPolicy.optional(),
    traffic: z.array(Share).min(1).max(16).optional().describe('The share of every served model; together 100'),
  }),
  output: Endpoint,
  async run({ ctx, input }) {
    const { maxWaitMs, overflowPolicy, traffic } = input;
    if (maxWaitMs === undefined && overflowPolicy === undefined && traffic === undefined) {
      throw invalidInput([{ field: '', message: 'say what to change: maxWaitMs, overflowPolicy or traffic' }]);
    }
    const answer = await ctx.transaction(async (trx) => {
      const { id } = await requireEndpoint(trx, scopeOf(ctx, input), input.endpointId);
      await holdEndpoint(trx, id);
      if (overflowPolicy === 'spill') await requireTargets(trx, id);
      if (traffic !== undefined) await requireNoRollout(trx, id);
      if (traffic !== undefined) await shareTraffic(trx, id, traffic);
      const row = await trx
        .updateTable('endpoints')
        .set((eb) => ({
          max_wait_ms: maxWaitMs ?? eb.ref('max_wait_ms'),
          overflow_policy: overflowPolicy ?? eb.ref('overflow_policy'),
        }))
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirstOrThrow();
      await audit(trx, ctx, {
        verb: 'endpoint.update',
        subject: id,
        tenantId: row.tenant_id,
        detail: { maxWaitMs, overflowPolicy, traffic },
      });
      const [view] = await endpointViews(ctx, trx, [row]);
      return view!;
    });
    ctx.changed();
    return answer;
  },
});

/** Where to is said by `overflow.set`. */
async function requireTargets(trx: Trx, endpointId: string): Promise<void> {
  const targets = (await overflowOf(trx, endpointId))?.targets ?? [];
  if (targets.length === 0) throw invalidField('overflowPolicy', 'say where to first: cubit overflow set');
}

async function shareTraffic(trx: Trx, endpointId: string, shares: readonly z.output<typeof Share>[]): Promise<void> {
  const served = await trx.selectFrom('served_models').select('id').where('endpoint_id', '=', endpointId).execute();
  const wanted = new Map(shares.map((share) => [share.servedModelId, share.trafficPercent]));
  const complete = served.length === shares.length && served.every((row) => wanted.has(row.id));
  if (!complete) {
    throw invalidField('traffic', `name each served model once: ${served.map((row) => row.id).join(', ')}`);
  }
  checkedTraffic([...wanted.values()], 'traffic');
  for (const [servedModelId, trafficPercent] of wanted) {
    await trx
      .updateTable('served_models')
      .set({ traffic_percent: trafficPercent })
      .where('id', '=', servedModelId)
      .execute();
  }
}
