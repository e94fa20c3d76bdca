import { roundHalfEven } from '../commerce/money.ts';
import {
  breakEvenHours,
  cheapestPurchase,
  HOURS_PER_MONTH,
  monthOf,
  type Purchase,
  type UnitPrice,
} from '../commerce/purchase.ts';
import { CubitError } from '../errors.ts';
import type { Confidence, Provenance } from './calculator/confidence.ts';
import { type Limit, type Missed, type Targets, unitShareOf, unitsFor } from './calculator/need.ts';
import type { Traffic } from './calculator/traffic.ts';
import type { ErrorBand } from './performance/band.ts';
import type { UnitFacts } from './unit/load.ts';
import { type LengthMix, meanTokens, mixOf } from './unit/mix.ts';
import { predictUnit, ratedShapeOf, ratingOf, type UnitPrediction } from './unit.ts';

/** A deployment template as it is offered. */
export interface Offer {
  readonly templateId: string;
  /** What one unit is at any tier; its batch is the tier's. */
  readonly unit: Omit<UnitFacts, 'batch'>;
  readonly contextTokens: number;
  /** Units are sold in multiples of this. */
  readonly unitStep: number;
  readonly tiers: readonly {
    readonly coefficient: number;
    readonly batch: number;
    /** How far off a prediction at this batch may be. */
    readonly band: ErrorBand;
  }[];
  /** null: not for sale. */
  readonly price: UnitPrice | null;
  readonly provenance: Provenance;
}

export interface Question {
  readonly traffic: Traffic;
  readonly targets: Targets;
  /** Only tiers of this elasticity coefficient; null = all. */
  readonly coefficient: number | null;
  /** Work of a request with a LoRA adapter over that without, ≥ 1. */
  readonly loraFactor: number;
}

export interface Cost {
  readonly hourlyMicros: bigint;
  /** All by the month, all by the hour, and the cheapest mix of both. */
  readonly monthlyPrepaidMicros: bigint;
  readonly monthlyPostpaidMicros: bigint;
  readonly cheapest: Purchase;
  readonly breakEvenHours: number;
  /** Cheapest mix over input and output tokens of a month. */
  readonly perMillionTokensMicros: bigint;
}

/** One template at one tier. Latencies, utilisation and occupancy are those of the busiest hour. */
export interface Plan {
  readonly templateId: string;
  readonly coefficient: number;
  readonly batch: number;
  /** null: no number of units reaches the targets. */
  readonly units: number | null;
  /** If the prediction is off by its nine-tenths band. */
  readonly unitsRange: readonly [low: number, high: number] | null;
  readonly limit: Limit;
  readonly missed: readonly Missed[];
  readonly load: UnitPrediction | null;
  /** Sequences in flight that all units hold together at most. */
  readonly concurrencyMax: number | null;
  /** KV cache in use, of 1. */
  readonly kvShare: number | null;
  /** What one unit carries at full use: at this traffic's lengths, and at 10 : 1. Input and output tokens. */
  readonly ratedRequestsPerS: number;
  readonly ratedTokensPerS: number;
  readonly ratedTokensPerSTenToOne: number;
  readonly unitsByHour: readonly number[] | null;
  readonly cost: Cost | null;
  /** Units without the cache's help, and without the adapter's weight; null where there is none. */
  readonly unitsWithoutCache: number | null;
  readonly unitsWithoutLora: number | null;
  readonly confidence: Confidence;
}

/** A template that cannot serve this traffic at all. */
export interface Unfit {
  readonly templateId: string;
  readonly contextTokens: number;
  /** Share of requests that are longer than its context. */
  readonly refusedShare: number;
}

export interface Calculation {
  readonly plans: readonly Plan[];
  readonly unfit: readonly Unfit[];
  /** Share of requests over a template's context, which it will refuse and which were left out of its plans. */
  readonly refusedShares: Readonly<Record<string, number>>;
  /** The cheapest plan that meets everything; null when none does. */
  readonly best: Plan | null;
  /** When none does: the plan that comes nearest. */
  readonly nearest: Plan | null;
}

/** More requests than this over the context, and the template is not a choice. */
const REFUSED_SHARE_MAX = 0.1;

/**
 * What to buy for this traffic, of every template and tier. Units are for the busiest hour; the bill follows the day.
 * Pure arithmetic, milliseconds for averages. Throws `invalid_request` when no template has the tier or the context.
 */
