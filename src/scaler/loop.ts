import type { Kysely } from 'kysely';
import type { ControlLog } from '../control/call.ts';
import { readRule } from '../control/elastic/rule.ts';
import { type ElasticUnit, launchUnits, moveUnit, openUnits } from '../control/elastic/units.ts';
import { createTurns, type Turns } from '../control/turns.ts';
import { replicasById, wholeUnitIds } from '../control/units.ts';
import type { IdKind } from '../core/ids.ts';
import type { ElasticRule } from '../core/serving/scaling/rule.ts';
import { Schedule } from '../core/serving/scaling/schedule.ts';
import { type ExplainedDecision, Scaling } from '../core/serving/scaling.ts';
import type { Fleet } from '../fleet/port.ts';
import { takeLease } from '../store/lease.ts';
import { notify } from '../store/notices.ts';
import type { Database, Row } from '../store/schema.ts';
import { type LivingUnit, observe, type Reading, type ServedSignals } from './observe.ts';
import { planUnits } from './plan.ts';

export interface ScalerDeps {
  readonly db: Kysely<Database>;
  readonly fleet: Pick<Fleet, 'list' | 'capacity'>;
  readonly log: ControlLog;
  /** Epoch milliseconds. */
  now(): number;
  newId(kind: IdKind): string;
  /** What the gateways know, by served model, and when they said so; without fresh ones nothing is changed. */
  signals(): { readonly atMs: number; readonly servedModels: readonly ServedSignals[] };
  /** From launch to ready, as learned. */
  startupMsOf(templateId: string): number;
  /** A unit was launched, drained or taken back. */
  changed(): void;
  /** Names this process in the lease; unlike any other's. */
  readonly holder: string;
}

const TICK_MS = 5_000;
/** Older signals decide nothing. */
const SIGNAL_AGE_MS_MAX = 15_000;
const LEASE_MS = 20_000;
/** After a failed start the next one waits, longer each time. */
const BACKOFF_FIRST_MS = 10_000;
const BACKOFF_MS_MAX = 300_000;
/** Failures in a row of which the tenant is told. */
const STUCK_FAILURES = 3;

/** Decides every 5 s for every group that has an elastic rule. Of several processes the one with the lease does. */
export function startScaler(deps: ScalerDeps): Turns {
  const scaler = new Scaler(deps);
  return createTurns({
    work: () => scaler.turn(),
    gapMs: TICK_MS,
    tickMs: TICK_MS,
    failed: (error) => deps.log.error({ err: error }, 'scaling failed; it is tried again in a second'),
  });
}

interface Governed {
  readonly group: Row<'instance_groups'>;
  readonly rule: ElasticRule;
  readonly coefficient: number;
}

/** What is remembered of a group between turns: only what may be forgotten. */
interface Memory {
  readonly ruleJson: string;
  readonly scaling: Scaling;
  readonly schedule: Schedule;
  before: Reading | null;
}

export class Scaler {
  readonly #deps: ScalerDeps;
  #memories = new Map<string, Memory>();

  constructor(deps: ScalerDeps) {
    this.#deps = deps;
  }

  async turn(): Promise<void> {
    const { db, holder } = this.#deps;
    if (!(await takeLease(db, { name: 'scaler', holder, ttlMs: LEASE_MS }))) {
      this.#memories.clear();
      return;
    }
    const governed = await this.#governed();
    this.#memories = new Map(governed.map((one) => [one.group.id, this.#memoryOf(one)]));
    const { atMs, servedModels } = this.#deps.signals();
    const nowMs = this.#deps.now();
    // Signals of the past, or of a clock that is not ours, decide nothing.
    if (governed.length === 0 || Math.abs(nowMs - atMs) > SIGNAL_AGE_MS_MAX) return;
    const signals = new Map(servedModels.map((model) => [model.servedModelId, model]));
    const ids = governed.map(({ group }) => group.served_model_id);
    const siblings = await this.#groupsOf(ids);
    const units = await openUnits(
      db,
      governed.map(({ group }) => group.id),
    );
    for (const one of governed) {
      const own = signals.get(one.group.served_model_id);
      if (own === undefined) continue;
      await this.#scale(one, own, siblings.get(one.group.served_model_id) ?? [], units.get(one.group.id) ?? []);
    }
  }

