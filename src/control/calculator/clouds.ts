import type { Cloud } from '../../catalog/clouds.ts';
import { CubitError } from '../../core/errors.ts';
import type { Traffic } from '../../core/serving/calculator/traffic.ts';
import { type CloudModel, cloudUnitsFor, weightedTokens } from '../../core/serving/clouds.ts';
import { meanOver } from '../../core/serving/unit/mix.ts';
import type { CalculatorAnswer } from './schemas.ts';

/** The same traffic, in its busiest hour, in the units of clouds: for comparison of how they count, not of models. */
export function inCloudUnits(clouds: readonly Cloud[], traffic: Traffic): CalculatorAnswer['clouds'] {
  const requestsPerS = traffic.requestsPerS * Math.max(...traffic.hourlyFactors);
  return clouds.flatMap(({ models, name, unit, windowS }) =>
    models.map((model) => ({ cloud: name, model: model.id, unit, ...unitsOf(model, traffic, requestsPerS * windowS) })),
  );
}

function unitsOf(model: CloudModel, { mix }: Traffic, requestsPerWindow: number) {
  try {
    const weighted = meanOver(mix, ({ cachedTokens, outputTokens, promptTokens }) =>
      weightedTokens(model, { cached: cachedTokens, input: promptTokens - cachedTokens, output: outputTokens }),
    );
    const { exact, sizes } = cloudUnitsFor(model, weighted * requestsPerWindow);
    return { exact, sizes: [...sizes], reason: null };
  } catch (error) {
    if (error instanceof CubitError) return { exact: null, sizes: [], reason: error.message };
    throw error;
  }
}
