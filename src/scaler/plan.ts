/** A unit that scaling added, as far as choosing goes. */
export interface ScalableUnit {
  readonly id: string;
  readonly state: 'starting' | 'ready' | 'draining' | 'released' | 'failed';
  readonly launchedAtMs: number;
  /** Requests on it. */
  readonly running: number;
}

export interface ScalingPlan {
  readonly launch: number;
  readonly takeBack: readonly string[];
  readonly drain: readonly string[];
  /** Starts that are not needed any more. */
  readonly cancel: readonly string[];
}

/**
 * How a group gets from the added units it has (starting and ready) to those it should have. More: draining units first,
 * the fullest of them, for they are ready at once; then launches. Fewer: starts first, the latest, for they serve nobody
 * yet; then the emptiest ready units.
 */
export function planUnits(units: readonly ScalableUnit[], wanted: number): ScalingPlan {
  const of = (state: ScalableUnit['state']) => units.filter((unit) => unit.state === state);
  const more = wanted - of('starting').length - of('ready').length;
  if (more >= 0) {
    const takeBack = of('draining')
      .sort((a, b) => b.running - a.running)
      .slice(0, more)
      .map((unit) => unit.id);
    return { launch: more - takeBack.length, takeBack, drain: [], cancel: [] };
  }
  const cancel = of('starting')
    .sort((a, b) => b.launchedAtMs - a.launchedAtMs)
    .slice(0, -more)
    .map((unit) => unit.id);
  const drain = of('ready')
    .sort((a, b) => a.running - b.running || b.launchedAtMs - a.launchedAtMs)
    .slice(0, -more - cancel.length)
    .map((unit) => unit.id);
  return { launch: 0, takeBack: [], drain, cancel };
}
