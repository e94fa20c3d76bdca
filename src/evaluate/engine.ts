import { CubitError } from '../core/errors.ts';
import { type EngineConfig, type EngineRequest, type EngineResult, simulateEngine } from '../sim/engine.ts';
import type { FactFinder } from './calculator/facts.ts';
import { type BundleTexts, type LoggedRequest, parseBundle } from './engine/bundle.ts';
import { calibrate, type Factors, scaledConfig } from './engine/calibrate.ts';
import { deploymentOf, type GivenFacts } from './engine/deployment.ts';
import { type EngineErrors, type EngineMeans, errorsOf, measuredMeans, p99, predictedMeans } from './engine/means.ts';
import { engineConfigOf, loadOf } from './engine/settings.ts';

export interface EngineReport extends EngineErrors {
  readonly p99: EngineErrors;
  readonly model: string;
  readonly hardware: string;
  readonly requests: number;
  readonly predicted: EngineMeans;
  readonly measured: EngineMeans;
  /** Settings that the bundle does not state. */
  readonly assumed: readonly string[];
  /** With --calibrate: errors after calibration on the first share of requests. */
  readonly calibrated?: CalibrationReport;
  readonly simulated: { readonly steps: number; readonly preemptions: number; readonly meanRunning: number };
}

export interface CalibrationReport extends EngineErrors {
  /** Requests whose stamps were used; the errors above are over all requests, `heldOut` over the others. */
  readonly requests: number;
  readonly heldOut: EngineErrors;
  readonly heldOutP99: EngineErrors;
  readonly predicted: EngineMeans;
  readonly factors: Factors;
}

/**
 * A logged run predicted from specifications: the log's arrivals, lengths and settings go through the simulator with a
 * step model of architecture and hardware facts. Throws `invalid_request` on a bundle that lacks something.
 */
export function evaluateEngine(
  texts: BundleTexts,
  finder: FactFinder,
  /** `calibrate`: share of the run's requests, the first to come, whose stamps calibration sees. */
  given: GivenFacts & { readonly calibrate?: number } = {},
): EngineReport {
  const bundle = parseBundle(texts);
  const of = deploymentOf(bundle, finder, given);
  const assumed = [...of.assumed];
  const config = engineConfigOf(bundle, of, assumed);
  const load = loadOf(bundle);
  const lockstep = of.deployment.shape.feedForward.experts !== undefined || config.ranks === 1;
  const run = lockstep ? simulateEngine(config, load) : simulateApart(config, load);
  const predicted = predictedMeans(run.requests);
  const measured = measuredMeans(bundle.requests);
  return {
    ...errorsOf(predicted, measured),
    p99: errorsOf(predictedMeans(run.requests, p99), measuredMeans(bundle.requests, p99)),
    model: bundle.model,
    hardware: bundle.hardware.name,
    requests: bundle.requests.length,
    predicted,
    measured,
    assumed,
    ...(given.calibrate === undefined
      ? {}
      : { calibrated: calibrated(config, load, bundle.requests, lockstep, given.calibrate) }),
    simulated: { steps: run.steps, preemptions: run.preemptions, meanRunning: run.meanRunning },
  };
}

function calibrated(
  config: EngineConfig,
  load: readonly EngineRequest[],
  logged: readonly LoggedRequest[],
  lockstep: boolean,
  share: number,
): CalibrationReport {
  if (!lockstep) {
    throw new CubitError(
      'invalid_request',
      'Calibration reads one log as one engine: this bundle’s ranks are engines of their own and it does not say which served which request.',
    );
  }
  const requests = Math.floor(logged.length * share);
  const rest = logged.slice(requests);
  const factors = calibrate(config, load, logged, requests);
  const run = simulateEngine(scaledConfig(config, factors), load);
  const predicted = predictedMeans(run.requests);
  return {
    ...errorsOf(predicted, measuredMeans(logged)),
    requests,
    heldOut: errorsOf(predictedMeans(run.requests.slice(requests)), measuredMeans(rest)),
    heldOutP99: errorsOf(predictedMeans(run.requests.slice(requests), p99), measuredMeans(rest, p99)),
    predicted,
    factors,
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