  async #governed(): Promise<(Governed & { readonly ruleJson: string })[]> {
    const rows = await this.#deps.db
      .selectFrom('elastic_rules')
      .innerJoin('instance_groups', 'instance_groups.id', 'elastic_rules.group_id')
      .innerJoin('served_models', 'served_models.id', 'elastic_rules.served_model_id')
      .selectAll('instance_groups')
      .select(['max_units', 'rule_json', 'coefficient'])
      .where('state', 'in', ['active', 'resizing'])
      .execute();
    return rows.map((row) => ({
      group: row,
      rule: readRule(row),
      coefficient: row.coefficient,
      ruleJson: `${row.units} ${row.max_units} ${row.coefficient} ${row.rule_json}`,
    }));
  }

  #memoryOf({ group, rule, coefficient, ruleJson }: Governed & { readonly ruleJson: string }): Memory {
    const known = this.#memories.get(group.id);
    if (known?.ruleJson === ruleJson) return known;
    const schedule = new Schedule(rule.windows, rule.zone);
    return { ruleJson, schedule, scaling: new Scaling({ ...rule, coefficient }), before: known?.before ?? null };
  }

  async #groupsOf(servedModelIds: readonly string[]): Promise<ReadonlyMap<string, Row<'instance_groups'>[]>> {
    const rows = await this.#deps.db
      .selectFrom('instance_groups')
      .selectAll()
      .where('served_model_id', 'in', [...new Set(servedModelIds)])
      .where('state', 'in', ['active', 'resizing'])
      .execute();
    return Map.groupBy(rows, (row) => row.served_model_id);
  }

  async #scale(
    { group, rule }: Governed,
    signals: ServedSignals,
    siblings: readonly Row<'instance_groups'>[],
    added: readonly ElasticUnit[],
  ): Promise<void> {
    const { now, startupMsOf } = this.#deps;
    const memory = this.#memories.get(group.id)!;
    const nowMs = now();
    const fixed = this.#fixedUnits(siblings);
    const units = [...fixed, ...added.flatMap(livingUnit)];
    const reading = { atMs: nowMs, signals };
    const startupMs = startupMsOf(group.template_id);
    const bounds = this.#bounds({ group, rule, added, others: fixed.length - group.units }, startupMs);
    const observation = observe(reading, memory.before, units, { ...bounds, startupMs });
    memory.before = reading;
    const decision = memory.scaling.decide(observation, nowMs);
    const alive = added.filter((unit) => unit.state !== 'draining').length;
    const wanted = Math.max(0, decision.desiredUnits - fixed.length);
    if (wanted === alive || (wanted > alive && (await this.#backsOff(group.id, nowMs)))) return;
    await this.#act({ group, added, wanted, alive, signals }, decision);
  }

  /** Base units of all groups of the served model: there, or about to be. */
  #fixedUnits(groups: readonly Row<'instance_groups'>[]): LivingUnit[] {
    const replicas = replicasById(this.#deps.fleet.list());
    return groups.flatMap(wholeUnitIds).map((replicaId) => {
      const replica = replicas.get(replicaId);
      const state = replica?.state === 'ready' ? 'ready' : 'starting';
      return { replicaId, state, sinceMs: replica?.readyAtMs ?? replica?.startedAtMs ?? 0 };
    });
  }

  /** Of all units of the served model: what the rule and its schedule hold, and what rule and machines allow. */
  #bounds({ group, rule, added, others }: Bounded, startupMs: number) {
    const nowMs = this.#deps.now();
    const floor = this.#memories.get(group.id)!.schedule.floorWithin(nowMs, nowMs + startupMs);
    const { free } = this.#deps.fleet.capacity(group.template_id);
    const maxUnits = others + Math.min(Math.max(rule.maxUnits, group.units), group.units + added.length + free);
    return { maxUnits, minUnits: Math.min(maxUnits, others + Math.max(group.units, floor)) };
  }

  /** Whether the last starts failed and the next one has to wait. */
  async #backsOff(groupId: string, nowMs: number): Promise<boolean> {
    const last = await this.#deps.db
      .selectFrom('elastic_units')
      .select(['state', 'ready_at_ms', 'ended_at_ms'])
      .where('group_id', '=', groupId)
      .orderBy('launched_at_ms', 'desc')
      .orderBy('id', 'desc')
      .limit(8)
      .execute();
    const firstGood = last.findIndex((unit) => unit.state !== 'failed' || unit.ready_at_ms !== null);
    const failures = firstGood === -1 ? last.length : firstGood;
    if (failures === 0) return false;
    const waitMs = Math.min(BACKOFF_MS_MAX, BACKOFF_FIRST_MS * 2 ** (failures - 1));
    return nowMs < (last[0]?.ended_at_ms ?? 0) + waitMs;
  }

  async #act(change: Change, decision: ExplainedDecision): Promise<void> {
    const { db, now, newId, log, changed } = this.#deps;
    const { group, added, wanted, alive, signals } = change;
    const byId = new Map(added.map((unit) => [unit.id, unit]));
    const plan = planUnits(
      added.map((unit) => ({
        id: unit.id,
        state: unit.state,
        launchedAtMs: unit.launched_at_ms,
        running: signals.runningOn.get(unit.replica_id) ?? 0,
      })),
      wanted,
    );
    await db.transaction().execute(async (trx) => {
      const deps = { now, newId };
      for (const id of plan.takeBack) await moveUnit(trx, deps, { group, unit: byId.get(id)!, event: 'take_back' });
      for (const id of plan.drain) await moveUnit(trx, deps, { group, unit: byId.get(id)!, event: 'drain' });
      for (const id of plan.cancel) await moveUnit(trx, deps, { group, unit: byId.get(id)!, event: 'release' });
      await launchUnits(trx, deps, group, plan.launch);
      await trx
        .insertInto('scaling_decisions')
        .values({
          id: newId('decision'),
          tenant_id: group.tenant_id,
          group_id: group.id,
          at_ms: now(),
          units_before: group.units + alive,
          units_after: group.units + wanted,
          cause: decision.cause,
          sentence: decision.reason,
          inputs_json: JSON.stringify(decision.inputs),
        })
        .execute();
      await this.#tellWhenStuck(trx, group, plan.launch);
    });
    const { cause, reason } = decision;
    log.info({ groupId: group.id, unitsBefore: group.units + alive, unitsAfter: group.units + wanted, cause }, reason);
    changed();
  }

  async #tellWhenStuck(
    trx: Parameters<typeof notify>[0],
    group: Row<'instance_groups'>,
    launched: number,
  ): Promise<void> {
    if (launched === 0) return;
    const last = await trx
      .selectFrom('elastic_units')
      .select(['state', 'failure', 'ready_at_ms', 'ended_at_ms'])
      .where('group_id', '=', group.id)
      .where('ended_at_ms', 'is not', null)
      .orderBy('ended_at_ms', 'desc')
      .limit(STUCK_FAILURES)
      .execute();
    const stuck = last.length === STUCK_FAILURES && last.every((unit) => unit.state === 'failed');
    if (!stuck) return;
    await notify(trx, this.#deps, {
      tenantId: group.tenant_id,
      kind: 'scaling_stuck',
      subject: group.id,
      // Once for each run of failures.
      dueAtMs: last.at(-1)!.ended_at_ms!,
      detail: { endpointId: group.endpoint_id, groupId: group.id, failures: last.length, reason: last[0]!.failure },
    });
  }
}

interface Change {
  readonly group: Row<'instance_groups'>;
  readonly added: readonly ElasticUnit[];
  /** Added units to have, and those that are there: ready or starting. */
  readonly wanted: number;
  readonly alive: number;
  readonly signals: ServedSignals;
}

interface Bounded {
  readonly group: Row<'instance_groups'>;
  readonly rule: ElasticRule;
  readonly added: readonly ElasticUnit[];
  /** Units that other groups of the served model hold. */
  readonly others: number;
}

function livingUnit(unit: ElasticUnit): LivingUnit[] {
  const { state, replica_id: replicaId } = unit;
  if (state !== 'starting' && state !== 'ready' && state !== 'draining') return [];
  return [{ replicaId, state, sinceMs: unit.draining_at_ms ?? unit.ready_at_ms ?? unit.launched_at_ms }];
}
