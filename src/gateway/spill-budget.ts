import { CubitError, toCubitError } from '../core/errors.ts';
import type { TokenCounts } from '../core/serving/work.ts';
import type { Log } from './deps.ts';
import type { Estimated } from './estimate.ts';
import type { Exchange } from './exchange.ts';
import type { SpillPrice, SpillReason } from './overflow-snapshot.ts';

/** Part of an endpoint's spill budget that this process alone may spend. */
export interface BudgetLease {
  /** 0: there is not as much left as was asked for. */
  readonly micros: number;
  readonly periodStartMs: number;
  readonly periodEndMs: number;
}

/** What the control plane keeps of budgets, so that neither a restart nor another gateway forgets what was spent. */
export interface LeaseBudget {
  /** At least `micros`, or 0. */
  lease(endpointId: string, micros: number): Promise<BudgetLease>;
  giveBack(endpointId: string, periodStartMs: number, micros: number): Promise<void>;
}

export interface BudgetHold {
  readonly endpointId: string;
  readonly periodStartMs: number;
  readonly micros: number;
}

/** That and why a request went elsewhere. */
export interface Spill {
  readonly fromEndpointId: string;
  readonly targetId: string;
  readonly reason: SpillReason;
  readonly price: SpillPrice | null;
  readonly budgetMicros: number | null;
  hold: BudgetHold | null;
  costMicros: number;
}

interface Purse {
  readonly budgetMicros: number;
  readonly periodStartMs: number;
  readonly periodEndMs: number;
  /** Leased and held by no request. */
  freeMicros: number;
}

/** A prompt is never more tokens than bytes, beside what a chat template adds for each message. */
const TEMPLATE_TOKENS = 16;

/**
 * Budgets of spilling, as this process spends them: whatever a request can cost at most is held before it is sent, and
 * what it did cost is settled after, so that requests side by side cannot overshoot. Money comes in leases.
 */
export class SpillBudgets {
  readonly #leases: LeaseBudget;
  readonly #now: () => number;
  readonly #log: Log;
  readonly #purses = new Map<string, Purse>();
  /** One lease at a time for each endpoint. */
  readonly #turns = new Map<string, Promise<void>>();

  constructor(leases: LeaseBudget, now: () => number, log: Log) {
    this.#leases = leases;
    this.#now = now;
    this.#log = log;
  }

  /** Throws `payment_required` when the budget has not as much left, or nobody can say. */
  async hold(endpointId: string, micros: number, budgetMicros: number): Promise<BudgetHold> {
    const before = this.#turns.get(endpointId) ?? Promise.resolve();
    const turn = before.then(() => this.#take(endpointId, micros, budgetMicros));
    const over = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#turns.set(endpointId, over);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(endpointId) === over) this.#turns.delete(endpointId);
    }
  }

  /** More than was held is owed: the next leases pay it back. */
  settle({ endpointId, periodStartMs, micros }: BudgetHold, costMicros: number): void {
    const purse = this.#purses.get(endpointId);
    if (purse?.periodStartMs === periodStartMs) purse.freeMicros += micros - costMicros;
    else if (micros > costMicros) this.#return(endpointId, periodStartMs, micros - costMicros);
  }

