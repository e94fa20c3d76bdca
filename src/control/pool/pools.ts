import { ID_PREFIXES } from '../../core/ids.ts';
import type { ReplicaSpec, ReplicaStatus } from '../../fleet/port.ts';
import type { Row } from '../../store/schema.ts';
import type { Db } from '../internal.ts';

/**
 * A pool is units of one model that the operator runs for every tenant who pays it by the token: no group, no order, no
 * bill stands behind them. To the fleet and the gateway a pool is one served model, whose id is the pool's.
 */
export type Pool = Row<'pools'>;

export function livePools(db: Db): Promise<Pool[]> {
  return db.selectFrom('pools').selectAll().where('removed_at_ms', 'is', null).orderBy('model_id').execute();
}

export function poolOf(db: Db, modelId: string): Promise<Pool | undefined> {
  return db
    .selectFrom('pools')
    .selectAll()
    .where('removed_at_ms', 'is', null)
    .where('model_id', '=', modelId)
    .executeTakeFirst();
}

/** One replica for each unit; ids follow from the pool's, as those of groups do (ADR 3). */
export function poolSpecs(pool: Pick<Pool, 'id' | 'template_id' | 'units'>): ReplicaSpec[] {
  return Array.from({ length: pool.units }, (_, unit) => ({
    replicaId: `${ID_PREFIXES.replica}-${pool.id}-${unit}`,
    servedModelId: pool.id,
    templateId: pool.template_id,
    role: 'unified',
  }));
}

export function readyPoolUnits(pool: Pool, replicas: ReadonlyMap<string, ReplicaStatus>): number {
  return poolSpecs(pool).filter((spec) => replicas.get(spec.replicaId)?.state === 'ready').length;
}
