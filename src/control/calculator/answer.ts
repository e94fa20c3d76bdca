import type { Catalog } from '../../catalog/schema.ts';
import type { Targets } from '../../core/serving/calculator/need.ts';
import { type Calculation, calculate, type Offer, type Plan } from '../../core/serving/calculator.ts';
import { meanOver } from '../../core/serving/unit/mix.ts';
import { invalidField } from '../input.ts';
import { money } from '../schemas.ts';
import { inCloudUnits } from './clouds.ts';
import { offersOf } from './offers.ts';
import type { CalculatorAnswer, CalculatorQuestion } from './schemas.ts';
import { type SimulatedTrace, simulatePlan } from './simulation.ts';
import { askedTraffic, type TraceRow } from './traffic.ts';

export interface AnswerContext {
  readonly catalog: Catalog;
  readonly servedHere: (templateId: string) => boolean;
  /** Of the endpoint that the question names; null without one. */
  readonly recorded: readonly TraceRow[] | null;
}

/**
 * What to buy, from the catalogue alone: the verb answers with it, and the CLI where no server runs. Throws
 * `invalid_request`.
 */
export function answerQuestion(context: AnswerContext, question: CalculatorQuestion): CalculatorAnswer {
  const startedMs = performance.now();
  const { catalog, recorded } = context;
  if (question.modelId === undefined) throw invalidField('modelId', 'is missing: which model?');
  const offers = offersOf(catalog, question.modelId, { ...context, ...question });
  const asked = askedTraffic(question, recorded);
  const targets = {
    ttftMs: question.ttftMs ?? null,
    tpotMs: question.tpotMs ?? null,
    percentile: question.percentile,
  };
  const ask = { targets, coefficient: question.coefficient ?? null, loraFactor: question.loraFactor };
  const { traffic } = asked;
  const calculation = calculate(offers, { ...ask, traffic });
  const simulation = asked.rows === null ? null : simulated(offers, calculation, asked.rows, question, targets);
  const { currency } = catalog.priceBook;
  const prompt = meanOver(traffic.mix, ({ promptTokens }) => promptTokens);
  return {
    modelId: question.modelId,
    requestsPerS: traffic.requestsPerS,
    requestsPerSPeak: traffic.requestsPerS * Math.max(...traffic.hourlyFactors),
    promptTokens: prompt,
    outputTokens: meanOver(traffic.mix, ({ outputTokens }) => outputTokens),
    cachedShare: prompt === 0 ? 0 : meanOver(traffic.mix, ({ cachedTokens }) => cachedTokens) / prompt,
    notes: [...asked.notes, ...refusals(calculation), ...loraNote(context, question)],
    plans: calculation.plans.map((plan) => planView(plan, currency)),
    unfit: [...calculation.unfit],
    best: calculation.best === null ? null : planView(calculation.best, currency),
    nearest: calculation.nearest === null ? null : planView(calculation.nearest, currency),
    simulation: simulation === null ? null : simulationView(simulation),
    clouds: inCloudUnits(catalog.clouds, traffic),
    computedInMs: performance.now() - startedMs,
  };
}

function simulated(
  offers: readonly Offer[],
  { best }: Calculation,
  rows: readonly TraceRow[],
  { blockTokens }: CalculatorQuestion,
  targets: Targets,
): SimulatedTrace | null {
  const offer = offers.find(({ templateId }) => templateId === best?.templateId);
  return best === null || offer === undefined ? null : simulatePlan(offer, best, rows, blockTokens, targets);
}

function simulationView({ cachedShare, meets, preemptions, tpotMs, ttftMs, units }: SimulatedTrace) {
  return { units, meets, ttftMs, tpotMs, cachedShare, preemptions };
}

function refusals({ refusedShares }: Calculation): string[] {
  return Object.entries(refusedShares).map(
    ([templateId, share]) =>
      `${(100 * share).toFixed(1)} % of the requests are longer than the context of ${templateId}, which refuses them: left out`,
  );
}

function loraNote({ catalog }: AnswerContext, { loraFactor, modelId }: CalculatorQuestion): string[] {
  if (loraFactor > 1 || catalog.models.get(modelId ?? '')?.kind !== 'lora') return [];
  return ['the weight of the adapter is not measured: units are those of its base; give loraFactor when you know it'];
}

function planView(plan: Plan, currency: string): NonNullable<CalculatorAnswer['best']> {
  const { cost, load, missed, unitsByHour, unitsRange, ...rest } = plan;
  return {
    ...rest,
    missed: [...missed],
    unitsByHour: unitsByHour === null ? null : [...unitsByHour],
    unitsRange: unitsRange === null ? null : [...unitsRange],
    utilisation: load?.utilisation ?? null,
    ttftMs: load?.ttftMs ?? null,
    tpotMs: load?.tpotMs ?? null,
    concurrency: load === null || plan.units === null ? null : load.running * plan.units,
    cost:
      cost === null
        ? null
        : {
            hourly: money(cost.hourlyMicros, currency),
            monthlyPrepaid: money(cost.monthlyPrepaidMicros, currency),
            monthlyPostpaid: money(cost.monthlyPostpaidMicros, currency),
            monthlyCheapest: money(cost.cheapest.monthlyMicros, currency),
            prepaidUnits: cost.cheapest.prepaidUnits,
            postpaidUnitsMax: cost.cheapest.postpaidUnitsMax,
            postpaidUnitHours: cost.cheapest.postpaidUnitHours,
            breakEvenHours: cost.breakEvenHours,
            perMillionTokens: money(cost.perMillionTokensMicros, currency),
          },
  };
}
