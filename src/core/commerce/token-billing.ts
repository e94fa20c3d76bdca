import type { Outcome } from '../serving/outcome.ts';
import { formatMicros, roundHalfEven } from './money.ts';

/**
 * Pay per token (DESIGN §1, access mode): an endpoint costs Σ tokens × price per million, and as in ADR 4 only the
 * cumulative sum since its start is rounded. A line is the difference of two such sums, so that hours, late receipts and
 * restarts never change a total.
 */
export interface PaidTokens {
  /** Prompt tokens that were not served from cache. */
  readonly inputTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
}

/** Per million tokens. */
export interface TokenPrice {
  readonly inputMicros: bigint;
  readonly cachedMicros: bigint;
  readonly outputMicros: bigint;
  /** Of the price book. */
  readonly version: string;
}

/** Tokens of one price. */
export interface TokenTerm extends PaidTokens {
  readonly price: TokenPrice;
}

/** All that an endpoint was charged so far: the rounded sum, and what rounding left over. Both start at 0. */
export interface TokenTotal {
  readonly amountMicros: bigint;
  /** Exact sum less `amountMicros`, in millionths of a micro; may be negative. */
  readonly carryPicos: number;
}

export interface TokenLine extends PaidTokens {
  readonly amountMicros: bigint;
  /** What the next line is counted from. */
  readonly total: TokenTotal;
  /** The sum written out, for people. */
  readonly arithmetic: string;
}

const PER_MILLION = 1_000_000n;

export const NO_TOKENS_BILLED: TokenTotal = { amountMicros: 0n, carryPicos: 0 };

/**
 * Whether a request that ended so is paid: answered, or left by its client (then for what was prefilled and delivered
 * until then). What failed, also in the middle of its answer, is on the house.
 */
export function isPaid(outcome: Outcome): boolean {
  return outcome === 'completed' || outcome === 'cancelled';
}

export function plusTokens(a: PaidTokens, b: PaidTokens): PaidTokens {
  return {
    inputTokens: a.inputTokens + b.inputTokens,
    cachedTokens: a.cachedTokens + b.cachedTokens,
    outputTokens: a.outputTokens + b.outputTokens,
  };
}

/** Exact, in millionths of a micro. */
function picosOf({ price, ...tokens }: TokenTerm): bigint {
  return (
    BigInt(tokens.inputTokens) * price.inputMicros +
    BigInt(tokens.cachedTokens) * price.cachedMicros +
    BigInt(tokens.outputTokens) * price.outputMicros
  );
}

/** The sum of these terms beyond what was billed `before`; rounded once, half to even, to the micro. */
export function tokenLine(terms: readonly TokenTerm[], before: TokenTotal, currency: string): TokenLine {
  const alonePicos = terms.reduce((sum, term) => sum + picosOf(term), 0n);
  const exactPicos = before.amountMicros * PER_MILLION + BigInt(before.carryPicos) + alonePicos;
  const totalMicros = roundHalfEven(exactPicos, PER_MILLION);
  const total = { amountMicros: totalMicros, carryPicos: Number(exactPicos - totalMicros * PER_MILLION) };
  const counts = terms.reduce(plusTokens, { inputTokens: 0, cachedTokens: 0, outputTokens: 0 });
  const amountMicros = totalMicros - before.amountMicros;
  const alone = roundHalfEven(alonePicos, PER_MILLION);
  const sum = `${terms.map((term) => writeTerm(term, currency)).join(' + ')} = ${formatMicros(alone)} ${currency}`;
  const difference = `${formatMicros(totalMicros)} − ${formatMicros(before.amountMicros)}`;
  const carried = `; rounded since the start: ${difference} = ${formatMicros(amountMicros)} ${currency}`;
  return { ...counts, amountMicros, total, arithmetic: alone === amountMicros ? sum : sum + carried };
}

/** What tokens cost by themselves, rounded once. */
export function tokensCostMicros(terms: readonly TokenTerm[]): bigint {
  return roundHalfEven(
    terms.reduce((sum, term) => sum + picosOf(term), 0n),
    PER_MILLION,
  );
}

/** `(1,200 input × 0.800000 + 400 cached × 0.160000 + 90 output × 2.000000) CNY/million (2026-11)` */
function writeTerm({ price, ...tokens }: TokenTerm, currency: string): string {
  const parts = [
    [tokens.inputTokens, 'input', price.inputMicros],
    [tokens.cachedTokens, 'cached', price.cachedMicros],
    [tokens.outputTokens, 'output', price.outputMicros],
  ] as const;
  const written = parts.filter(([count]) => count > 0).map(([count, what, micros]) => writePart(count, what, micros));
  return `(${written.length === 0 ? '0 tokens' : written.join(' + ')}) ${currency}/million (${price.version})`;
}

function writePart(count: number, what: string, micros: bigint): string {
  return `${String(count).replace(/\B(?=(\d{3})+$)/g, ',')} ${what} × ${formatMicros(micros)}`;
}
