import type { Targets } from '../../core/serving/calculator/need.ts';
import type { Offer, Plan } from '../../core/serving/calculator.ts';
import type { EngineConfig, EngineRequest } from '../../sim/engine.ts';
import { simulateUnits, type UnitsResult } from '../../sim/units.ts';
import type { TraceRow } from './traffic.ts';

export interface SimulatedTrace extends UnitsResult {
  readonly units: number;
  readonly meets: boolean;
}

/** Units are raised by a quarter at a time until the trace meets the targets, so often at most. */
const RAISES_MAX = 12;
const BLOCK_TOKENS = 16;
/** A trace of bursts may never meet what its mean does; nobody buys so many times more units for it. */
const RAISE_MAX = 8;
/** Work left at the end of a trace that is no backlog: a minute, or a twentieth of it. */
const BACKLOG_MS_MIN = 60_000;
const BACKLOG_SHARE = 0.05;

/**
 * The trace itself on a plan's units, step by step: bursts and shared prefixes are as they are in it, where formulas take
 * Poisson arrivals. Adds units until the targets are met. null where the simulator has no model (machines apart).
 */
export function simulatePlan(
  offer: Offer,
  plan: Plan,
  rows: readonly TraceRow[],
  blockTokens: number,
  targets: Targets,
): SimulatedTrace | null {
  if (offer.unit.disaggregated || plan.units === null) return null;
  const withBlocks = rows.some(({ blocks }) => blocks !== undefined) && blockTokens > 0;
  const config: EngineConfig = {
    step: offer.unit.step,
    prefillFixedUs: offer.unit.prefillFixedUs,
    sequencesMax: plan.batch,
    stepTokensMax: offer.unit.stepTokensMax,
    kvTokens: offer.unit.kvTokensPerUnit,
    blockTokens: withBlocks ? blockTokens : BLOCK_TOKENS,
    prefixCaching: withBlocks,
    asyncScheduling: false,
  };
  const requests = rows
    .filter(({ promptTokens, outputTokens }) => promptTokens + outputTokens <= offer.contextTokens)
    .map((row) => requestOf(row, withBlocks));
  let units = plan.units;
  for (let raise = 0; ; raise += 1) {
    const result = simulateUnits(config, requests, units);
    const meets = keepsUp(result, requests) && meetsTargets(result, targets);
    if (meets || raise === RAISES_MAX || units >= plan.units * RAISE_MAX) return { ...result, units, meets };
    units = Math.ceil(units * 1.25);
  }
}

/** Not much is left over when the last request comes. */
function keepsUp({ endMs }: UnitsResult, requests: readonly EngineRequest[]): boolean {
  const times = requests.map(({ atMs }) => atMs);
  const lastMs = times.reduce((a, b) => Math.max(a, b));
  const spanMs = lastMs - times.reduce((a, b) => Math.min(a, b));
  return endMs - lastMs <= Math.max(BACKLOG_MS_MIN, BACKLOG_SHARE * spanMs);
}

function requestOf(
  { atMs, blocks, cachedTokens, outputTokens, promptTokens }: TraceRow,
  withBlocks: boolean,
): EngineRequest {
  const request = { atMs, promptTokens: Math.max(1, Math.round(promptTokens)), outputTokens: Math.round(outputTokens) };
  if (withBlocks) return blocks === undefined ? request : { ...request, blocks };
  return { ...request, cachedTokens: Math.min(Math.round(cachedTokens), request.promptTokens) };
}

function meetsTargets({ tpotMs, ttftMs }: UnitsResult, targets: Targets): boolean {
  const { percentile } = targets;
  const ttft = targets.ttftMs === null || ttftMs[percentile] <= targets.ttftMs;
  return ttft && (targets.tpotMs === null || tpotMs === null || tpotMs[percentile] <= targets.tpotMs);
}
