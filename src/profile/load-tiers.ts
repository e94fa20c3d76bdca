import type { Tier } from '../catalog/schema.ts';
import type { RequestShape } from '../sim/tier.ts';
import { arrivalsWithin } from '../workload/arrivals.ts';
import type { LoadClock } from './clock.ts';
import { type Lengths, type Probe, promptOf } from './probe.ts';
import { quantile } from './statistics.ts';
import { threeDigits } from './tiers.ts';

export interface LoadTierDeps {
  readonly probe: Probe;
  readonly lengths: Lengths;
  readonly clock: LoadClock;
  readonly random: () => number;
  readonly stop: AbortSignal;
}

/** Rounds of the batch that a throughput needs at least: the first fills the batch, the last empties it. */
const ROUNDS_MIN = 4;

/** Whether a tier's load brings enough requests in this time to be measured rather than simulated. */
export function isMeasurable({ batch, ratedTokensPerS }: Tier, shape: RequestShape, spanMs: number): boolean {
  const requests = ((ratedTokensPerS ?? 0) * (spanMs / 1000)) / (shape.promptTokens + shape.outputTokens);
  return requests >= ROUNDS_MIN * batch;
}

/**
 * A tier by load on the engine: its throughput with the batch always full, then the latencies of Poisson arrivals at
 * that ÷ k, where whoever finds the batch full waits. `spanMs` each. Throws what the probe throws; null when it was
 * stopped or nothing ended in the span.
 */
export async function measureTier(
  deps: LoadTierDeps,
  { batch, coefficient }: Tier,
  shape: RequestShape,
  spanMs: number,
): Promise<Tier | null> {
  const ratedTokensPerS = await closedLoop(deps, batch, shape, spanMs);
  const ratePerS = ratedTokensPerS / coefficient / (shape.promptTokens + shape.outputTokens);
  if (ratePerS === 0) return null;
  const arrivals = arrivalsWithin({ kind: 'poisson', ratePerS }, spanMs, deps.random);
  const replies = await openLoop(deps, batch, shape, arrivals);
  if (deps.stop.aborted) return null;
  return {
    coefficient,
    batch,
    ratedTokensPerS: threeDigits(ratedTokensPerS),
    ttftMs: latency(replies.map(({ ttftMs }) => ttftMs)),
    tpotMs: latency(replies.flatMap(({ tpotMs }) => tpotMs ?? [])),
    found: 'measured',
  };
}

/** `batch` requests at any time; tokens per second between the end of the first round and the last end in the span. */
async function closedLoop(deps: LoadTierDeps, batch: number, shape: RequestShape, spanMs: number): Promise<number> {
  const { clock, stop } = deps;
  const ends: { readonly atMs: number; readonly tokens: number }[] = [];
  const untilMs = clock.nowMs() + spanMs;
  await Promise.all(
    Array.from({ length: batch }, async () => {
      while (clock.nowMs() < untilMs && !stop.aborted) {
        const { endedAtMs, outputTokens, promptTokens } = await send(deps, shape);
        ends.push({ atMs: endedAtMs, tokens: promptTokens + outputTokens });
      }
    }),
  );
  const inSpan = ends.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs);
  const first = inSpan[batch - 1];
  const last = inSpan.at(-1);
  if (first === undefined || last === undefined || last.atMs <= first.atMs) return 0;
  const tokens = inSpan.slice(batch).reduce((sum, end) => sum + end.tokens, 0);
  return (1000 * tokens) / (last.atMs - first.atMs);
}

/** Requests at their times; at most `batch` run, the others wait in line. Latencies count from the arrival. */
async function openLoop(deps: LoadTierDeps, batch: number, shape: RequestShape, arrivalsMs: readonly number[]) {
  const { clock, stop } = deps;
  const startMs = clock.nowMs();
  let free = batch;
  const line: (() => void)[] = [];
  const replies = await Promise.all(
    arrivalsMs.map(async (atMs) => {
      await clock.until(startMs + atMs);
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => line.push(resolve));
      try {
        return stop.aborted ? [] : [timesOf(await send(deps, shape), startMs + atMs)];
      } finally {
        const next = line.shift();
        if (next === undefined) free += 1;
        else next();
      }
    }),
  );
  return replies.flat();
}

function latency(valuesMs: readonly number[]): Tier['ttftMs'] {
  if (valuesMs.length === 0) return null;
  return { p50: threeDigits(quantile(valuesMs, 0.5)), p95: threeDigits(quantile(valuesMs, 0.95)) };
}

function send({ lengths, probe, random }: LoadTierDeps, { promptTokens, outputTokens }: RequestShape) {
  return probe({ prompt: promptOf(promptTokens, lengths, random), outputTokens, salt: `tier-${random()}` });
}

function timesOf(
  { endedAtMs, outputTokens, textAtMs }: Awaited<ReturnType<Probe>>,
  arrivedAtMs: number,
): { readonly ttftMs: number; readonly tpotMs: number | null } {
  const firstAtMs = textAtMs[0]!;
  const tpotMs = outputTokens < 2 ? null : (endedAtMs - firstAtMs) / (outputTokens - 1);
  return { ttftMs: firstAtMs - arrivedAtMs, tpotMs };
}
