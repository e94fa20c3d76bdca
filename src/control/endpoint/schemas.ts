import { z } from 'zod';
import type { Row } from '../../store/schema.ts';
import { Group, type GroupView, groupViews } from '../group/schemas.ts';
import { type Db, LIVE_GROUP_STATES } from '../internal.ts';
import { Count, EpochMs, Id, MaxWaitMs, OverflowPolicy, TrafficPercent } from '../schemas.ts';
import type { Ctx } from '../verb.ts';
import { ENDPOINT_STATES, endpointState } from './state.ts';

const ServedModel = z.object({
  servedModelId: Id,
  modelId: z.string(),
  templateId: z.string(),
  coefficient: z.number().describe('Elasticity coefficient of the tier'),
  trafficPercent: TrafficPercent,
  units: Count.describe('Bought and not ended'),
  unitsReady: Count,
});

export const Endpoint = z.object({
  endpointId: Id,
  tenantId: Id,
  name: z.string(),
  state: z.enum(ENDPOINT_STATES),
  accessMode: z.enum(['model_units', 'tokens_per_second', 'pay_per_token']),
  overflowPolicy: OverflowPolicy,
  maxWaitMs: MaxWaitMs,
  createdAtMs: EpochMs,
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
  return rows.map((row) => endpointView(row, models.get(row.id) ?? [], groups.get(row.id) ?? []));
}

function endpointView(
  row: Row<'endpoints'>,
  served: readonly Row<'served_models'>[],
  groups: readonly GroupView[],
): EndpointView {
  return {
    endpointId: row.id,
    tenantId: row.tenant_id,
    name: row.name,
    state: endpointState(groups),
    accessMode: row.access_mode,
    overflowPolicy: row.overflow_policy,
    maxWaitMs: row.max_wait_ms,
    createdAtMs: row.created_at_ms,
    models: served.map((model) => {
      const own = groups.filter((group) => group.servedModelId === model.id);
      return {
        servedModelId: model.id,
        modelId: model.model_id,
        templateId: model.template_id,
        coefficient: model.coefficient,
        trafficPercent: model.traffic_percent,
        units: own.reduce((sum, group) => sum + group.units, 0),
        unitsReady: own.reduce((sum, group) => sum + group.unitsReady, 0),
      };
    }),
    groups: [...groups],
  };
}
