import type { CalculatorAnswer } from '../../control/calculator/schemas.ts';
import { grid } from '../render.ts';

type Plan = NonNullable<CalculatorAnswer['best']>;

const LIMITS: Readonly<Record<Plan['limit'], string>> = {
  work: 'compute and bandwidth',
  batch: 'the tier’s batch: a larger one would carry more',
  kv: 'KV cache memory',
  ttft: 'the TTFT target',
  tpot: 'the TPOT target',
};
const PROVENANCE: Readonly<Record<Plan['confidence']['provenance'], string>> = {
  measured_here: 'measured on this machine',
  measured_elsewhere: 'measured on another machine',
  facts: 'from architecture and hardware facts, not measured',
};

/** What to buy in one line, then every template and tier, then what the figures rest on. */
export function answerText(answer: CalculatorAnswer, by: string, clouds: boolean): string {
  const parts = [
    trafficLine(answer),
    adviceLine(answer),
    '',
    table(answer.plans),
    '',
    ...(answer.best === null ? [] : detailLines(answer.best)),
    ...simulationLines(answer),
    ...answer.unfit.map(
      ({ contextTokens, refusedShare, templateId }) =>
        `Left out: ${templateId} has ${contextTokens} tokens of context; ${percent(refusedShare)} of the requests are longer.`,
    ),
    ...answer.notes.map((note) => `Note: ${note}.`),
    `Calculated by ${by} in ${answer.computedInMs.toFixed(0)} ms.`,
    ...(clouds ? ['', cloudTable(answer)] : []),
  ];
  return parts.join('\n');
}

function trafficLine(answer: CalculatorAnswer): string {
  const { cachedShare, modelId, outputTokens, promptTokens, requestsPerS, requestsPerSPeak } = answer;
  const peak =
    requestsPerSPeak > requestsPerS * 1.0001 ? ` (${figure(60 * requestsPerSPeak)} in the busiest hour)` : '';
  const cached = cachedShare > 0 ? `, ${percent(cachedShare)} of it cached` : '';
  return `${modelId}: ${figure(60 * requestsPerS)} requests a minute${peak} of ${figure(promptTokens)} tokens in${cached}, ${figure(outputTokens)} out`;
}

function adviceLine({ best, nearest, simulation }: CalculatorAnswer): string {
  if (best === null) return nearest === null ? 'There is nothing to buy.' : missedLine(nearest);
  const { coefficient, cost, limit, templateId, units, utilisation } = best;
  const what = `${units} ${units === 1 ? 'unit' : 'units'} of ${templateId} at coefficient ${coefficient}`;
  const how =
    cost === null
      ? 'not for sale'
      : `${cost.prepaidUnits} by the month${cost.postpaidUnitsMax > 0 ? `, up to ${cost.postpaidUnitsMax} by the hour` : ''}: ${money(cost.monthlyCheapest)} a month`;
  const bursts = simulation !== null && simulation.units > simulation.formulaUnits;
  const why = bursts ? 'the trace’s bursts' : LIMITS[limit];
  const warning = simulation === null || simulation.meets ? '' : ' Even so the trace does not meet the targets.';
  return `Buy ${what}, ${how}. Busy ${percent(utilisation ?? 0)}; limited by ${why}.${warning}`;
}

function missedLine({ missed, templateId }: Plan): string {
  const figures = missed.map(
    ({ figure: name, over, reachedMs, targetMs }) =>
      `${name.toUpperCase()} ${figure(reachedMs)} ms instead of ${figure(targetMs)} ms (${percent(over)} more)`,
  );
  return `No number of units reaches the targets. Nearest is ${templateId}, with one request alone: ${figures.join(', ')}.`;
}

