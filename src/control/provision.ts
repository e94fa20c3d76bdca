import type { Kysely } from 'kysely';
import type { Catalog } from '../catalog/schema.ts';
import type { IdKind } from '../core/ids.ts';
import type { Fleet, ReplicaSpec, ReplicaStatus, Role } from '../fleet/port.ts';
import type { Database, Row } from '../store/schema.ts';
import type { ControlLog } from './call.ts';
import { ElasticFollower } from './elastic/follow.ts';
import { type ElasticUnit, elasticSpecsOf, openUnits } from './elastic/units.ts';
import { LIVE_GROUP_STATES } from './internal.ts';
import { failOrder, succeedOrder } from './order/settle.ts';
import { livePools, poolSpecs } from './pool/pools.ts';
import { Revival } from './revival.ts';
import { createTurns, type Turns } from './turns.ts';
import { paidUnitsOf, replicasById, rolesOf, specsOf, unitsOf } from './units.ts';

export interface ProvisionerDeps {
  readonly db: Kysely<Database>;
  readonly catalog: Catalog;
  readonly fleet: Fleet;
  readonly log: ControlLog;
  /** Epoch milliseconds, for what is written down. */
  now(): number;
  /** Milliseconds that no clock change moves, for deadlines; `performance.now` unless told otherwise. */
  monotonicMs?(): number;
  newId(kind: IdKind): string;
  /** Called when an order ended: the gateway's snapshot is out of date. */
  changed(): void;
  /** Running streams of a unit that is taken back have this long. */
  readonly drainMs: number;
  /** An order whose units are not ready by then fails; 15 minutes unless told otherwise. Counted anew after a restart. */
  readonly provisionMsMax?: number;
  /** Requests that run on a replica, as the gateways know; null: nobody knows. A draining unit is released at none. */
  runningOn?(replicaId: string): number | null;
  /** How long the fleet may refuse a unit before its order fails; 30 seconds unless told otherwise. */
  readonly refusalMs?: number;
}

const PROVISION_MS_MAX = 900_000;
const REFUSAL_MS = 30_000;
const GAP_MS = 10;
const TICK_MS = 1_000;

interface Pending {
  readonly sinceMs: number;
  refusal: { readonly sinceMs: number; readonly reason: string } | null;
}

/** Reconciles at once, after every change of the fleet or `poke`, and every second. */
export function startProvisioner(deps: ProvisionerDeps): Turns {
  const provisioner = new Provisioner(deps);
  const turns = createTurns({
    work: () => provisioner.reconcile(),
    gapMs: GAP_MS,
    tickMs: TICK_MS,
    failed: (error) => deps.log.error({ err: error }, 'provisioning failed; it is tried again in a second'),
  });
  const unlisten = deps.fleet.onChange(() => turns.poke());
  turns.poke();
  return {
    poke: turns.poke,
    // Replicas stay as they are: closing the fleet is its owner's part.
    stop() {
      unlisten();
      return turns.stop();
    },
  };
}

/**
 * Makes the fleet what groups and pools say: starts the replicas of every live one that are missing, takes back the surplus,
 * and ends orders: success when all units are ready, failure when one gave up or the deadline passed. Everything is
 * derived from the database and the fleet at each pass, and replica ids from group ids, so that a kill between any two
 * steps loses and doubles nothing.
 */
export class Provisioner {
  readonly #deps: ProvisionerDeps;
  readonly #revival: Revival;
  readonly #elastic: ElasticFollower;
  /** Groups with an order under way, by id; what of them is known only here starts anew after a restart. */
  #pending = new Map<string, Pending>();

  constructor(deps: ProvisionerDeps) {
    this.#deps = deps;
    this.#revival = new Revival(deps.fleet, deps.log);
    this.#elastic = new ElasticFollower(deps);
  }

