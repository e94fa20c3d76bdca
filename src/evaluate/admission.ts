import { FlatTokenBucket, InFlightTokens, OpenGate } from '../sim/baselines/gates.ts';
import { StaticScaler } from '../sim/baselines/static.ts';
import { CubitGate, type Gate } from '../sim/cluster/gate.ts';
import { CubitRoute } from '../sim/cluster/route.ts';
import { simulateCluster } from '../sim/cluster/simulate.ts';
import type { ClusterConfig, SloTargets, UnitConfig } from '../sim/cluster/types.ts';
import { ratesOf } from '../sim/cluster/unit.ts';
import { childSeed, exponential, seededRandom } from '../workload/random.ts';
import type { TraceRequest } from '../workload/trace.ts';

/** One traffic: rows of the traces in their order, so many of each for one of the others. */
export interface Mix {
  readonly name: string;
  readonly parts: readonly { readonly requests: readonly TraceRequest[]; readonly weight: number }[];
}

export interface AdmissionSetup {
  readonly unit: UnitConfig;
  readonly units: number;
  readonly slo: SloTargets;
  /** Offered ÷ saturated rate. */
  readonly overload: number;
  /** Of one run. */
  readonly requests: number;
  readonly seeds: readonly number[];
}

/** Means over the seeds, of requests offered at the same instants to each. */
export interface AdmissionScore {
  readonly metPerS: number;
  readonly metTokensPerS: number;
  readonly completedPerS: number;
}

export interface MixReport {
  readonly mix: string;
  readonly saturatedPerS: number;
  readonly cubit: AdmissionScore;
  /** The best limits for this very mix and these very seeds. */
  readonly flatTokens: AdmissionScore & { readonly tokensPerS: number };
  /** A bucket that fills at the saturated token rate. */
  readonly flatTokensAtCapacity: AdmissionScore & { readonly tokensPerS: number };
  readonly inFlight: AdmissionScore & { readonly tokensPerUnit: number };
  /** Limits that were the best for the first mix, kept. */
  readonly frozen: {
    readonly flatTokens: AdmissionScore;
    readonly inFlight: AdmissionScore;
    readonly requestsOverFlatTokens: number;
    readonly requestsOverInFlight: number;
    readonly tokensOverFlatTokens: number;
    readonly tokensOverInFlight: number;
  };
  readonly none: AdmissionScore;
  readonly requestsOverFlatTokens: number;
  readonly requestsOverFlatTokensAtCapacity: number;
  readonly requestsOverInFlight: number;
  readonly tokensOverFlatTokens: number;
  readonly tokensOverInFlight: number;
}

/** Limits by the minute are what is sold. */
const FLAT_BURST_S = 60;
/** Shares of the measured saturated token rate, and of the KV cache. */
const FLAT_SHARES = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
const CAP_SHARES = [0.02, 0.04, 0.06, 0.08, 0.11, 0.15, 0.2, 0.3, 0.45];

/**
 * Overload on a cluster of fixed size, requests refused at once where there is no room: how many are in time with Cubit's
 * admission, whose only inputs are the promised latencies, and with flat limits that are tuned for each mix in hindsight.
 */
export function evaluateAdmission(setup: AdmissionSetup, mixes: readonly Mix[]): MixReport[] {
  const reports: MixReport[] = [];
  // Limits are set once: the first mix's best are kept for the others.
  for (const mix of mixes) reports.push(evaluateMix(setup, mix, reports[0] ?? null));
  return reports;
}

