import type { Candidate } from '../../core/serving/routing.ts';
import { totalUs, type Work } from '../../core/serving/work.ts';
import { sequenceOf } from '../engine-input.ts';
import type { EngineConfig, EngineRequest } from '../engine-types.ts';
import type { Sequence } from '../sequence.ts';
import { SteppingEngine } from '../stepping-engine.ts';
import type { Job } from './job.ts';
import type { SimUnit } from './unit.ts';

export type MachineRole = 'unified' | 'prefill' | 'decode';

/** What an engine said during a step, for the cluster to act on after it. */
export interface Happened {
  readonly kind: 'firstToken' | 'ended';
  readonly job: Job;
  readonly sequence: Sequence;
  readonly atMs: number;
}

/** Sums since a machine began. */
export interface MachineUse {
  /** Time × sequences in the step. */
  readonly runningMs: number;
  /** Prefill of requests that ended. */
  readonly prefillUs: number;
}

/** One replica: an engine, and what the router knows of it. */
export class Machine implements Candidate {
  readonly replicaId: string;
  readonly role: MachineRole;
  readonly unit: SimUnit;
  readonly config: EngineConfig;
  readonly engine: SteppingEngine;
  readonly happened: Happened[] = [];
  readonly jobs = new Map<number, Job>();
  running = 0;
  outstandingUs = 0;
  prefillAheadUs = 0;
  kvTokensReserved = 0;
  #kvTokensTypical = 0;
  /** Tokens of all requests sent here, prompt and output. */
  assignedTokens = 0;
  /** null until its unit is ready. */
  readyMs: number | null = null;
  /** Where the cluster keeps it. */
  place = -1;
  /** Which of its events in the queue holds. */
  version = 0;
  dueMs = Number.POSITIVE_INFINITY;
  #seen: MachineUse = { runningMs: 0, prefillUs: 0 };
  #prefillUs = 0;

  constructor(replicaId: string, role: MachineRole, unit: SimUnit, config: EngineConfig) {
    this.replicaId = replicaId;
    this.role = role;
    this.unit = unit;
    this.config = config;
    this.engine = new SteppingEngine(config, {
      closedForm: true,
      listener: {
        firstToken: (sequence, atMs) => this.#note('firstToken', sequence, atMs),
        ended: (sequence, atMs) => this.#note('ended', sequence, atMs),
      },
    });
  }

  get kvTokens(): number {
    return this.config.kvTokens;
  }

  /** As admission counts them. */
  get kvTokensLikely(): number {
    return Math.max(0, Math.min(this.kvTokensReserved, this.#kvTokensTypical));
  }

  take(job: Job, request: Omit<EngineRequest, 'atMs'>, charged: Work, nowMs: number): void {
    job.machine = this;
    job.charged = charged;
    this.jobs.set(job.id, job);
    this.running += 1;
    this.outstandingUs += totalUs(charged);
    this.prefillAheadUs += charged.prefillUs;
    this.kvTokensReserved += job.estimate.kvTokens;
    this.#kvTokensTypical += kvTypicalOf(job);
    this.assignedTokens += request.promptTokens + request.outputTokens;
    this.engine.arrive(sequenceOf(this.config, { ...request, atMs: nowMs }, job.id));
  }

  prefilled({ charged }: Job): void {
    this.prefillAheadUs -= charged.prefillUs;
    this.outstandingUs -= charged.prefillUs;
  }

  leave(job: Job, prefilled: boolean): void {
    this.jobs.delete(job.id);
    if (prefilled) this.#prefillUs += job.charged.prefillUs;
    this.running -= 1;
    this.outstandingUs -= prefilled ? job.charged.decodeUs : totalUs(job.charged);
    if (!prefilled) this.prefillAheadUs -= job.charged.prefillUs;
    this.kvTokensReserved -= job.estimate.kvTokens;
    this.#kvTokensTypical -= kvTypicalOf(job);
  }

  /** What it did since the last call. */
  useSince(nowMs: number): MachineUse {
    const use = { runningMs: this.engine.runningMsAt(nowMs), prefillUs: this.#prefillUs };
    const seen = this.#seen;
    this.#seen = use;
    return { runningMs: use.runningMs - seen.runningMs, prefillUs: use.prefillUs - seen.prefillUs };
  }

  #note(kind: Happened['kind'], sequence: Sequence, atMs: number): void {
    const job = this.jobs.get(sequence.index);
    if (job !== undefined) this.happened.push({ kind, job, sequence, atMs });
  }
}

function kvTypicalOf({ estimate: { kvTokens, typical } }: Job): number {
  return typical?.kvTokens ?? kvTokens;
}
