import { type EngineConfig, type EngineRequest, type EngineResult, simulateEngine } from '../sim/engine.ts';
import type { FactFinder } from './calculator/facts.ts';
import { type BundleTexts, parseBundle } from './engine/bundle.ts';
import { deploymentOf, type GivenFacts } from './engine/deployment.ts';
import { type EngineErrors, type EngineMeans, errorsOf, measuredMeans, predictedMeans } from './engine/means.ts';
import { engineConfigOf, loadOf } from './engine/settings.ts';

export interface EngineReport extends EngineErrors {
  readonly model: string;
  readonly hardware: string;
  readonly requests: number;
  readonly predicted: EngineMeans;
  readonly measured: EngineMeans;
  /** Settings that the bundle does not state. */
  readonly assumed: readonly string[];
  readonly simulated: { readonly steps: number; readonly preemptions: number; readonly meanRunning: number };
}

/**
 * A logged run predicted from specifications: the log's arrivals, lengths and settings go through the simulator with a
 * step model of architecture and hardware facts. Throws `invalid_request` on a bundle that lacks something.
 */
export function evaluateEngine(texts: BundleTexts, finder: FactFinder, given: GivenFacts = {}): EngineReport {
  const bundle = parseBundle(texts);
  const of = deploymentOf(bundle, finder, given);
  const assumed = [...of.assumed];
  const config = engineConfigOf(bundle, of, assumed);
  const lockstep = of.deployment.shape.feedForward.experts !== undefined;
  const run = lockstep ? simulateEngine(config, loadOf(bundle)) : simulateApart(config, loadOf(bundle));
  const predicted = predictedMeans(run.requests);
  const measured = measuredMeans(bundle.requests);
  return {
    ...errorsOf(predicted, measured),
    model: bundle.model,
    hardware: bundle.hardware.name,
    requests: bundle.requests.length,
    predicted,
    measured,
    assumed,
    simulated: { steps: run.steps, preemptions: run.preemptions, meanRunning: run.meanRunning },
  };
}

type Run = Pick<EngineResult, 'requests' | 'steps' | 'preemptions' | 'meanRunning'>;

/** Without experts to share, ranks are engines of their own; requests go to them in turn. */
function simulateApart(config: EngineConfig, requests: readonly EngineRequest[]): Run {
  const { ranks = 1 } = config;
  const runs = Array.from({ length: ranks }, (_, rank) =>
    simulateEngine(
      { ...config, ranks: 1 },
      requests.filter((_request, index) => index % ranks === rank),
    ),
  );
  const sum = (figure: 'steps' | 'preemptions' | 'meanRunning') => runs.reduce((total, run) => total + run[figure], 0);
  return {
    requests: requests.map((_, index) => runs[index % ranks]!.requests[Math.floor(index / ranks)]!),
    steps: sum('steps'),
    preemptions: sum('preemptions'),
    meanRunning: sum('meanRunning'),
  };
}