export function calculate(offers: readonly Offer[], question: Question): Calculation {
  checkQuestion(offers, question);
  const plans: Plan[] = [];
  const unfit: Unfit[] = [];
  const refusedShares: Record<string, number> = {};
  for (const offer of offers) {
    const { refusedShare, served } = withinContext(question.traffic, offer.contextTokens);
    if (served === null) unfit.push({ templateId: offer.templateId, contextTokens: offer.contextTokens, refusedShare });
    else {
      if (refusedShare > 0) refusedShares[offer.templateId] = refusedShare;
      const tiers = offer.tiers.filter((tier) => [null, tier.coefficient].includes(question.coefficient));
      plans.push(...tiers.map((tier) => planOf(offer, tier, { ...question, traffic: served })));
    }
  }
  if (plans.length === 0) throw tooLong(unfit);
  const sorted = plans.toSorted(byCost);
  const reaching = sorted.filter(({ units }) => units !== null);
  const best = reaching[0] ?? null;
  return { plans, unfit, refusedShares, best, nearest: best === null ? nearestOf(plans) : null };
}

function planOf(offer: Offer, { band, batch, coefficient }: Offer['tiers'][number], question: Question): Plan {
  const { loraFactor, targets, traffic } = question;
  const { hourlyFactors, mix, requestsPerS } = traffic;
  const bare = { ...offer.unit, batch };
  const unit = slowed(bare, loraFactor);
  const share = unitShareOf(unit, mix, coefficient, targets);
  const rating = ratingOf(unit, mix);
  const confidence = { provenance: offer.provenance, ...band };
  const plan = {
    templateId: offer.templateId,
    ...{ coefficient, batch, confidence, limit: share.limit, missed: share.missed },
    ratedRequestsPerS: rating.requestsPerS,
    ratedTokensPerS: rating.tokensPerS,
    ratedTokensPerSTenToOne: ratingOf(unit, mixOf(ratedShapeOf(offer.contextTokens))).tokensPerS,
  };
  const none = { units: null, unitsRange: null, load: null, concurrencyMax: null, kvShare: null, cost: null };
  const unknown = { unitsByHour: null, unitsWithoutCache: null, unitsWithoutLora: null };
  if (share.requestsPerS === null) return { ...plan, ...none, ...unknown };
  const perUnit = share.requestsPerS;
  const peakPerS = requestsPerS * Math.max(...hourlyFactors);
  const units = unitsFor(peakPerS, perUnit, offer.unitStep);
  const unitsByHour = hourlyFactors.map((factor) => unitsFor(requestsPerS * factor, perUnit, offer.unitStep));
  const load = predictUnit(unit, mix, peakPerS / units);
  // A target that costs no unit is not what limits.
  const limit = unitsFor(peakPerS, share.byWorkPerS, offer.unitStep) === units ? rating.limit : share.limit;
  const off = confidence.tpot.nineTenths;
  const unitsWith = (facts: UnitFacts, lengths: LengthMix) => {
    const other = unitShareOf(facts, lengths, coefficient, targets).requestsPerS;
    return other === null ? null : unitsFor(peakPerS, other, offer.unitStep);
  };
  const cached = mix.some(({ cachedTokens }) => cachedTokens > 0);
  return {
    ...plan,
    ...{ units, unitsByHour, load, limit },
    unitsRange: [1 - off, 1 + off].map((scale) => unitsFor(peakPerS * scale, perUnit, offer.unitStep)) as [
      number,
      number,
    ],
    concurrencyMax: units * rating.concurrencyMax,
    kvShare: load.kvTokens / unit.kvTokensPerUnit,
    cost: offer.price === null ? null : costOf(unitsByHour, offer.price, traffic),
    unitsWithoutCache: cached
      ? unitsWith(
          unit,
          mix.map((kind) => ({ ...kind, cachedTokens: 0 })),
        )
      : null,
    unitsWithoutLora: loraFactor > 1 ? unitsWith(bare, mix) : null,
  };
}

function costOf(unitsByHour: readonly number[], price: UnitPrice, { mix, requestsPerS }: Traffic): Cost {
  const most = BigInt(Math.max(...unitsByHour));
  const cheapest = cheapestPurchase(unitsByHour, price);
  const tokensPerMonth = BigInt(Math.max(1, Math.round(requestsPerS * 3_600 * HOURS_PER_MONTH * meanTokens(mix))));
  return {
    hourlyMicros: most * price.hourlyMicros,
    monthlyPrepaidMicros: most * price.monthlyMicros,
    monthlyPostpaidMicros: monthOf(
      unitsByHour.reduce((sum, units) => sum + units, 0),
      price,
    ),
    cheapest,
    breakEvenHours: breakEvenHours(price),
    perMillionTokensMicros: roundHalfEven(cheapest.monthlyMicros * 1_000_000n, tokensPerMonth),
  };
}

