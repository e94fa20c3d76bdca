import type { Kysely } from 'kysely';
import type { Catalog } from '../catalog/schema.ts';
import type { ControlLog } from '../control/call.ts';
import { readRule } from '../control/elastic/rule.ts';
import { type ElasticUnit, launchUnits, moveUnit, openUnits } from '../control/elastic/units.ts';
import { createTurns, type Turns } from '../control/turns.ts';
import { replicasById, rolesOf } from '../control/units.ts';
import type { SalesPolicy, Trx } from '../control/verb.ts';
import type { IdKind } from '../core/ids.ts';
import { ForesightScaling } from '../core/serving/scaling/foresight.ts';
import type { ElasticRule } from '../core/serving/scaling/rule.ts';
import { Schedule } from '../core/serving/scaling/schedule.ts';
import type { ExplainedDecision, ScalingCause } from '../core/serving/scaling.ts';
import type { Fleet, ReplicaStatus, Role } from '../fleet/port.ts';
import { takeLease } from '../store/lease.ts';
import type { Database, Row } from '../store/schema.ts';
import { backsOffUntilMs } from './backoff.ts';
import { addedUnits, baseUnits } from './living.ts';
import { type GatewaySignals, SignalMerger } from './merge.ts';
import { observe, type Reading, type ServedSignals } from './observe.ts';
import { planUnits } from './plan.ts';
import { type LearnedProfile, readProfiles, saveProfiles } from './profiles.ts';
import { quotaRoom } from './quota-room.ts';
import { tellOfQuota, tellWhenStuck } from './tell.ts';
import { type UnfitUnit, UnfitUnits } from './unfit.ts';

export interface ScalerDeps {
  readonly db: Kysely<Database>;
  readonly fleet: Pick<Fleet, 'list' | 'capacity'>;
  readonly catalog: Pick<Catalog, 'templates'>;
  readonly policy: SalesPolicy;
  readonly log: ControlLog;
  /** Epoch milliseconds. */
  now(): number;
  newId(kind: IdKind): string;
  /** What each gateway said last, and when; without fresh ones nothing is changed. */
  signals(): readonly GatewaySignals[];
  /** From launch to ready, as learned. */
  startupMsOf(templateId: string): number;
  /** A unit was launched, drained or taken back. */
  changed(): void;
  /** Names this process in the lease; unlike any other's. */
  readonly holder: string;
}

const TICK_MS = 5_000;
const LEASE_MS = 20_000;
/** Of a group, as far as back-off looks. */
const LAST_UNITS = 16;
/** Steps of five minutes between two times that a group's week is stored; groups that are stored in one turn. */
const SAVE_EVERY = 12;
const SAVED_MAX = 200;

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
  readonly coefficient: number;
  readonly ruleRow: Pick<Row<'elastic_rules'>, 'max_units' | 'rule_json'> & { readonly units: number };
}

/** What is remembered of a group between turns: only what may be forgotten. */
interface Memory {
  readonly ruleKey: string;
  readonly rule: ElasticRule;
  readonly scaling: ForesightScaling;
  readonly schedule: Schedule;
  readonly unfit: UnfitUnits;
  before: Reading | null;
  /** Of the forecast, when it was stored last. */
  savedVersion: number;
}

/** What is the same for all groups in one turn, read once. */
interface Turn {
  readonly nowMs: number;
  readonly replicas: ReadonlyMap<string, ReplicaStatus>;
  readonly siblings: ReadonlyMap<string, readonly Row<'instance_groups'>[]>;
  readonly added: ReadonlyMap<string, readonly ElasticUnit[]>;
  /** Added units that quotas leave, less those that are there; grows no more than one turn out of date. */
  readonly roomLeft: (group: Row<'instance_groups'>) => number;
  readonly freeUnits: (templateId: string) => number;
}

export class Scaler {
  readonly #deps: ScalerDeps;
  readonly #merger = new SignalMerger();
  #memories = new Map<string, Memory>();

  constructor(deps: ScalerDeps) {
    this.#deps = deps;
  }

  async turn(): Promise<void> {
    const { db, holder, log, now, signals } = this.#deps;
    if (!(await takeLease(db, { name: 'scaler', holder, ttlMs: LEASE_MS }))) {
      this.#memories.clear();
      return;
    }
    const governed = await this.#governed();
    await this.#remember(governed);
    const merged = this.#merger.merge(signals(), now());
    if (governed.length === 0 || merged === null) return;
    const turn = await this.#readTurn(governed);
    for (const one of governed) {
      const own = merged.get(one.group.served_model_id);
      if (own === undefined) continue;
      try {
        await this.#scale(one, own, turn);
      } catch (error) {
        // One group's trouble is no other's; its transaction left nothing behind.
        log.error({ err: error, groupId: one.group.id }, 'a group could not be scaled; it is tried again');
      }
    }
    await this.#saveProfiles();
  }