function table(plans: readonly Plan[]): string {
  const head = [
    'template',
    'k',
    'units',
    'busy',
    'TTFT p50/p95 ms',
    'TPOT p50/p95 ms',
    'in flight',
    'KV',
    'tokens/s a unit',
    'a month',
    'a million tokens',
    'limit',
  ];
  const pair = (latency: Plan['ttftMs']) =>
    latency === null ? '–' : `${figure(latency.p50)} / ${figure(latency.p95)}`;
  const rows = plans.map((plan) => [
    plan.templateId,
    String(plan.coefficient),
    plan.units === null ? '–' : String(plan.units),
    plan.utilisation === null ? '–' : percent(plan.utilisation),
    pair(plan.ttftMs),
    pair(plan.tpotMs),
    plan.concurrency === null ? '–' : `${figure(plan.concurrency)} of ${plan.concurrencyMax}`,
    plan.kvShare === null ? '–' : percent(plan.kvShare),
    figure(plan.ratedTokensPerS),
    plan.cost === null ? '–' : money(plan.cost.monthlyCheapest),
    plan.cost === null ? '–' : money(plan.cost.perMillionTokens),
    plan.limit,
  ]);
  return grid([head, ...rows]);
}

function detailLines(plan: Plan): string[] {
  const { confidence, cost, units, unitsRange, unitsWithoutCache, unitsWithoutLora } = plan;
  const lines = [
    `Rated at 10 : 1, ${figure(plan.ratedTokensPerSTenToOne)} tokens/s a unit, input and output.`,
    `Certainty: ${PROVENANCE[confidence.provenance]}. Half of predictions are within ±${percent(confidence.tpot.half)} of TPOT and ` +
      `±${percent(confidence.ttft.half)} of TTFT, nine tenths within ±${percent(confidence.tpot.nineTenths)} and ±${percent(confidence.ttft.nineTenths)}` +
      (unitsRange === null ? '.' : `: ${unitsRange[0]} to ${unitsRange[1]} units.`),
  ];
  if (cost !== null) {
    lines.push(
      `Cost: ${money(cost.hourly)} in the busiest hour; a month all prepaid ${money(cost.monthlyPrepaid)}, all postpaid ` +
        `${money(cost.monthlyPostpaid)}. A unit is cheaper by the month from ${figure(cost.breakEvenHours)} hours of use.`,
    );
  }
  if (unitsWithoutCache !== null) lines.push(`Cache: without its hits ${unitsWithoutCache} units instead of ${units}.`);
  if (unitsWithoutLora !== null) lines.push(`LoRA: without the adapter ${unitsWithoutLora} units instead of ${units}.`);
  return lines;
}

function simulationLines({ simulation }: CalculatorAnswer): string[] {
  if (simulation === null) return [];
  const { cachedShare, formulaUnits, tpotMs, ttftMs, units } = simulation;
  const tpot = tpotMs === null ? '' : `, TPOT ${figure(tpotMs.p50)} / ${figure(tpotMs.p95)} ms`;
  const more = units === formulaUnits ? '' : ` (formulas said ${formulaUnits}: it comes in bursts)`;
  return [
    `Simulated: the trace on ${units} units${more} has TTFT ${figure(ttftMs.p50)} / ${figure(ttftMs.p95)} ms${tpot} (p50 / p95), ` +
      `${percent(cachedShare)} of input from the cache.`,
  ];
}

function cloudTable({ clouds }: CalculatorAnswer): string {
  const rows = clouds.map(({ cloud, exact, model, reason, sizes, unit }) => [
    cloud,
    model,
    exact === null ? '–' : `${exact.toFixed(2)} ${unit}`,
    reason ?? sizes.map(({ name, units }) => `${units}${name === 'any' ? '' : ` ${name}`}`).join(', '),
  ]);
  return `The same traffic as clouds count it (their models, not this one):\n${grid([['cloud', 'model', 'exact', 'to buy'], ...rows])}`;
}

function money({ amount, currency }: { readonly amount: string; readonly currency: string }): string {
  const value = Number(amount);
  return `${value >= 100 ? value.toFixed(0) : value.toFixed(2)} ${currency}`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.0995 && share > 0 ? 1 : 0)} %`;
}

/** Three digits. */
function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