/** The plan with other units in the busiest hour (a simulation asked for them), and as much more in every other. */
export function planWithUnits(offer: Offer, plan: Plan, question: Question, units: number): Plan {
  if (plan.units === null || plan.unitsByHour === null || units === plan.units) return plan;
  const grown = units / plan.units;
  const unitsByHour = plan.unitsByHour.map((hour) => Math.ceil(hour * grown - 1e-9));
  const { hourlyFactors, mix, requestsPerS } = question.traffic;
  const unit = slowed({ ...offer.unit, batch: plan.batch }, question.loraFactor);
  const load = predictUnit(unit, mix, (requestsPerS * Math.max(...hourlyFactors)) / units);
  return {
    ...plan,
    ...{ units, unitsByHour, load },
    unitsRange: null,
    concurrencyMax: units * ratingOf(unit, mix).concurrencyMax,
    kvShare: load.kvTokens / unit.kvTokensPerUnit,
    cost: offer.price === null ? null : costOf(unitsByHour, offer.price, question.traffic),
  };
}

/** Every step of a request with an adapter takes so much longer. */
function slowed(unit: UnitFacts, factor: number): UnitFacts {
  const { tau0Us, tau1Us, tau2Us, tau3Us, tau4Us, tau5Us } = unit.step;
  const step = {
    tau0Us: tau0Us * factor,
    tau1Us: tau1Us * factor,
    tau2Us: tau2Us * factor,
    tau3Us: tau3Us * factor,
    tau4Us: tau4Us * factor,
    tau5Us: tau5Us * factor,
  };
  return { ...unit, step, prefillFixedUs: unit.prefillFixedUs * factor };
}

/** The requests that fit into a context, at the rate that is left of them; `served` null when too few do. */
function withinContext(traffic: Traffic, contextTokens: number): { refusedShare: number; served: Traffic | null } {
  const fits = traffic.mix.filter(({ promptTokens, outputTokens }) => promptTokens + outputTokens <= contextTokens);
  const weightOf = (mix: LengthMix) => mix.reduce((sum, { weight }) => sum + weight, 0);
  const refusedShare = 1 - weightOf(fits) / weightOf(traffic.mix);
  if (fits.length === 0 || refusedShare > REFUSED_SHARE_MAX) return { refusedShare, served: null };
  const requestsPerS = traffic.requestsPerS * (1 - refusedShare);
  return {
    refusedShare,
    served: fits.length === traffic.mix.length ? traffic : { ...traffic, mix: fits, requestsPerS },
  };
}

/** By a month's cost; what has no price comes last, by units; equals by the smaller coefficient. */
export function byCost(a: Plan, b: Plan): number {
  const costA = a.cost?.cheapest.monthlyMicros;
  const costB = b.cost?.cheapest.monthlyMicros;
  if (costA !== undefined && costB !== undefined && costA !== costB) return costA < costB ? -1 : 1;
  if ((costA === undefined) !== (costB === undefined)) return costA === undefined ? 1 : -1;
  return (a.units ?? 0) - (b.units ?? 0) || a.coefficient - b.coefficient;
}

function nearestOf(plans: readonly Plan[]): Plan {
  const worst = ({ missed }: Plan) => Math.max(...missed.map(({ over }) => over));
  return plans.toSorted((a, b) => worst(a) - worst(b))[0] as Plan;
}

function checkQuestion(offers: readonly Offer[], { coefficient, loraFactor, targets }: Question): void {
  for (const [name, value] of [
    ['TTFT', targets.ttftMs],
    ['TPOT', targets.tpotMs],
  ] as const) {
    if (value !== null && !(value > 0 && value < 1e9)) {
      throw new CubitError('invalid_request', `A ${name} target of ${value} ms cannot be: give more than 0.`);
    }
  }
  if (!(loraFactor >= 1 && loraFactor <= 100)) {
    throw new CubitError('invalid_request', `A LoRA factor of ${loraFactor} cannot be: it goes from 1 to 100.`);
  }
  const known = [...new Set(offers.flatMap(({ tiers }) => tiers.map((tier) => tier.coefficient)))].sort(
    (a, b) => a - b,
  );
  if (coefficient !== null && !known.includes(coefficient)) {
    throw new CubitError(
      'invalid_request',
      `No template of this model has the elasticity coefficient ${coefficient}; there are ${known.join(', ')}.`,
    );
  }
}

function tooLong(unfit: readonly Unfit[]): CubitError {
  const most = unfit.toSorted((a, b) => b.contextTokens - a.contextTokens)[0];
  const said =
    most === undefined
      ? 'There is no template to calculate with.'
      : `${(100 * most.refusedShare).toFixed(0)} % of the requests are longer (input and output together) than the ${most.contextTokens} tokens ` +
        `of context that ${most.templateId} has, the most of any template of this model. Give shorter lengths or another model.`;
  return new CubitError('invalid_request', said, { details: { unfit } });
}