  async #governed(): Promise<Governed[]> {
    const rows = await this.#deps.db
      .selectFrom('elastic_rules')
      .innerJoin('instance_groups', 'instance_groups.id', 'elastic_rules.group_id')
      .innerJoin('served_models', 'served_models.id', 'elastic_rules.served_model_id')
      .selectAll('instance_groups')
      .select(['max_units', 'rule_json', 'coefficient'])
      .where('state', 'in', ['active', 'resizing'])
      .execute();
    return rows.map((row) => ({ group: row, coefficient: row.coefficient, ruleRow: row }));
  }

  /** Groups that go on keep what they know; those that are new find what was learned of them before. */
  async #remember(governed: readonly Governed[]): Promise<void> {
    const unknown = governed.flatMap(({ group }) => (this.#memories.has(group.id) ? [] : [group.id]));
    const stored = await readProfiles(this.#deps.db, unknown);
    const memories = new Map<string, Memory>();
    for (const { coefficient, group, ruleRow } of governed) {
      const ruleKey = `${ruleRow.units} ${ruleRow.max_units} ${coefficient} ${ruleRow.rule_json}`;
      const known = this.#memories.get(group.id);
      if (known?.ruleKey === ruleKey) {
        memories.set(group.id, known);
        continue;
      }
      const rule = readRule(ruleRow);
      const profile = known?.scaling.forecast.profile() ?? stored.get(group.id) ?? null;
      memories.set(group.id, {
        ruleKey,
        rule,
        schedule: new Schedule(rule.windows, rule.zone),
        scaling: new ForesightScaling({ ...rule, coefficient }, profile),
        unfit: known?.unfit ?? new UnfitUnits(),
        before: known?.before ?? null,
        savedVersion: 0,
      });
    }
    this.#memories = memories;
  }

  async #readTurn(governed: readonly Governed[]): Promise<Turn> {
    const { db, fleet, now } = this.#deps;
    const siblings = await db
      .selectFrom('instance_groups')
      .selectAll()
      .where('served_model_id', 'in', db.selectFrom('elastic_rules').select('served_model_id'))
      .where('state', 'in', ['active', 'resizing'])
      .execute();
    const added = await openUnits(db);
    const room = await quotaRoom(db, this.#deps);
    const used = new Map<string, number>();
    const keyOf = (group: Row<'instance_groups'>) => `${group.tenant_id} ${group.template_id}`;
    for (const { group } of governed) {
      const alive = (added.get(group.id) ?? []).filter(({ state }) => state !== 'draining').length;
      used.set(keyOf(group), (used.get(keyOf(group)) ?? 0) + alive);
    }
    const free = new Map<string, number>();
    return {
      nowMs: now(),
      replicas: replicasById(fleet.list()),
      siblings: Map.groupBy(siblings, (row) => row.served_model_id),
      added,
      roomLeft: (group) => room(group.tenant_id, group.template_id) - (used.get(keyOf(group)) ?? 0),
      freeUnits: (templateId) => {
        const units =
          free.get(templateId) ?? Math.floor(fleet.capacity(templateId).free / this.#roles(templateId).length);
        free.set(templateId, units);
        return units;
      },
    };
  }

  #roles(templateId: string): readonly Role[] {
    return rolesOf(this.#deps.catalog, templateId);
  }

  async #scale({ group }: Governed, signals: ServedSignals, turn: Turn): Promise<void> {
    const { nowMs } = turn;
    const memory = this.#memories.get(group.id)!;
    const roles = this.#roles(group.template_id);
    const added = turn.added.get(group.id) ?? [];
    const fixed = baseUnits(turn.siblings.get(group.served_model_id) ?? [], roles, turn.replicas);
    const units = [...fixed, ...addedUnits(added, roles)];
    const reading = { atMs: nowMs, signals };
    const startupMs = this.#deps.startupMsOf(group.template_id);
    const bounds = boundsOf({ group, memory, added, others: fixed.length - group.units }, startupMs, turn);
    const observation = observe(reading, memory.before, units, { ...bounds, startupMs });
    memory.before = reading;
    const decision = memory.scaling.decide(observation, nowMs);
    const unfit = memory.unfit.find(added, roles, signals.unfit, nowMs);
    if (unfit !== null) return this.#replace(group, added, unfit);
    const alive = added.filter((unit) => unit.state !== 'draining').length;
    const wanted = Math.max(0, decision.desiredUnits - fixed.length);
    if (wanted === alive || (wanted > alive && (await this.#backsOff(group.id, nowMs)))) return;
    const overQuota = Math.max(0, -turn.roomLeft(group));
    await this.#act({ group, added, wanted, alive, overQuota, signals }, decision);
  }

  /** Ends a unit that serves nothing. The next turn starts another, after a while when it had only just begun. */
  async #replace(group: Row<'instance_groups'>, added: readonly ElasticUnit[], { unit, failure }: UnfitUnit) {
    const { db, now, newId, log, changed } = this.#deps;
    const units = group.units + added.filter(({ state }) => state !== 'draining').length;
    const sentence = `A unit is replaced. ${failure}`;
    await db.transaction().execute(async (trx) => {
      await moveUnit(trx, { now, newId }, { group, unit, event: 'fail', failure });
      await this.#record(trx, group, { before: units, after: units - 1, cause: 'unfit', sentence, inputs: {} });
    });
    log.error({ groupId: group.id, unitId: unit.id, replicaId: unit.replica_id }, sentence);
    changed();
  }

  async #record(trx: Trx, group: Row<'instance_groups'>, { before, after, cause, sentence, inputs }: Recorded) {
    await trx
      .insertInto('scaling_decisions')
      .values({
        id: this.#deps.newId('decision'),
        tenant_id: group.tenant_id,
        group_id: group.id,
        at_ms: this.#deps.now(),
        units_before: before,
        units_after: after,
        cause,
        sentence,
        inputs_json: JSON.stringify(inputs),
      })
      .execute();
  }

  /** Whether the last starts failed, or units that had just begun to serve, and the next one has to wait. */
  async #backsOff(groupId: string, nowMs: number): Promise<boolean> {
    const last = await this.#deps.db
      .selectFrom('elastic_units')
      .select(['state', 'ready_at_ms', 'ended_at_ms'])
      .where('group_id', '=', groupId)
      .orderBy('launched_at_ms', 'desc')
      .orderBy('id', 'desc')
      .limit(LAST_UNITS)
      .execute();
    return nowMs < backsOffUntilMs(last);
  }

  /** An hour's learning at a time; a kill loses no more. Not all groups at once. */
  async #saveProfiles(): Promise<void> {
    const due: (LearnedProfile & { readonly memory: Memory })[] = [];
    for (const [groupId, memory] of this.#memories) {
      if (due.length >= SAVED_MAX) break;
      const { forecast } = memory.scaling;
      if (forecast.version - memory.savedVersion < SAVE_EVERY) continue;
      due.push({ groupId, profile: forecast.profile(), memory });
    }
    await saveProfiles(this.#deps.db, due, this.#deps.now());
    for (const { memory } of due) memory.savedVersion = memory.scaling.forecast.version;
  }

  async #act(change: Change, decision: ExplainedDecision): Promise<void> {
    const { db, now, newId, log, changed } = this.#deps;
    const { group, added, wanted, alive, overQuota, signals } = change;
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
      await this.#record(trx, group, {
        before: group.units + alive,
        after: group.units + wanted,
        cause: decision.cause,
        sentence: decision.reason,
        inputs: decision.inputs,
      });
      if (plan.launch > 0) await tellWhenStuck(trx, this.#deps, group);
      if (overQuota > 0 && decision.cause === 'bounds') await tellOfQuota(trx, this.#deps, group, alive - wanted);
    });
    const { cause, reason } = decision;
    log.info({ groupId: group.id, unitsBefore: group.units + alive, unitsAfter: group.units + wanted, cause }, reason);
    changed();
  }
}

