import { CubitError } from '../../core/errors.ts';
import type { ReplicaSpec, ReplicaStatus } from '../../fleet/port.ts';
import type { Row } from '../../store/schema.ts';
import type { ProvisionerDeps } from '../provision.ts';
import { rolesOf } from '../units.ts';
import { ruleOf } from './rule.ts';
import { type ElasticUnit, elasticSpecsOf, moveUnit } from './units.ts';

const START_MS_MAX = 900_000;

type Groups = readonly Row<'instance_groups'>[];

/**
 * Follows the units that scaling wrote down: starts those that are new, and writes down what the fleet made of them. A
 * unit is billed from the moment this sees it ready, and released once nothing runs on it or its drain's time is over.
 * Everything is found anew at each pass, so a kill between any two steps changes no outcome.
 */
export class ElasticFollower {
  readonly #deps: ProvisionerDeps;

  constructor(deps: ProvisionerDeps) {
    this.#deps = deps;
  }

  async follow(
    groups: Groups,
    added: ReadonlyMap<string, readonly ElasticUnit[]>,
    replicas: ReadonlyMap<string, ReplicaStatus>,
  ): Promise<void> {
    const live = new Map(groups.map((group) => [group.id, group]));
    for (const [groupId, units] of added) {
      const group = live.get(groupId);
      if (group === undefined) await this.#releaseAll(groupId);
      else for (const unit of units) await this.#followOne(group, unit, replicas);
    }
  }

  async #followOne(
    group: Row<'instance_groups'>,
    unit: ElasticUnit,
    replicas: ReadonlyMap<string, ReplicaStatus>,
  ): Promise<void> {
    const specs = elasticSpecsOf(group, unit, rolesOf(this.#deps.catalog, group.template_id));
    const failed = specs.map((spec) => replicas.get(spec.replicaId)).find((machine) => machine?.state === 'failed');
    if (failed !== undefined) return this.#move(group, unit, 'fail', failed.failure ?? 'The engine gave no reason.');
    const stateOf = ({ replicaId }: ReplicaSpec) => replicas.get(replicaId)?.state ?? 'stopped';
    const missing = specs.filter((spec) => stateOf(spec) === 'stopped');
    switch (unit.state) {
      case 'starting':
        if (specs.every((spec) => stateOf(spec) === 'ready')) return this.#move(group, unit, 'ready');
        if (this.#isStuck(unit)) return this.#move(group, unit, 'fail', lateBecause(specs, replicas));
        return this.#start(group, unit, missing);
      case 'ready':
        // The fleet forgot it, as after a restart: the same replica is started again; it was paid and goes on.
        return this.#start(group, unit, missing);
      case 'draining': {
        const isGone = missing.length === specs.length;
        if (isGone || (await this.#isDrained(group, unit, specs))) return this.#move(group, unit, 'release');
        return;
      }
      default:
        return;
    }
  }

  #isStuck(unit: ElasticUnit): boolean {
    const { now, provisionMsMax = START_MS_MAX } = this.#deps;
    return now() - unit.launched_at_ms >= provisionMsMax;
  }

  /** All of its machines: a request goes from one to the other. */
  async #isDrained(group: Row<'instance_groups'>, unit: ElasticUnit, specs: readonly ReplicaSpec[]): Promise<boolean> {
    const working = specs.filter(({ role }) => role !== 'cache');
    const running = working.map(({ replicaId }) => this.#deps.runningOn?.(replicaId) ?? null);
    if (running.every((one) => one === 0)) return true;
    const rule = await ruleOf(this.#deps.db, group.id);
    const drainMsMax = rule?.drainMsMax ?? this.#deps.drainMs;
    return this.#deps.now() - (unit.draining_at_ms ?? 0) >= drainMsMax;
  }

  async #start(group: Row<'instance_groups'>, unit: ElasticUnit, missing: readonly ReplicaSpec[]): Promise<void> {
    try {
      for (const spec of missing) this.#deps.fleet.start(spec);
    } catch (error) {
      await this.#move(group, unit, 'fail', (error as Error).message);
    }
  }

  async #move(
    group: Row<'instance_groups'>,
    unit: ElasticUnit,
    event: 'ready' | 'fail' | 'release',
    failure?: string,
  ): Promise<void> {
    try {
      const move = { group, unit, event, ...(failure !== undefined && { failure }) };
      await this.#deps.db.transaction().execute((trx) => moveUnit(trx, this.#deps, move));
    } catch (error) {
      // Somebody moved it at the same moment; the next pass sees what it is now.
      if (error instanceof CubitError && error.code === 'conflict') return;
      throw error;
    }
    this.#deps.changed();
  }

  /** Their group ended and with it what is billed. */
  async #releaseAll(groupId: string): Promise<void> {
    await this.#deps.db
      .updateTable('elastic_units')
      .set({ state: 'released', ended_at_ms: this.#deps.now() })
      .where('group_id', '=', groupId)
      .where('ended_at_ms', 'is', null)
      .execute();
  }
}

function lateBecause(specs: readonly ReplicaSpec[], replicas: ReadonlyMap<string, ReplicaStatus>): string {
  const failure = specs.map(({ replicaId }) => replicas.get(replicaId)?.failure ?? null).find((why) => why !== null);
  return failure === undefined ? 'It was not ready in time.' : `It was not ready in time. ${failure}`;
}
