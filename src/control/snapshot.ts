import type { Kysely } from 'kysely';
import type { Catalog, Model, Template, Tier } from '../catalog/schema.ts';
import type { ElasticUnitState } from '../core/commerce/elastic-unit.ts';
import { KEY_ROLES, may } from '../core/roles.ts';
import { coefficientsOf, scaledCoefficients } from '../core/serving/work.ts';
import type { Fleet, ReplicaStatus } from '../fleet/port.ts';
import {
  type AdapterSnapshot,
  type EndpointSnapshot,
  endpointKey,
  type GatewaySnapshot,
  type ReplicaSnapshot,
  type ServedModelSnapshot,
} from '../gateway/snapshot.ts';
import type { Database, Row } from '../store/schema.ts';
import { type AttachedAdapter, attachedAdapters } from './adapter/schemas.ts';
import type { ControlLog } from './call.ts';
import { addedReplicaIds, openUnits } from './elastic/units.ts';
import { LIVE_GROUP_STATES } from './internal.ts';
import { keySnapshots } from './key/shares.ts';
import { latencyOf } from './latency.ts';
import { readOverflows } from './overflow/snapshot.ts';
import { livePools, type Pool, poolSpecs } from './pool/pools.ts';
import { sharedPools } from './pool/shared.ts';
import { StartupTimes } from './startup-times.ts';
import { createTurns, type Turns } from './turns.ts';
import { paidUnitsOf, rolesOf, unitsOf } from './units.ts';

export interface SnapshotDeps {
  readonly db: Kysely<Database>;
  readonly catalog: Catalog;
  readonly fleet: Fleet;
  readonly log: ControlLog;
  /** Epoch milliseconds. */
  now(): number;
  /** Whether prepaid units serve between their expiry and their reclaim. */
  readonly graceServes: boolean;
  /** Looks for changes that were not announced so often; a minute unless told otherwise. */
  readonly tickMs?: number;
}

export interface SnapshotPublisher extends Turns {
  /** Publishes now; resolves when it is applied. */
  flush(): Promise<void>;
  /** From launch to ready, as learned so far. */
  startupMsOf(templateId: string): number;
}

/** Keys of other roles are not known to the gateway. */
const ROLES_THAT_USE = KEY_ROLES.filter((role) => may(role, 'use'));
const DEBOUNCE_MS = 20;
/** Every change is announced; this is for what might not have been. */
/** Where other control processes change the same database and do not say so here. */
export const SHARED_TICK_MS = 1_000;
const TICK_MS = 60_000;

/**
 * Keeps the gateway's snapshot up to date with the database and the fleet: a new one follows within 20 ms of a change.
 * Resolves when the first is applied.
 */
export async function snapshotPublisher(
  deps: SnapshotDeps & { readonly apply: (snapshot: GatewaySnapshot) => void },
): Promise<SnapshotPublisher> {
  const startups = new StartupTimes();
  let version = 0;
  let last: Promise<void> = Promise.resolve();
  const build = async () => {
    startups.learn(deps.fleet.list());
    deps.apply(await buildSnapshot(deps, ++version, startups));
  };
  // One after the other, so that an older one never replaces a newer.
  const publish = () => {
    last = last.then(build, build);
    return last;
  };
  await publish();
  const turns = createTurns({
    work: publish,
    gapMs: DEBOUNCE_MS,
    tickMs: deps.tickMs ?? TICK_MS,
    failed: (error) =>
      deps.log.error({ err: error }, 'the gateway keeps its old snapshot; it is tried again in a second'),
  });
  const unlisten = deps.fleet.onChange(() => turns.poke());
  return {
    poke: turns.poke,
    flush: publish,
    startupMsOf: (templateId) => {
      const template = deps.catalog.templates.get(templateId);
      return template === undefined ? 0 : startups.of(template);
    },
    stop() {
      unlisten();
      return turns.stop();
    },
  };
}

