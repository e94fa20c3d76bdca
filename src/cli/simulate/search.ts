import type { SimulationRun } from '../../sim/cluster/simulate.ts';

const BISECTIONS = 7;
const COEFFICIENT_MIN = 0.6;
const COEFFICIENT_MAX = 4;

interface Played {
  readonly run: SimulationRun;
}

/** The fewest units that reach the target; the most there may be when none do. Attainment is taken to rise with units. */
export function searchUnits<T extends Played>(
  max: number,
  target: number,
  play: (units: number) => T,
  progress: (text: string) => void,
): T {
  const tried = (units: number) => {
    progress(`static: ${units} units`);
    return play(units);
  };
  let enough = 1;
  let best = tried(enough);
  while (best.run.result.sloAttainment < target && enough < max) {
    enough = Math.min(max, enough * 2);
    best = tried(enough);
  }
  let tooFew = Math.floor(enough / 2);
  while (enough - tooFew > 1 && best.run.result.sloAttainment >= target) {
    const middle = Math.floor((enough + tooFew) / 2);
    const run = tried(middle);
    if (run.run.result.sloAttainment >= target) [enough, best] = [middle, run];
    else tooFew = middle;
  }
  return best;
}

/** The cheapest coefficient that reaches the target, within 3 %. */
export function searchCoefficient<T extends Played>(
  target: number,
  play: (coefficient: number) => T,
  progress: (text: string) => void,
): T {
  let low = COEFFICIENT_MIN;
  let high = COEFFICIENT_MAX;
  let best = play(high);
  for (let turn = 0; turn < BISECTIONS && best.run.result.sloAttainment >= target; turn += 1) {
    const middle = Math.sqrt(low * high);
    progress(`coefficient ${middle.toFixed(2)}`);
    const run = play(middle);
    if (run.run.result.sloAttainment >= target) [high, best] = [middle, run];
    else low = middle;
  }
  return best;
}
