import { checkConfig, sequenceOf } from './engine-input.ts';
import type { EndedSteps, EngineConfig, EngineRequest, EngineResult, SimulatedRequest } from './engine-types.ts';
import type { Sequence } from './sequence.ts';
import { SteppingEngine } from './stepping-engine.ts';

export type { EndedSteps, EngineConfig, EngineRequest, EngineResult, SimulatedRequest } from './engine-types.ts';

/**
 * One engine of vLLM's kind, step by step: when each request is noticed, scheduled, preempted and answered. Pure and
 * deterministic; what it leaves out is in docs/simulator.md. Throws `invalid_request` on a configuration or request that
 * no engine could run, naming it.
 */
export function simulateEngine(
  config: EngineConfig,
  requests: readonly EngineRequest[],
  /** Told of every step that ends, in order of time. */
  onSteps?: (ended: EndedSteps) => void,
): EngineResult {
  return run(config, requests, true, onSteps);
}

/** The same, every step on its own: what the closed form of decode-only stretches is held to. */
export function simulateEngineStepwise(config: EngineConfig, requests: readonly EngineRequest[]): EngineResult {
  return run(config, requests, false);
}

function run(
  config: EngineConfig,
  requests: readonly EngineRequest[],
  closedForm: boolean,
  onSteps?: (ended: EndedSteps) => void,
): EngineResult {
  checkConfig(config);
  const engine = new SteppingEngine(config, { closedForm, onSteps });
  const sequences = requests.map((request, index) => sequenceOf(config, request, index));
  for (const sequence of sequences.toSorted((a, b) => a.atMs - b.atMs || a.index - b.index)) {
    while (engine.nextMs < sequence.atMs) engine.step();
    engine.arrive(sequence);
  }
  while (engine.nextMs < Number.POSITIVE_INFINITY) engine.step();
  return resultOf(config, engine, sequences);
}

function resultOf(config: EngineConfig, engine: SteppingEngine, sequences: readonly Sequence[]): EngineResult {
  for (const { kvBlocksInUse, running, waitingCount } of engine.ranks) {
    if (kvBlocksInUse + running.length + waitingCount === 0) continue;
    throw new Error(
      `simulation ended with ${kvBlocksInUse} blocks, ${running.length} running, ${waitingCount} waiting`,
    );
  }
  const { busyMs, runningMs } = engine.use;
  return {
    requests: sequences.map(simulatedOf),
    steps: engine.steps,
    preemptions: engine.ranks.reduce((sum, rank) => sum + rank.preemptions, 0),
    meanRunning: busyMs > 0 ? runningMs / busyMs : 0,
    kvTokensMax: Math.max(...engine.ranks.map((rank) => rank.kvBlocksMax)) * config.blockTokens,
    busyMs,
    endMs: engine.nowMs,
  };
}

function simulatedOf(sequence: Sequence): SimulatedRequest {
  const { atMs, cachedTokens, drainedMs, firstTokenMs, index, lastTokenMs, outputTokens, scheduledMs } = sequence;
  if (!(lastTokenMs >= firstTokenMs)) throw new Error(`request ${index} did not end`);
  return {
    drainedMs: drainedMs - atMs,
    queuedMs: scheduledMs - atMs,
    ttftMs: firstTokenMs - atMs,
    tpotMs: outputTokens === 1 ? null : (lastTokenMs - firstTokenMs) / (outputTokens - 1),
    e2eMs: lastTokenMs - atMs,
    cachedTokens,
  };
}
