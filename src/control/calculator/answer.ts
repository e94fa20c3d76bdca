import type { Catalog } from '../../catalog/schema.ts';
import {
  byCost,
  type Calculation,
  calculate,
  type Offer,
  type Plan,
  planWithUnits,
  type Question,
} from '../../core/serving/calculator.ts';
import { slowdownAt } from '../../core/serving/lora.ts';
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
  const lora = loraOf(context, question, offers);
  const asked = askedTraffic(question, recorded);
  const targets = {
    ttftMs: question.ttftMs ?? null,
    tpotMs: question.tpotMs ?? null,
    percentile: question.percentile,
  };
  const ask = { targets, coefficient: question.coefficient ?? null, loraFactor: lora.factor };
  const { traffic } = asked;
  const calculation = calculate(offers, { ...ask, traffic });
  const simulated =
    asked.rows === null
      ? null
      : simulateBest(offers, calculation, { ...ask, traffic }, asked.rows, question.blockTokens);
  const best = simulated?.plan ?? calculation.best;
  const { currency } = catalog.priceBook;
  const prompt = meanOver(traffic.mix, ({ promptTokens }) => promptTokens);
  return {
    modelId: question.modelId,
    requestsPerS: traffic.requestsPerS,
    requestsPerSPeak: traffic.requestsPerS * Math.max(...traffic.hourlyFactors),
    promptTokens: prompt,
    outputTokens: meanOver(traffic.mix, ({ outputTokens }) => outputTokens),
    cachedShare: prompt === 0 ? 0 : meanOver(traffic.mix, ({ cachedTokens }) => cachedTokens) / prompt,
    notes: [...asked.notes, ...refusals(calculation), ...lora.notes],
    plans: calculation.plans.map((plan) => planView(plan, currency)),
    unfit: [...calculation.unfit],
    best: best === null ? null : planView(best, currency),
    nearest: calculation.nearest === null ? null : planView(calculation.nearest, currency),
    simulation: simulated === null ? null : simulationView(simulated.trace, simulated.formulaUnits),
    clouds: inCloudUnits(catalog.clouds, traffic),
    computedInMs: performance.now() - startedMs,
  };
}

interface Simulated {
  readonly plan: Plan;
  readonly trace: SimulatedTrace;
  readonly formulaUnits: number;
}

/** Every template's best plan with the units that the trace itself needs; of those that meet all, the cheapest. */
function simulateBest(
  offers: readonly Offer[],
  { plans }: Calculation,
  question: Question,
  rows: readonly TraceRow[],
  blockTokens: number,
): Simulated | null {
  const simulated = offers.flatMap((offer): Simulated[] => {
    const own = plans.filter(({ templateId, units }) => templateId === offer.templateId && units !== null);
    const best = own.toSorted(byCost)[0];
    if (best === undefined) return [];
    const trace = simulatePlan(offer, best, rows, blockTokens, question.targets);
    if (trace === null) return [];
    return [{ plan: planWithUnits(offer, best, question, trace.units), trace, formulaUnits: best.units ?? 0 }];
  });
  const byMeeting = (a: Simulated, b: Simulated) => Number(b.trace.meets) - Number(a.trace.meets);
  return simulated.toSorted((a, b) => byMeeting(a, b) || byCost(a.plan, b.plan))[0] ?? null;
}

function simulationView(trace: SimulatedTrace, formulaUnits: number): NonNullable<CalculatorAnswer['simulation']> {
  const { cachedShare, meets, preemptions, tpotMs, ttftMs, units } = trace;
  return { units, formulaUnits, meets, ttftMs, tpotMs, cachedShare, preemptions };
}

function refusals({ refusedShares }: Calculation): string[] {
  return Object.entries(refusedShares).map(
    ([templateId, share]) =>
      `${(100 * share).toFixed(1)} % of the requests are longer than the context of ${templateId}, which refuses them: left out`,
  );
}

/** The weight of an adapter: as given, or the heaviest that was measured for its rank on the templates that are compared. */
function loraOf(
  { catalog }: AnswerContext,
  { loraFactor, loraRank, modelId }: CalculatorQuestion,
  offers: readonly Offer[],
): { readonly factor: number; readonly notes: string[] } {
  if (loraRank === undefined) {
    if (loraFactor > 1 || catalog.models.get(modelId ?? '')?.kind !== 'lora') return { factor: loraFactor, notes: [] };
    const note = 'the weight of the adapter is not known: units are those of its base; give loraRank or loraFactor';
    return { factor: 1, notes: [note] };
  }
  if (loraFactor !== 1) throw invalidField('loraRank', 'give loraFactor or loraRank, not both');
  const measured = offers.flatMap(
    ({ templateId }) => slowdownAt(loraRank, catalog.templates.get(templateId)?.lora ?? []) ?? [],
  );
  if (measured.length === 0) {
    throw invalidField(
      'loraRank',
      `no adapter was measured on a template of ${modelId}: cubit profile --adapter, or give loraFactor`,
    );
  }
  const factor = Math.max(...measured);
  return { factor, notes: [`an adapter of rank ${loraRank} takes ${factor.toFixed(2)} times the work, as measured`] };
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
