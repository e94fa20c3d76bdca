import { z } from 'zod';
import type { Row } from '../../store/schema.ts';
import { Group, type GroupView, groupViews } from '../group/schemas.ts';
import { type Db, LIVE_GROUP_STATES } from '../internal.ts';
import { livePools, readyPoolUnits } from '../pool/pools.ts';
import { Count, EpochMs, Id, MaxWaitMs, OverflowPolicy, TrafficPercent } from '../schemas.ts';
import { replicasById } from '../units.ts';
import type { Ctx } from '../verb.ts';
import { ENDPOINT_STATES, endpointState } from './state.ts';

const ServedModel = z.object({
  servedModelId: Id,
  modelId: z.string(),
  templateId: z.string(),
  ownModelId: z.string().nullable().describe('Own weights in place of the model’s'),
  coefficient: z.number().describe('Elasticity coefficient of the tier'),
  trafficPercent: TrafficPercent,
  units: Count.describe('Bought and not ended'),
  unitsReady: Count,
});

export const AccessMode = z.enum(['model_units', 'tokens_per_second', 'pay_per_token']);

export const Endpoint = z.object({
  endpointId: Id,
  tenantId: Id,
  name: z.string(),
  state: z.enum(ENDPOINT_STATES),
  accessMode: AccessMode,
  overflowPolicy: OverflowPolicy,
  maxWaitMs: MaxWaitMs,
  createdAtMs: EpochMs,
  suspendedAtMs: EpochMs.nullable().describe('Paid by the token: stopped then, until the wallet is topped up'),
  models: z.array(ServedModel),
  groups: z.array(Group).describe('Those that have not ended'),
});

export type EndpointView = z.output<typeof Endpoint>;

export async function endpointViews(
  ctx: Pick<Ctx, 'catalog' | 'fleet' | 'now'>,
  db: Db,
  rows: readonly Row<'endpoints'>[],
): Promise<EndpointView[]> {
  if (rows.length === 0) return [];
  const ids = rows.map((row) => row.id);
  const served = await db
    .selectFrom('served_models')
    .selectAll()
    .where('endpoint_id', 'in', ids)
    .orderBy('model_id')
    .orderBy('id')
    .execute();
  const groupRows = await db
    .selectFrom('instance_groups')
    .selectAll()
    .where('endpoint_id', 'in', ids)
    .where('state', 'in', LIVE_GROUP_STATES)
    .orderBy('created_at_ms')
    .orderBy('id')
    .execute();
  const groups = Map.groupBy(await groupViews(ctx, db, groupRows), (group) => group.endpointId);
  const models = Map.groupBy(served, (row) => row.endpoint_id);
  const poolState = await poolStates(ctx, db, rows);
  return rows.map((row) => {
    const served = models.get(row.id) ?? [];
    const own = groups.get(row.id) ?? [];
    return endpointView(row, served, own, poolState(row, served[0]?.model_id) ?? endpointState(own));
  });
}

function endpointView(
  row: Row<'endpoints'>,
  served: readonly Row<'served_models'>[],
  groups: readonly GroupView[],
  state: EndpointView['state'],
): EndpointView {
  return {
    endpointId: row.id,
    tenantId: row.tenant_id,
    name: row.name,
    state,
    accessMode: row.access_mode,
    overflowPolicy: row.overflow_policy,
    maxWaitMs: row.max_wait_ms,
    createdAtMs: row.created_at_ms,
    suspendedAtMs: row.suspended_at_ms,
    models: served.map((model) => {
      const own = groups.filter((group) => group.servedModelId === model.id);
      return {
        servedModelId: model.id,
        modelId: model.model_id,
        templateId: model.template_id,
        ownModelId: model.own_model_id,
        coefficient: model.coefficient,
        trafficPercent: model.traffic_percent,
        units: own.reduce((sum, group) => sum + group.units, 0),
        unitsReady: own.reduce((sum, group) => sum + group.unitsReady, 0),
      };
    }),
    groups: [...groups],
  };
}

/** States of endpoints that are paid by the token, from their pools; null for the others. */
async function poolStates(ctx: Pick<Ctx, 'fleet'>, db: Db, rows: readonly Row<'endpoints'>[]) {
  const pools = rows.some((row) => row.access_mode === 'pay_per_token') ? await livePools(db) : [];
  const replicas = replicasById(ctx.fleet.list());
  return (row: Row<'endpoints'>, modelId: string | undefined): EndpointView['state'] | null => {
    if (row.access_mode !== 'pay_per_token') return null;
    const pool = pools.find((one) => one.model_id === modelId);
    if (pool === undefined || row.suspended_at_ms !== null) return 'stopped';
    const ready = readyPoolUnits(pool, replicas);
    if (ready === 0) return 'scaling';
    return ready < pool.units ? 'degraded' : 'ready';
  };
}
