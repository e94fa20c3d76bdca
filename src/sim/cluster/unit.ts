import { prefillStretch } from '../../core/serving/scaling/load.ts';
import type { UnitObservation } from '../../core/serving/scaling/observation.ts';
import { coefficientsOf } from '../../core/serving/work.ts';
import type { EngineConfig } from '../engine-types.ts';
import { Machine, type MachineRole } from './machine.ts';
import type { UnitConfig, UnitRates, UnitState } from './types.ts';

/** One unit from launch to release: starting → ready ⇄ draining → released. Its machines begin empty when it is ready. */
export class SimUnit {
  readonly index: number;
  readonly unitId: string;
  readonly launchedMs: number;
  readonly machines: readonly Machine[];
  state: UnitState = 'starting';
  sinceMs: number;

  constructor(index: number, config: UnitConfig, nowMs: number) {
    this.index = index;
    this.unitId = `u${index}`;
    this.launchedMs = nowMs;
    this.sinceMs = nowMs;
    const machine = (role: MachineRole, place: number, engine: EngineConfig) =>
      new Machine(`${this.unitId}-${role}-${place}`, role, this, engine);
    this.machines =
      config.kind === 'unified'
        ? [machine('unified', 0, config.engine)]
        : [
            ...Array.from({ length: config.prefillMachines }, (_, place) => machine('prefill', place, config.prefill)),
            ...Array.from({ length: config.decodeMachines }, (_, place) => machine('decode', place, config.decode)),
          ];
  }

  get running(): number {
    return this.machines.reduce((sum, machine) => sum + machine.running, 0);
  }

  get outstandingUs(): number {
    return this.machines.reduce((sum, machine) => sum + machine.outstandingUs, 0);
  }

  /** What a gateway can know (scaler/observe.ts): the cache as admission counts it, prefill as done. Shares are of the fuller role. */
  observe(nowMs: number, windowMs: number): UnitObservation {
    let batchShare = 0;
    let kvShare = 0;
    let prefillShare = 0;
    for (const machine of this.machines) {
      const { config } = machine;
      const stretch =
        machine.role === 'unified' ? prefillStretch(config.step, config.stepTokensMax, machine.kvTokensLikely) : 1;
      const use = machine.useSince(nowMs);
      const share = (ms: number) => (windowMs <= 0 ? 0 : Math.min(1, Math.max(0, ms / windowMs)));
      batchShare = Math.max(batchShare, share(use.runningMs / config.sequencesMax));
      kvShare = Math.max(kvShare, Math.min(1, machine.kvTokensLikely / config.kvTokens));
      prefillShare = Math.max(prefillShare, share((stretch * use.prefillUs) / 1_000));
    }
    const state = this.state === 'released' ? 'draining' : this.state;
    return {
      unitId: this.unitId,
      state,
      sinceMs: this.sinceMs,
      running: this.running,
      batchShare,
      kvShare,
      prefillShare,
    };
  }
}

/** What a unit of this kind does, for estimates. Work is counted at the batch of its decode machines. */
export function ratesOf(config: UnitConfig): UnitRates {
  if (config.kind === 'unified') {
    const { kvTokens, prefillFixedUs, sequencesMax, step } = config.engine;
    return {
      coefficients: coefficientsOf(step, prefillFixedUs, sequencesMax),
      batch: sequencesMax,
      kvTokens,
      contextTokens: kvTokens,
    };
  }
  const { decode, decodeMachines, prefill, prefillMachines } = config;
  const own = coefficientsOf(decode.step, decode.prefillFixedUs, decode.sequencesMax);
  const before = coefficientsOf(prefill.step, prefill.prefillFixedUs, prefill.sequencesMax);
  return {
    // Machines of a role share its work.
    coefficients: {
      p0Us: before.p0Us / prefillMachines,
      p1Us: before.p1Us / prefillMachines,
      p2Us: before.p2Us / prefillMachines,
      d1Us: own.d1Us / decodeMachines,
      d2Us: own.d2Us / decodeMachines,
    },
    batch: decode.sequencesMax * decodeMachines,
    kvTokens: decode.kvTokens * decodeMachines,
    contextTokens: Math.min(prefill.kvTokens, decode.kvTokens),
  };
}
