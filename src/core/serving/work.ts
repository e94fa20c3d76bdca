/**
 * Work: what a request costs, in unit-microseconds (one model unit supplies 1,000,000 of them per second), one figure
 * per pool. Source of the formulas: docs/architecture.md, "Work"; DESIGN §3.
 *
 *     prefill = p0 + p1·(n − h) + p2·(n² − h²)/2
 *     decode  = d1·m + d2·(n·m + m²/2)
 *
 * n prompt tokens, h of them served from cache, m output tokens.
 */
export interface Work {
  readonly prefillUs: number;
  readonly decodeUs: number;
}

export interface TokenCounts {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
}

/**
 * One step of a unit: t = τ0 + τ1·P + τ2·A + τ3·B + τ4·K, plus τ5·K in steps that also prefill, in microseconds
 * (see DESIGN §3 for P, A, B, K).
 */
export interface StepModel {
  readonly tau0Us: number;
  readonly tau1Us: number;
  readonly tau2Us: number;
  readonly tau3Us: number;
  readonly tau4Us: number;
  readonly tau5Us: number;
}

export interface WorkCoefficients {
  readonly p0Us: number;
  readonly p1Us: number;
  readonly p2Us: number;
  readonly d1Us: number;
  readonly d2Us: number;
}

export const NO_WORK: Work = { prefillUs: 0, decodeUs: 0 };

/**
 * Coefficients of a tier that decodes `batch` sequences together: the fixed cost of a step is shared by the batch, so
 * small batches buy low TPOT with more work per token.
 */
export function coefficientsOf(step: StepModel, prefillFixedUs: number, batch: number): WorkCoefficients {
  return {
    p0Us: prefillFixedUs,
    p1Us: step.tau1Us,
    p2Us: step.tau2Us,
    d1Us: step.tau0Us / batch + step.tau3Us,
    d2Us: step.tau4Us,
  };
}

/** The same work on a machine that takes `timeScale` times as long for everything. */
export function scaledCoefficients(coefficients: WorkCoefficients, timeScale: number): WorkCoefficients {
  const { p0Us, p1Us, p2Us, d1Us, d2Us } = coefficients;
  return {
    p0Us: p0Us * timeScale,
    p1Us: p1Us * timeScale,
    p2Us: p2Us * timeScale,
    d1Us: d1Us * timeScale,
    d2Us: d2Us * timeScale,
  };
}

/** Work of a request, rounded up to whole unit-microseconds. Cached tokens are capped at the prompt's. */
export function workOf(coefficients: WorkCoefficients, tokens: TokenCounts): Work {
  const { p0Us, p1Us, p2Us, d1Us, d2Us } = coefficients;
  const n = tokens.promptTokens;
  const h = Math.min(tokens.cachedTokens, n);
  const m = tokens.outputTokens;
  return {
    prefillUs: Math.ceil(p0Us + p1Us * (n - h) + (p2Us * (n * n - h * h)) / 2),
    decodeUs: Math.ceil(d1Us * m + d2Us * (n * m + (m * m) / 2)),
  };
}

export function totalUs(work: Work): number {
  return work.prefillUs + work.decodeUs;
}
