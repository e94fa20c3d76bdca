import { OutputLengths } from '../../core/serving/output-lengths.ts';
import { DEFAULT_QUEUE_LIMITS, FairQueue } from '../../core/serving/queue.ts';
import { mostHeadroom } from '../../core/serving/routing.ts';
import { typicalOf } from '../../core/serving/typical.ts';
import { NO_WORK, totalUs, workOf } from '../../core/serving/work.ts';
import type { TraceRequest } from '../../workload/trace.ts';
import { EventQueue } from './event-queue.ts';
import { SimFleet } from './fleet.ts';
import type { Job } from './job.ts';
import type { Happened, Machine } from './machine.ts';
import type { Meter } from './meter.ts';
import type { ClusterConfig, ClusterListener, Policies, SimOutcome, UnitRates } from './types.ts';
import { ratesOf, type SimUnit } from './unit.ts';

/** Kinds of events; at equal times the smaller comes first, so a request is there before an engine looks for it. */
const ARRIVAL = 0;
const READY = 1;
const FAILURE = 2;
const TRANSFERRED = 3;
const ENGINE = 4;
const WAKE = 5;
const TICK = 6;

const ATTEMPTS_MAX = 2;
const QUEUE_COUNT_MAX = 1_000_000;
/** Traces do not say whose a request is. */
const ONE_SHARE = [{ id: 'key', weight: 1 }] as const;
/** Output that a request could ask for at most. */
const MAX_TOKENS = 32_768;

/**
 * Units behind one gateway, event by event: admission, queue, routing and scaling are those of core (or baselines in
 * their place), engines are the step simulator's. Requests are taken from `trace` one by one, so a stream of any length
 * fits. Deterministic: all randomness comes from `config.seed`, one generator for each subsystem.
 */
export class Cluster {
  readonly #config: ClusterConfig;
  readonly #policies: Policies;
  readonly #listener: ClusterListener;
  readonly #meter: Meter;
  readonly #rates: UnitRates;
  readonly #events = new EventQueue();
  readonly #fleet: SimFleet;
  readonly #lengths = new OutputLengths();
  readonly #queue: FairQueue<Job>;
  readonly #machines = new Map<number, Machine>();
  readonly #units = new Map<number, SimUnit>();
  readonly #transfers = new Map<number, Job>();
  readonly #trace: Iterator<TraceRequest>;
  #coming: TraceRequest | null = null;
  #nextId = 0;
  #nextPlace = 0;
  #open = 0;
  #nowMs = 0;
  #wakeAtMs = Number.POSITIVE_INFINITY;