interface Recorded {
  readonly before: number;
  readonly after: number;
  readonly cause: ScalingCause | 'unfit';
  /** For people. */
  readonly sentence: string;
  readonly inputs: ExplainedDecision['inputs'];
}

interface Change {
  readonly group: Row<'instance_groups'>;
  readonly added: readonly ElasticUnit[];
  /** Added units to have, and those that are there: ready or starting. */
  readonly wanted: number;
  readonly alive: number;
  /** Added units that quotas have no room for any more. */
  readonly overQuota: number;
  readonly signals: ServedSignals;
}

interface Bounded {
  readonly group: Row<'instance_groups'>;
  readonly memory: Memory;
  readonly added: readonly ElasticUnit[];
  /** Units that other groups of the served model hold. */
  readonly others: number;
}

/** Of all units of the served model: what the rule and its schedule hold, and what rule, quota and machines allow. */
function boundsOf({ group, memory, added, others }: Bounded, startupMs: number, turn: Turn) {
  const { rule, schedule } = memory;
  const floor = schedule.floorWithin(turn.nowMs, turn.nowMs + startupMs);
  const alive = added.filter(({ state }) => state !== 'draining').length;
  const byQuota = group.units + Math.max(0, alive + turn.roomLeft(group));
  const byMachines = group.units + added.length + turn.freeUnits(group.template_id);
  const maxUnits = others + Math.min(Math.max(rule.maxUnits, group.units), byQuota, byMachines);
  return { maxUnits, minUnits: Math.min(maxUnits, others + Math.max(group.units, floor)) };
}