/** What the gateway works from, read in one transaction. */
export async function buildSnapshot(
  deps: SnapshotDeps,
  version: number,
  startups: StartupTimes,
): Promise<GatewaySnapshot> {
  const stored = await deps.db.transaction().execute(async (trx) => {
    const groups = await trx
      .selectFrom('instance_groups')
      .selectAll()
      .where('state', 'in', LIVE_GROUP_STATES)
      .$if(!deps.graceServes, (query) =>
        query.where((eb) => eb.or([eb('expires_at_ms', 'is', null), eb('expires_at_ms', '>', deps.now())])),
      )
      .execute();
    const live = trx.selectFrom('endpoints').select('id').where('deleted_at_ms', 'is', null);
    return {
      keys: await trx
        .selectFrom('api_keys')
        .select(['id', 'tenant_id', 'hash', 'labels_json', 'weight'])
        .select(['requests_per_minute', 'tokens_per_minute', 'work_us_per_minute', 'concurrency'])
        .where('revoked_at_ms', 'is', null)
        .where('role', 'in', ROLES_THAT_USE)
        .execute(),
      endpoints: await trx.selectFrom('endpoints').selectAll().where('deleted_at_ms', 'is', null).execute(),
      served: await trx
        .selectFrom('served_models')
        .selectAll()
        .where('endpoint_id', 'in', live)
        .orderBy('model_id')
        .orderBy('id')
        .execute(),
      groups,
      paid: await paidUnitsOf(trx, groups),
      added: await openUnits(trx),
      rules: await trx.selectFrom('elastic_rules').select(['group_id', 'max_units']).execute(),
      pools: await livePools(trx),
      adapters: await attachedAdapters(trx),
      overflows: await readOverflows(trx, deps.now()),
      limits: await trx.selectFrom('token_limits').selectAll().execute(),
    };
  });
  const replicas = Map.groupBy(deps.fleet.list(), (replica) => replica.servedModelId);
  const groups = Map.groupBy(stored.groups, (group) => group.served_model_id);
  const served = Map.groupBy(stored.served, (row) => row.endpoint_id);
  const addedBy = new Map(
    stored.groups.flatMap((group) => {
      const roles = rolesOf(deps.catalog, group.template_id);
      const units = stored.added.get(group.id) ?? [];
      return units.flatMap((unit) => addedReplicaIds(unit, roles).map((id) => [id, unit.state] as const));
    }),
  );
  const adaptersBy = Map.groupBy(stored.adapters, (adapter) => adapter.endpoint_id);
  const maxUnits = new Map(stored.rules.map((rule) => [rule.group_id, rule.max_units]));
  const endpoints = new Map<string, EndpointSnapshot>(stored.overflows.upstreams);
  const shared = sharedPools(stored.limits, pooledModels(deps, stored.pools, replicas, startups));
  for (const row of stored.endpoints) {
    const pooled = row.access_mode === 'pay_per_token';
    const models = (pooled ? [] : (served.get(row.id) ?? [])).flatMap((model) => {
      const own = groups.get(model.id) ?? [];
      const running = replicas.get(model.id) ?? [];
      const serving = servingOf(running, own, { catalog: deps.catalog, paid: stored.paid, added: addedBy });
      const unitsMax = own.reduce((sum, group) => sum + Math.max(group.units, maxUnits.get(group.id) ?? 0), 0);
      return servedModelOf(deps, model, unitsMax, serving, startups, timeScaleOf(running)) ?? [];
    });
    const adapters = adaptersBy.get(row.id)?.map(adapterOf);
    const overflow = stored.overflows.of(row);
    const endpoint = {
      ...endpointOf(row, models),
      ...(adapters && { adapters }),
      ...(overflow && { overflow }),
      ...(pooled && shared(row, served.get(row.id)?.[0]?.model_id)),
    };
    endpoints.set(endpointKey(row.tenant_id, row.name), endpoint);
    endpoints.set(endpointKey(row.tenant_id, row.id), endpoint);
  }
  return { version, keys: keySnapshots(stored.keys), endpoints };
}

/** Each pool as the served model that it is to all its endpoints. */
function pooledModels(
  deps: SnapshotDeps,
  pools: readonly Pool[],
  replicas: ReadonlyMap<string, readonly ReplicaStatus[]>,
  startups: StartupTimes,
): readonly { readonly pool: Pool; readonly model: ServedModelSnapshot }[] {
  return pools.flatMap((pool) => {
    const running = replicas.get(pool.id) ?? [];
    const wanted = new Set(poolSpecs(pool).map((spec) => spec.replicaId));
    const serving = running.map(({ replicaId, role, state, address, startedAtMs }): ReplicaSnapshot => {
      const surplus = state === 'ready' && !wanted.has(replicaId);
      return { replicaId, role, state: surplus ? 'draining' : state, address, startedAtMs };
    });
    const row = { ...pool, traffic_percent: 100 };
    const model = servedModelOf(deps, row, pool.units, serving, startups, timeScaleOf(running));
    return model === null ? [] : [{ pool, model: { ...model, shared: true } }];
  });
}

function adapterOf({ base_model_id, id, name, path, rank }: AttachedAdapter): AdapterSnapshot {
  return { adapterId: id, name, baseModelId: base_model_id, rank: rank ?? 0, path };
}

