import type { WorkCoefficients } from './work.ts';

/** Measured on an engine: with an adapter of `rank`, a prompt's and an answer's tokens take so many times the work. */
export interface LoraFactor {
  readonly rank: number;
  readonly prefill: number;
  readonly decode: number;
}

/**
 * Coefficients of requests to a LoRA adapter of `rank` (DESIGN §3): what each token is multiplied with grows (p1, d1); a
 * request's fixed cost and attending to the context (p0, p2, d2) do not change. Factors grow with the rank, as the added
 * multiplications do: between measured ranks and beyond the largest on a line, below the smallest as the smallest.
 * `measured` in order of rank; null when it is empty: nobody knows.
 */
export function withLora(
  coefficients: WorkCoefficients,
  rank: number,
  measured: readonly LoraFactor[],
): WorkCoefficients | null {
  const factor = factorAt(rank, measured);
  if (factor === null) return null;
  return { ...coefficients, p1Us: coefficients.p1Us * factor.prefill, d1Us: coefficients.d1Us * factor.decode };
}

/** What all steps of a request with an adapter of `rank` take at most, as a multiple; null: nobody knows. */
export function slowdownAt(rank: number, measured: readonly LoraFactor[]): number | null {
  const factor = factorAt(rank, measured);
  return factor === null ? null : Math.max(factor.prefill, factor.decode);
}

/** In order of rank; of one rank, that of `newer`. */
export function mergedByRank(older: readonly LoraFactor[], newer: readonly LoraFactor[]): LoraFactor[] {
  const byRank = new Map([...older, ...newer].map((factor) => [factor.rank, factor]));
  return [...byRank.values()].sort((a, b) => a.rank - b.rank);
}

function factorAt(rank: number, measured: readonly LoraFactor[]): LoraFactor | null {
  const [smallest] = measured;
  if (smallest === undefined || rank <= smallest.rank) return smallest ?? null;
  const next = measured.findIndex((one) => one.rank >= rank);
  const above = next === -1 ? measured.length - 1 : next;
  const high = measured[above] as LoraFactor;
  // A single measured rank: on from factor 1 at rank 0.
  const low = measured[above - 1] ?? { rank: 0, prefill: 1, decode: 1 };
  const share = (rank - low.rank) / (high.rank - low.rank);
  return {
    rank,
    // Beyond two figures that differ by noise alone, the line may fall: an adapter never takes work off.
    prefill: Math.max(1, low.prefill + share * (high.prefill - low.prefill)),
    decode: Math.max(1, low.decode + share * (high.decode - low.decode)),
  };
}