  constructor(
    config: ClusterConfig,
    policies: Policies,
    trace: Iterable<TraceRequest>,
    meter: Meter,
    listener: ClusterListener,
  ) {
    this.#config = config;
    this.#policies = policies;
    this.#meter = meter;
    this.#listener = listener;
    this.#rates = ratesOf(config.unit);
    this.#queue = new FairQueue({
      ...DEFAULT_QUEUE_LIMITS,
      count: QUEUE_COUNT_MAX,
      workUs: Number.MAX_VALUE,
      bytes: Number.MAX_VALUE,
      ageMs: Math.max(1, config.waitMsMax),
    });
    this.#trace = trace[Symbol.iterator]();
    this.#fleet = new SimFleet(config, {
      schedule: (unit, what, atMs) => this.#events.put(atMs, what === 'ready' ? READY : FAILURE, unit.index),
      changed: (unit) => this.#unitChanged(unit),
      released: (unit) => this.#unitReleased(unit),
    });
  }

  get fleet(): SimFleet {
    return this.#fleet;
  }

  /** Runs until every request has ended; returns when that was, ms. */
  run(): number {
    this.#fleet.begin();
    this.#nextArrival();
    this.#events.put(0, TICK, 0);
    for (let event = this.#events.take(); event !== undefined; event = this.#events.take()) {
      const machine = event.kind === ENGINE ? this.#machines.get(event.target) : undefined;
      if (event.kind === ENGINE && machine?.version !== event.version) continue;
      if (this.#coming === null && this.#open === 0) break;
      this.#nowMs = event.atMs;
      if (machine !== undefined) this.#stepEngine(machine);
      else if (event.kind === ARRIVAL) this.#arrive();
      else if (event.kind === WAKE) this.#wake(event.atMs);
      else if (event.kind === TRANSFERRED) this.#decode(event.target);
      else if (event.kind === TICK) this.#tick();
      else this.#unitEvent(event.kind, this.#units.get(event.target));
    }
    this.#fleet.end(this.#nowMs);
    return this.#nowMs;
  }

  #nextArrival(): void {
    const next = this.#trace.next();
    this.#coming = next.done === true ? null : next.value;
    if (this.#coming !== null) this.#events.put(Math.max(this.#nowMs, this.#coming.atMs), ARRIVAL, 0);
  }

  #arrive(): void {
    const request = this.#coming as TraceRequest;
    const job = this.#jobOf(request);
    this.#nextArrival();
    this.#open += 1;
    this.#listener.arrived(job.id, this.#nowMs);
    this.#meter.arrived(job);
    // No machine could ever hold it: the context is too long.
    if (job.promptTokens + job.outputTokens - 1 > this.#rates.contextTokens) this.#end(job, 'refused');
    else if (this.#queue.size === 0 && this.#mayEnter(job)) this.#enter(job);
    else if (this.#config.waitMsMax > 0 && this.#queue.offer(job, this.#nowMs) === 'queued') this.#planWake();
    else this.#end(job, 'refused');
  }

  #jobOf(request: TraceRequest): Job {
    const promptTokens = Math.max(1, request.promptTokens);
    const maxTokens = Math.max(1, Math.min(MAX_TOKENS, this.#rates.contextTokens - promptTokens));
    const expected = this.#lengths.estimate('endpoint', 'key', maxTokens);
    const work = workOf(this.#rates.coefficients, { promptTokens, cachedTokens: 0, outputTokens: expected });
    const typical = typicalOf(this.#lengths.shape('endpoint', 'key'), promptTokens, maxTokens, 1);
    this.#nextId += 1;
    return {
      id: this.#nextId - 1,
      request,
      promptTokens,
      outputTokens: Math.max(1, request.outputTokens),
      arrivedMs: this.#nowMs,
      deadlineMs: this.#nowMs + this.#config.waitMsMax,
      estimate: { work, kvTokens: promptTokens + expected, outputTokens: expected, sequences: 1, typical },
      workUs: totalUs(work),
      bytes: 0,
      shares: ONE_SHARE,
      ticket: null,
      machine: null,
      charged: NO_WORK,
      prefilled: false,
      attempts: 0,
      cachedTokens: 0,
      firstTokenMs: Number.NaN,
    };
  }

  #mayEnter(job: Job): boolean {
    return this.#fleet.entrances.length > 0 && this.#policies.gate.fits(job, this.#nowMs);
  }

  #enter(job: Job): void {
    job.ticket = this.#policies.gate.enter(job, this.#nowMs);
    this.#send(job);
  }

  #send(job: Job): void {
    const { cachedShare, machine } = this.#policies.route.pick(this.#fleet.entrances, job);
    job.attempts += 1;
    const { prefillUs, decodeUs } = job.estimate.work;
    const own = Math.ceil(prefillUs * (1 - cachedShare));
    const apart = machine.role === 'prefill';
    const { blocks } = job.request;
    machine.take(
      job,
      {
        promptTokens: job.promptTokens,
        outputTokens: apart ? 1 : job.outputTokens,
        ...(blocks === undefined ? {} : { blocks }),
      },
      { prefillUs: own, decodeUs: apart ? 0 : decodeUs },
      this.#nowMs,
    );
    this.#listener.sent(job.id, machine.unit.unitId, this.#nowMs);
    this.#plan(machine);
  }

  /** Its engine's next step is an event of its own. */
  #plan(machine: Machine): void {
    const dueMs = machine.engine.nextMs;
    if (dueMs === machine.dueMs) return;
    machine.dueMs = dueMs;
    machine.version += 1;
    if (dueMs === Number.POSITIVE_INFINITY) return;
    this.#events.put(dueMs, ENGINE, machine.place, machine.version);
  }

  #stepEngine(machine: Machine): void {
    machine.dueMs = Number.NaN;
    machine.engine.step();
    const { happened } = machine;
    for (let index = 0; index < happened.length; index += 1) this.#handle(machine, happened[index] as Happened);
    happened.length = 0;
    if (machine.unit.state !== 'released') this.#plan(machine);
  }

  #handle(machine: Machine, { atMs, job, kind, sequence }: Happened): void {
    if (kind === 'firstToken') {
      if (machine.role === 'decode') return;
      job.prefilled = true;
      job.firstTokenMs = atMs;
      job.cachedTokens = Math.min(sequence.cachedTokens, job.promptTokens);
      machine.prefilled(job);
      this.#policies.gate.prefilled(job);
      this.#listener.firstToken(job.id, atMs);
      this.#meter.firstToken(job, atMs);
      return;
    }
    machine.leave(job, true);
    if (machine.role === 'prefill' && job.outputTokens > 1) this.#transfer(job);
    else this.#complete(job);
    this.#fleet.releaseIfEmpty(machine.unit, this.#nowMs);
  }

  #transfer(job: Job): void {
    const { unit } = this.#config;
    if (unit.kind !== 'disaggregated') throw new Error('only disaggregated units transfer');
    job.machine = null;
    this.#transfers.set(job.id, job);
    this.#events.put(
      this.#nowMs + unit.transferFixedMs + unit.transferMsPerToken * job.promptTokens,
      TRANSFERRED,
      job.id,
    );
  }

  /** The decode machine gets a prompt whose cache comes with it, and the first token, which is the one to compute. */
  #decode(id: number): void {
    const job = this.#transfers.get(id) as Job;
    this.#transfers.delete(id);
    const serving = this.#fleet.units.filter(({ state }) => state === 'ready' || state === 'draining');
    const machine = mostHeadroom(serving.flatMap((unit) => unit.machines.filter(({ role }) => role === 'decode')));
    if (machine === null) {
      this.#fail(job);
      return;
    }
    const { outputTokens, promptTokens } = job;
    machine.take(
      job,
      { promptTokens: promptTokens + 1, cachedTokens: promptTokens, outputTokens: outputTokens - 1 },
      { prefillUs: 0, decodeUs: job.estimate.work.decodeUs },
      this.#nowMs,
    );
    this.#plan(machine);
  }

  #complete(job: Job): void {
    this.#lengths.observe('endpoint', 'key', job.outputTokens, Number.POSITIVE_INFINITY);
    this.#meter.completed(job, this.#nowMs);
    this.#policies.gate.leave(job, this.#nowMs);
    this.#end(job, 'completed');
    this.#pump();
  }

  #fail(job: Job): void {
    this.#policies.gate.leave(job, this.#nowMs);
    this.#end(job, 'failed');
  }

  #end(job: Job, outcome: SimOutcome): void {
    this.#open -= 1;
    this.#listener.ended(job.id, outcome, this.#nowMs);
    this.#meter.ended(outcome);
  }

  /** Lets in whoever fits, in order; nobody overtakes. */
  #pump(): void {
    for (const job of this.#queue.takeExpired(this.#nowMs)) this.#end(job, 'expired');
    for (let head = this.#queue.head(); head !== undefined && this.#mayEnter(head); head = this.#queue.head()) {
      this.#queue.take();
      this.#enter(head);
    }
    this.#planWake();
  }

  #planWake(): void {
    const head = this.#queue.head();
    if (head === undefined) return;
    const fitMs =
      this.#fleet.entrances.length === 0 ? Number.POSITIVE_INFINITY : this.#policies.gate.wakeMs(head, this.#nowMs);
    const dueMs = Math.max(this.#nowMs, Math.min(fitMs, this.#queue.nextDeadlineMs()));
    if (dueMs >= this.#wakeAtMs) return;
    this.#wakeAtMs = dueMs;
    this.#events.put(dueMs, WAKE, 0);
  }

  #wake(atMs: number): void {
    if (atMs < this.#wakeAtMs) return;
    this.#wakeAtMs = Number.POSITIVE_INFINITY;
    this.#pump();
  }

  #tick(): void {
    const { maxUnits, minUnits, scaleEveryMs } = this.#config;
    const windowMs = this.#nowMs === 0 ? 0 : scaleEveryMs;
    for (const unit of this.#fleet.units) this.#report(unit);
    const counts = this.#meter.window(this.#nowMs, this.#queue.size, this.#fleet);
    const observation = {
      ...counts,
      windowMs,
      units: this.#fleet.observe(this.#nowMs, windowMs),
      startingUnits: this.#fleet.count('starting'),
      readyUnits: this.#fleet.ready.length,
      drainingUnits: this.#fleet.count('draining'),
      queued: this.#queue.size,
      queuedWorkUs: this.#queue.workUs,
      startupMs: this.#fleet.startupMs,
      minUnits,
      maxUnits,
    };
    this.#fleet.scale(this.#policies.scaler.decide(observation, this.#nowMs), this.#nowMs);
    this.#pump();
    this.#events.put(this.#nowMs + scaleEveryMs, TICK, 0);
  }

  #report({ machines, unitId }: SimUnit): void {
    for (const { config, engine } of machines) {
      const { blockTokens, kvTokens, sequencesMax } = config;
      for (const { kvBlocksInUse, running } of engine.ranks) {
        this.#listener.holds(unitId, kvBlocksInUse * blockTokens, kvTokens, running.length, sequencesMax);
      }
    }
  }

  #unitEvent(kind: number, unit: SimUnit | undefined): void {
    // Its start was cancelled, or it was released before it could fail.
    if (unit === undefined) return;
    if (kind === READY) this.#fleet.started(unit, this.#nowMs);
    else if (this.#fleet.failed(unit, this.#nowMs)) {
      this.#rescue(unit);
      this.#fleet.reconcile(this.#nowMs);
    }
    this.#pump();
  }

  /** What ran on a unit that failed: sent once more as long as no token was delivered, else failed. */
  #rescue({ machines }: SimUnit): void {
    for (const machine of machines) {
      for (const job of [...machine.jobs.values()]) {
        machine.leave(job, job.prefilled);
        const again = !job.prefilled && job.attempts < ATTEMPTS_MAX && this.#fleet.entrances.length > 0;
        if (again) this.#send(job);
        else this.#fail(job);
      }
    }
  }

  #unitChanged(unit: SimUnit): void {
    if (unit.state === 'starting') {
      this.#units.set(unit.index, unit);
      for (const machine of unit.machines) {
        machine.place = this.#nextPlace;
        this.#nextPlace += 1;
        this.#machines.set(machine.place, machine);
      }
    }
    this.#listener.unit(unit.unitId, unit.state, this.#nowMs);
    this.#policies.gate.setReadyUnits(this.#fleet?.ready.length ?? 0, this.#nowMs);
  }

  #unitReleased(unit: SimUnit): void {
    if (unit.running === 0) this.#report(unit);
    this.#units.delete(unit.index);
    for (const machine of unit.machines) {
      this.#machines.delete(machine.place);
      this.#policies.route.forget(machine);
      this.#meter.retired(machine, this.#nowMs);
    }
  }
}