function endpointOf(row: Row<'endpoints'>, servedModels: readonly ServedModelSnapshot[]): EndpointSnapshot {
  return {
    endpointId: row.id,
    tenantId: row.tenant_id,
    name: row.name,
    createdAtMs: row.created_at_ms,
    maxWaitMs: row.overflow_policy === 'reject' ? 0 : row.max_wait_ms,
    servedModels,
  };
}

function servedModelOf(
  { catalog, log }: SnapshotDeps,
  row: Pick<Row<'served_models'>, 'id' | 'model_id' | 'template_id' | 'coefficient' | 'traffic_percent'>,
  unitsMax: number,
  replicas: readonly ReplicaSnapshot[],
  startups: StartupTimes,
  timeScale: number,
): ServedModelSnapshot | null {
  const model = catalog.models.get(row.model_id);
  const template = catalog.templates.get(row.template_id);
  if (model === undefined || template === undefined) {
    log.error(
      { servedModelId: row.id, modelId: row.model_id, templateId: row.template_id },
      'left the catalogue but is sold',
    );
    return null;
  }
  const tier = tierOf(template, row.coefficient);
  const latency = latencyOf(template, tier, timeScale);
  return {
    servedModelId: row.id,
    modelId: row.model_id,
    trafficPercent: row.traffic_percent,
    contextTokens: contextTokensOf(model, template),
    chatTemplateTokens: template.engine.chatTemplateTokens,
    capabilities: {
      ...model.capabilities,
      structuredOutput: model.capabilities.structuredOutput && template.engine.structuredOutput,
    },
    coefficients: scaledCoefficients(
      coefficientsOf(template.profile.step, template.profile.prefillFixedUs, tier.batch),
      timeScale,
    ),
    ...(template.lora && { lora: template.lora }),
    batchPerUnit: tier.batch,
    kvTokensPerUnit: template.kvTokensPerUnit,
    ...(latency !== null && { latency }),
    disaggregated: template.kind !== 'single',
    startupMs: startups.of(template),
    unitsMax,
    replicas,
  };
}

/**
 * Replicas as the gateway may use them. A unit serves from the second it is billed to the second it is not: one that is
 * ready before its order succeeded still counts as starting, and one that no group wants any more as draining.
 */
function servingOf(
  replicas: readonly ReplicaStatus[],
  groups: readonly Row<'instance_groups'>[],
  {
    catalog,
    paid,
    added,
  }: {
    readonly catalog: Catalog;
    readonly paid: ReadonlyMap<string, number>;
    readonly added: ReadonlyMap<string, ElasticUnitState>;
  },
): ReplicaSnapshot[] {
  const units = new Map(
    groups.flatMap((group) =>
      unitsOf(group, rolesOf(catalog, group.template_id)).flatMap((specs, unit) =>
        specs.map(({ replicaId }) => [replicaId, unit < (paid.get(group.id) ?? 0)] as const),
      ),
    ),
  );
  return replicas.map(({ replicaId, role, state, address, startedAtMs }) => {
    const isBase = units.get(replicaId);
    const isPaid = isBase === true ? true : (isAddedPaid(added.get(replicaId)) ?? isBase);
    if (state !== 'ready' || isPaid === true) return { replicaId, role, state, address, startedAtMs };
    return { replicaId, role, state: isPaid === undefined ? 'draining' : 'starting', address, startedAtMs };
  });
}

/** Of a unit that scaling added: false while it is not billed yet, undefined when it is no more. */
function isAddedPaid(state: ElasticUnitState | undefined): boolean | undefined {
  if (state === 'ready') return true;
  return state === 'starting' ? false : undefined;
}

/**
 * How much longer these replicas take than their profile says: the mean of those that were checked, since a request may
 * run on any of them. It scales what a request is estimated to cost in unit time; bills count units and seconds.
 */
export function timeScaleOf(replicas: readonly Pick<ReplicaStatus, 'state' | 'timeScale'>[]): number {
  const scales = replicas.flatMap(({ state, timeScale }) => (state === 'ready' ? (timeScale ?? []) : []));
  return scales.length === 0 ? 1 : scales.reduce((sum, scale) => sum + scale, 0) / scales.length;
}

/** The tier of a coefficient; the nearest when the catalogue has changed since it was chosen. */
function tierOf(template: Template, coefficient: number): Tier {
  const distance = (tier: Tier) => Math.abs(tier.coefficient - coefficient);
  return template.tiers.reduce((best, tier) => (distance(tier) < distance(best) ? tier : best));
}

function contextTokensOf(model: Model, template: Template): number {
  return Math.min(model.contextTokens ?? Number.POSITIVE_INFINITY, template.engine.contextTokens);
}