function evaluateMix(setup: AdmissionSetup, mix: Mix, first: MixReport | null): MixReport {
  const rates = ratesOf(setup.unit);
  const flood = played(setup, mix, 1e6, setup.seeds[0] ?? 1, new OpenGate());
  const saturatedPerS = flood.completed / flood.endS;
  const score = (gate: () => Gate) => meanOf(setup, mix, saturatedPerS * setup.overload, gate);
  const engine = setup.unit.kind === 'unified' ? setup.unit.engine : setup.unit.prefill;
  const { slo, units } = setup;
  const guard = {
    ...slo,
    ttftMsMax: slo.ttftMs,
    tpotMsMax: slo.tpotMs,
    step: engine.step,
    stepTokensMax: engine.stepTokensMax,
  };
  const cubit = score(
    () => new CubitGate(rates, { batchPerUnit: rates.batch, kvTokensPerUnit: rates.kvTokens, latency: guard }),
  );
  const flats = FLAT_SHARES.map((share) => {
    const tokensPerS = (share * flood.tokensPerS) / units;
    return { tokensPerS, ...score(() => new FlatTokenBucket(tokensPerS, FLAT_BURST_S)) };
  });
  const caps = CAP_SHARES.map((share) => {
    const tokensPerUnit = share * rates.kvTokens;
    return { tokensPerUnit, ...score(() => new InFlightTokens(tokensPerUnit)) };
  });
  const flatTokens = best(flats);
  const inFlight = best(caps);
  const kept = first && {
    flatTokens: score(() => new FlatTokenBucket(first.flatTokens.tokensPerS, FLAT_BURST_S)),
    inFlight: score(() => new InFlightTokens(first.inFlight.tokensPerUnit)),
  };
  const frozen = kept ?? { flatTokens, inFlight };
  return {
    mix: mix.name,
    saturatedPerS,
    cubit,
    flatTokens,
    flatTokensAtCapacity: flats.at(-1)!,
    inFlight,
    frozen: {
      requestsOverFlatTokens: cubit.metPerS / frozen.flatTokens.metPerS,
      requestsOverInFlight: cubit.metPerS / frozen.inFlight.metPerS,
      tokensOverFlatTokens: cubit.metTokensPerS / frozen.flatTokens.metTokensPerS,
      tokensOverInFlight: cubit.metTokensPerS / frozen.inFlight.metTokensPerS,
      ...frozen,
    },
    none: score(() => new OpenGate()),
    requestsOverFlatTokens: cubit.metPerS / flatTokens.metPerS,
    requestsOverFlatTokensAtCapacity: cubit.metPerS / flats.at(-1)!.metPerS,
    requestsOverInFlight: cubit.metPerS / inFlight.metPerS,
    tokensOverFlatTokens: cubit.metTokensPerS / flatTokens.metTokensPerS,
    tokensOverInFlight: cubit.metTokensPerS / inFlight.metTokensPerS,
  };
}

function best<T extends AdmissionScore>(scores: readonly T[]): T {
  return scores.reduce((most, score) => (score.metPerS > most.metPerS ? score : most));
}

function meanOf(setup: AdmissionSetup, mix: Mix, ratePerS: number, gate: () => Gate): AdmissionScore {
  const runs = setup.seeds.map((seed) => played(setup, mix, ratePerS, seed, gate()));
  const mean = (of: (run: (typeof runs)[number]) => number) =>
    runs.reduce((sum, run) => sum + of(run), 0) / runs.length;
  return {
    metPerS: mean((run) => run.sloMet / run.offeredS),
    metTokensPerS: mean((run) => run.sloMetTokens / run.offeredS),
    completedPerS: mean((run) => run.completed / run.offeredS),
  };
}

function played(setup: AdmissionSetup, mix: Mix, ratePerS: number, seed: number, gate: Gate) {
  const trace = drawn(mix, setup.requests, ratePerS, seed);
  const { kvTokens, blockTokens } = setup.unit.kind === 'unified' ? setup.unit.engine : setup.unit.prefill;
  const policies = {
    gate,
    route: new CubitRoute({ blocksMax: Math.floor(kvTokens / blockTokens) }),
    scaler: new StaticScaler(setup.units),
  };
  const { result } = simulateCluster(configOf(setup, seed), policies, trace);
  return { ...result, offeredS: (trace.at(-1)?.atMs ?? 0) / 1000 };
}

function configOf({ slo, unit, units }: AdmissionSetup, seed: number): ClusterConfig {
  return {
    unit,
    slo,
    initialUnits: units,
    minUnits: units,
    maxUnits: units,
    startupMs: 0,
    startupCv: 0,
    failureMsMean: null,
    waitMsMax: 0,
    scaleEveryMs: 5_000,
    warmUpMs: 0,
    seed,
  };
}

/** Poisson arrivals; which part comes next is drawn, within a part rows come in their order, from a place of the seed's. */
function drawn({ parts }: Mix, count: number, ratePerS: number, seed: number): TraceRequest[] {
  const random = seededRandom(childSeed(seed, 20));
  const places = parts.map(({ requests }) => Math.floor(random() * requests.length));
  const total = parts.reduce((sum, { weight }) => sum + weight, 0);
  const trace: TraceRequest[] = [];
  let atMs = 0;
  while (trace.length < count) {
    atMs += (1000 * exponential(random)) / ratePerS;
    const which = parts.length === 1 ? 0 : chosen(parts, random() * total);
    const { requests } = parts[which]!;
    const place = places[which]!;
    places[which] = (place + 1) % requests.length;
    trace.push({ ...requests[place]!, atMs });
  }
  return trace;
}

function chosen(parts: Mix['parts'], wanted: number): number {
  let sum = 0;
  for (const [index, { weight }] of parts.entries()) {
    sum += weight;
    if (wanted < sum) return index;
  }
  return parts.length - 1;
}