  /** Gives back what is free. */
  async close(): Promise<void> {
    const left = [...this.#purses];
    this.#purses.clear();
    await Promise.all(left.map(([id, { periodStartMs, freeMicros }]) => this.#return(id, periodStartMs, freeMicros)));
  }

  async #take(endpointId: string, micros: number, budgetMicros: number): Promise<BudgetHold> {
    const purse = this.#purseOf(endpointId, budgetMicros);
    const owedMicros = Math.max(0, -(purse?.freeMicros ?? 0));
    if (purse === undefined || purse.freeMicros < micros) {
      const missing = micros - (purse?.freeMicros ?? 0);
      const lease = await this.#lease(endpointId, missing);
      if (lease.micros < missing) throw usedUp(owedMicros);
      this.#put(endpointId, lease, budgetMicros);
    }
    const now = this.#purses.get(endpointId) as Purse;
    if (now.freeMicros < micros) throw usedUp(owedMicros);
    now.freeMicros -= micros;
    return { endpointId, periodStartMs: now.periodStartMs, micros };
  }

  #put(endpointId: string, { micros, periodStartMs, periodEndMs }: BudgetLease, budgetMicros: number): void {
    const purse = this.#purses.get(endpointId);
    if (purse?.periodStartMs === periodStartMs) purse.freeMicros += micros;
    else this.#purses.set(endpointId, { budgetMicros, periodStartMs, periodEndMs, freeMicros: micros });
  }

  /** Of the present period and budget; another's is given back. */
  #purseOf(endpointId: string, budgetMicros: number): Purse | undefined {
    const purse = this.#purses.get(endpointId);
    if (purse === undefined) return undefined;
    if (purse.budgetMicros === budgetMicros && this.#now() < purse.periodEndMs) return purse;
    this.#purses.delete(endpointId);
    void this.#return(endpointId, purse.periodStartMs, purse.freeMicros);
    return undefined;
  }

  async #lease(endpointId: string, micros: number): Promise<BudgetLease> {
    try {
      return await this.#leases.lease(endpointId, micros);
    } catch (err) {
      this.#log.error({ endpointId, err }, 'the spill budget cannot be read: nothing spills');
      const details = { because: 'budget_unknown' };
      throw new CubitError('payment_required', 'The spill budget cannot be read now.', { details });
    }
  }

  /** Also of less than nothing: what was owed counts as spent. */
  async #return(endpointId: string, periodStartMs: number, micros: number): Promise<void> {
    if (micros === 0) return;
    try {
      await this.#leases.giveBack(endpointId, periodStartMs, micros);
    } catch (err) {
      this.#log.error(
        { endpointId, micros, err: toCubitError(err) },
        'a part of a spill budget stays counted as spent',
      );
    }
  }
}

function usedUp(owedMicros: number): CubitError {
  const details = { because: 'budget_used_up', ...(owedMicros > 0 && { owedMicros }) };
  return new CubitError('payment_required', 'The spill budget of this period is used up.', { details });
}

/** Cost of tokens at a price, rounded up to the micro. */
export function costMicrosOf(price: SpillPrice, { promptTokens, cachedTokens, outputTokens }: TokenCounts): number {
  const { inputMicros, cachedMicros, outputMicros } = price;
  const sum = (promptTokens - cachedTokens) * inputMicros + cachedTokens * cachedMicros + outputTokens * outputMicros;
  return Math.ceil(sum / 1_000_000);
}

/** Before a spilled request is sent: what it can cost at most. Throws `payment_required`. */
export async function holdBudget(
  budgets: SpillBudgets | null,
  exchange: Exchange,
  estimated: Estimated,
): Promise<void> {
  const { spill } = exchange;
  if (spill === null || spill.price === null) return;
  const { tokens, prompt, outputTokensMax, sequences } = estimated;
  const bytesBound = prompt.bytes + TEMPLATE_TOKENS * (prompt.messages + sequences);
  const promptTokens = Math.max(tokens.promptTokens, prompt.tokens ?? bytesBound);
  const worst = { promptTokens, cachedTokens: 0, outputTokens: outputTokensMax };
  if (budgets === null) throw usedUp(0);
  const micros = costMicrosOf(dearest(spill.price), worst);
  spill.hold = await budgets.hold(spill.fromEndpointId, micros, spill.budgetMicros ?? 0);
}

/** Some sell what is cached for more than what is not. */
function dearest(price: SpillPrice): SpillPrice {
  return { ...price, inputMicros: Math.max(price.inputMicros, price.cachedMicros) };
}

export function giveBackBudget(budgets: SpillBudgets | null, { spill }: Exchange, costMicros: number): void {
  if (spill === null) return;
  spill.costMicros = costMicros;
  if (spill.hold === null) return;
  budgets?.settle(spill.hold, costMicros);
  spill.hold = null;
}

/** At the end: it cost the tokens that there were. */
export function settleSpill(budgets: SpillBudgets | null, exchange: Exchange): void {
  const { spill, tokens } = exchange;
  giveBackBudget(budgets, exchange, spill?.price == null ? 0 : costMicrosOf(spill.price, tokens));
}
