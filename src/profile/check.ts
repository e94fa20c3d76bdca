import type { StepParameters } from '../core/serving/fit.ts';
import { coefficientsOf, totalUs, workOf } from '../core/serving/work.ts';
import { mean } from '../core/statistics.ts';
import { type SimulatedRequest, simulateEngine } from '../sim/engine.ts';
import type { TraceRequest } from '../workload/trace.ts';
import type { Limits } from './cells.ts';
import type { LoadClock } from './clock.ts';
import { engineConfig } from './engine-config.ts';
import { type Lengths, type Probe, promptOf } from './probe.ts';
import { shuffled } from './statistics.ts';

/** What a load did to its requests, on average; ms. */
export interface LoadFigures {
  readonly ttftMs: number;
  readonly tpotMs: number;
  readonly e2eMs: number;
}

export interface LoadCheck {
  /** Work offered ÷ work that a unit supplies. */
  readonly load: number;
  readonly requests: number;
  readonly predicted: LoadFigures;
  readonly measured: LoadFigures;
  /** (predicted − measured) ÷ measured, percent. */
  readonly errorPct: LoadFigures;
}

/** The longest request of the trace takes this share of the context. */
const LONGEST_SHARE = 0.25;
const PROMPT_TOKENS_MIN = 40;
const OUTPUT_TOKENS_MIN = 4;

/**
 * Requests of a trace at random until they offer `load` of what the unit does in `spanMs`: the trace's mix of lengths,
 * scaled to the engine's context, and its bursts, thinned and scaled to the span.
 */
export function mixedLoad(
  trace: readonly TraceRequest[],
  parameters: StepParameters,
  limits: Limits,
  options: { readonly load: number; readonly spanMs: number; readonly random: () => number },
): TraceRequest[] {
  const { load, spanMs, random } = options;
  const coefficients = coefficientsOf(parameters.step, parameters.prefillFixedUs, limits.sequences);
  const longest = Math.max(...trace.map(({ promptTokens }) => promptTokens));
  const scale = (LONGEST_SHARE * limits.contextTokens) / longest;
  const traceMs = trace.at(-1)?.atMs ?? 1;
  const chosen: TraceRequest[] = [];
  let offeredUs = 0;
  for (const row of shuffled(trace, random)) {
    const outputTokens = Math.min(limits.contextTokens >> 3, Math.max(OUTPUT_TOKENS_MIN, row.outputTokens));
    const promptTokens = Math.max(PROMPT_TOKENS_MIN, Math.round(row.promptTokens * scale));
    offeredUs += totalUs(workOf(coefficients, { promptTokens, cachedTokens: 0, outputTokens }));
    if (offeredUs > load * spanMs * 1000) break;
    chosen.push({ atMs: (row.atMs * spanMs) / traceMs, promptTokens, outputTokens });
  }
  return chosen.sort((a, b) => a.atMs - b.atMs);
}

/** What the profile says of a load: its requests through the simulated engine. */
export function predictLoad(
  parameters: StepParameters,
  limits: Limits,
  requests: readonly TraceRequest[],
): LoadFigures {
  const { requests: simulated } = simulateEngine(engineConfig(parameters, limits, limits.sequences), requests);
  return figuresOf(simulated);
}

export interface LoadDeps {
  readonly probe: Probe;
  readonly lengths: Lengths;
  readonly clock: LoadClock;
  readonly random: () => number;
}

/** Sends a load on time, whatever the answers do. Throws what the probe throws. */
export async function measureLoad(
  { probe, lengths, clock, random }: LoadDeps,
  requests: readonly TraceRequest[],
): Promise<LoadFigures> {
  const startedMs = clock.nowMs();
  const prompts = requests.map(({ promptTokens }) => promptOf(promptTokens, lengths, random));
  const replies = await Promise.all(
    requests.map(async ({ atMs, outputTokens }, index) => {
      await clock.until(startedMs + atMs);
      return probe({ prompt: prompts[index]!, outputTokens, salt: `load-${index}-${prompts.length}-${startedMs}` });
    }),
  );
  return figuresOf(
    replies.map(({ endedAtMs, outputTokens, sentAtMs, textAtMs }) => ({
      ttftMs: textAtMs[0]! - sentAtMs,
      tpotMs: outputTokens < 2 ? null : (endedAtMs - textAtMs[0]!) / (outputTokens - 1),
      e2eMs: endedAtMs - sentAtMs,
    })),
  );
}

export function errorsPct(predicted: LoadFigures, measured: LoadFigures): LoadFigures {
  const error = (name: keyof LoadFigures) => (100 * (predicted[name] - measured[name])) / measured[name];
  return { ttftMs: error('ttftMs'), tpotMs: error('tpotMs'), e2eMs: error('e2eMs') };
}

function figuresOf(requests: readonly Pick<SimulatedRequest, 'ttftMs' | 'tpotMs' | 'e2eMs'>[]): LoadFigures {
  return {
    ttftMs: mean(requests.map(({ ttftMs }) => ttftMs)),
    tpotMs: mean(requests.flatMap(({ tpotMs }) => tpotMs ?? [])),
    e2eMs: mean(requests.map(({ e2eMs }) => e2eMs)),
  };
}