  #monotonicMs(): number {
    return this.#deps.monotonicMs?.() ?? performance.now();
  }

  /** One pass. */
  async reconcile(): Promise<void> {
    const { db, fleet } = this.#deps;
    const groups = await db.selectFrom('instance_groups').selectAll().where('state', 'in', LIVE_GROUP_STATES).execute();
    const paid = await paidUnitsOf(db, groups);
    const added = await openUnits(db);
    const pools = (await livePools(db)).map(poolSpecs);
    const specs = [
      ...groups.flatMap((group) => [
        ...specsOf(group, this.#rolesOf(group)),
        ...addedSpecs(group, added, this.#rolesOf(group)),
      ]),
      ...pools.flat(),
    ];
    const wanted = new Set(specs.map((spec) => spec.replicaId));
    this.#forgetAllBut(groups, wanted);
    this.#takeBack(wanted);
    const replicas = replicasById(fleet.list());
    for (const group of groups) this.#startGroup(group, paid.get(group.id) ?? 0, replicas);
    // A pool has no order that could fail: its units are tried for as long as it is there.
    for (const specs of pools)
      this.#startMissing(
        specs.map((spec) => [spec]),
        specs.length,
        replicas,
      );
    for (const group of groups) {
      if (group.state !== 'active') await this.#settle(group, paid.get(group.id) ?? 0);
    }
    await this.#elastic.follow(groups, added, replicas);
  }

  #forgetAllBut(groups: readonly Row<'instance_groups'>[], wanted: ReadonlySet<string>): void {
    const nowMs = this.#monotonicMs();
    const before = this.#pending;
    const pending = groups.filter((group) => group.state !== 'active');
    this.#pending = new Map(pending.map(({ id }) => [id, before.get(id) ?? { sinceMs: nowMs, refusal: null }]));
    this.#revival.forgetAllBut(wanted);
  }

  /** Draining ends by itself, so nothing waits for it here. */
  #takeBack(wanted: ReadonlySet<string>): void {
    const { fleet, drainMs, log } = this.#deps;
    for (const { replicaId, state } of fleet.list()) {
      if (wanted.has(replicaId) || state === 'draining' || state === 'stopped') continue;
      fleet.stop(replicaId, drainMs).catch((error: unknown) => {
        log.error({ err: error, replicaId }, 'a unit could not be taken back; it is tried again');
      });
    }
  }

  #startGroup(group: Row<'instance_groups'>, paidUnits: number, replicas: ReadonlyMap<string, ReplicaStatus>): void {
    const refusal = this.#startMissing(unitsOf(group, this.#rolesOf(group)), paidUnits, replicas);
    const pending = this.#pending.get(group.id);
    if (pending === undefined) return;
    const sinceMs = pending.refusal?.sinceMs ?? this.#monotonicMs();
    pending.refusal = refusal === null ? null : { sinceMs, reason: refusal };
  }

  /** null, or why the fleet refuses one. */
  #startMissing(
    units: readonly (readonly ReplicaSpec[])[],
    paidUnits: number,
    replicas: ReadonlyMap<string, ReplicaStatus>,
  ): string | null {
    let refusal: string | null = null;
    for (const [unit, machines] of units.entries()) {
      for (const spec of machines) {
        const state = replicas.get(spec.replicaId)?.state ?? 'stopped';
        if (state === 'stopped') refusal = this.#startOne(spec) ?? refusal;
        if (state === 'failed' && unit < paidUnits) this.#revival.tryAgain(spec.replicaId, this.#monotonicMs());
        if (state === 'ready') this.#revival.isWell(spec.replicaId);
      }
    }
    return refusal;
  }

  #rolesOf(group: Row<'instance_groups'>) {
    return rolesOf(this.#deps.catalog, group.template_id);
  }

  /** null, or why the fleet refuses; it is asked again at the next pass. */
  #startOne(spec: ReplicaSpec): string | null {
    try {
      this.#deps.fleet.start(spec);
      return null;
    } catch (error) {
      return (error as Error).message;
    }
  }

  async #settle(group: Row<'instance_groups'>, paidUnits: number): Promise<void> {
    const replicas = replicasById(this.#deps.fleet.list());
    const units = unitsOf(group, this.#rolesOf(group)).map((specs) =>
      specs.map((spec) => replicas.get(spec.replicaId)),
    );
    const failure = this.#failureOf(group, units.slice(paidUnits).flat());
    if (failure !== null) await failOrder(this.#deps, group, paidUnits, failure);
    else if (units.flat().every((machine) => machine?.state === 'ready')) await succeedOrder(this.#deps, group);
  }

  #failureOf(group: Row<'instance_groups'>, added: readonly (ReplicaStatus | undefined)[]): string | null {
    const gaveUp = added.find((unit) => unit?.state === 'failed');
    if (gaveUp !== undefined) return `A unit could not be started: ${gaveUp.failure ?? 'the engine gave no reason'}`;
    const { provisionMsMax = PROVISION_MS_MAX, refusalMs = REFUSAL_MS } = this.#deps;
    const nowMs = this.#monotonicMs();
    const { sinceMs, refusal } = this.#pending.get(group.id) ?? { sinceMs: nowMs, refusal: null };
    if (refusal !== null && nowMs - refusal.sinceMs >= refusalMs) return refusal.reason;
    if (nowMs - sinceMs < provisionMsMax) return null;
    const why = added.find((unit) => unit !== undefined && unit.state !== 'ready' && unit.failure !== null)?.failure;
    const late = `The units were not ready within ${Math.round(provisionMsMax / 1000)} seconds.`;
    return why === undefined ? late : `${late} ${why}`;
  }
}

function addedSpecs(
  group: Row<'instance_groups'>,
  added: ReadonlyMap<string, readonly ElasticUnit[]>,
  roles: readonly Role[],
): readonly ReplicaSpec[] {
  return (added.get(group.id) ?? []).flatMap((unit) => elasticSpecsOf(group, unit, roles));
}
