import { CubitError, type ErrorCode, toCubitError } from '../core/errors.ts';
import type { Fit } from '../core/serving/admission.ts';
import { NO_WORK } from '../core/serving/work.ts';
import type { Exchange } from './exchange.ts';
import type { OverflowPolicy, OverflowSnapshot, SpillReason, SpillTarget } from './overflow-snapshot.ts';
import { settleRates } from './rate-limit.ts';
import { outcomeOf } from './settle.ts';
import { addSignals } from './signals.ts';
import type { EndpointSnapshot } from './snapshot.ts';
import { giveBackBudget } from './spill-budget.ts';
import type { State } from './state.ts';

/** Serves a request at an endpoint, waiting up to `waitMs` for its place; throws what ends it. */
export type Attempt = (endpoint: EndpointSnapshot, waitMs: number) => Promise<void>;

const REASON_OF: Partial<Record<ErrorCode, SpillReason>> = {
  model_units_exhausted: 'no_capacity',
  rate_limit_exceeded: 'no_capacity',
  endpoint_scaling_up: 'not_ready',
  engine_unavailable: 'not_ready',
  engine_failed: 'not_ready',
  engine_timeout: 'not_ready',
  context_length_exceeded: 'context_too_long',
};

/**
 * Steps 3 to 7 at the endpoint that was asked for, and where that has no place for it, by its overflow policy at the
 * targets it spills to, in order, until one begins to answer. A target never spills on: `attempt` knows nothing of
 * policies. Throws what the endpoint itself threw when no target takes it, with `details.spill` saying why not.
 */
export async function withOverflow(
  state: State,
  exchange: Exchange,
  { endpoint, waitMs: askedMs }: { readonly endpoint: EndpointSnapshot; readonly waitMs: number | null },
  attempt: Attempt,
): Promise<void> {
  const policy = policyOf(exchange, endpoint);
  exchange.policy = policy;
  try {
    await attempt(endpoint, waitOf(policy, endpoint, askedMs));
  } catch (thrown) {
    const error = toCubitError(thrown);
    const { overflow } = endpoint;
    const reason = REASON_OF[error.code];
    if (policy !== 'spill' || overflow === undefined || exchange.answered) throw error;
    if (reason === undefined || !overflow.reasons.includes(reason)) throw error;
    await spill(state, exchange, { endpoint, overflow, reason, error }, attempt);
  }
}

/** Where a request would spill to that does not fit; null: it would not. Budgets are not asked. */
export function wouldSpillTo(state: State, { policy, endpoint }: Exchange, fit: Fit): string | null {
  const overflow = endpoint?.overflow;
  if (policy !== 'spill' || overflow === undefined || fit.fits) return null;
  if (!overflow.reasons.includes(fit.because === 'units' ? 'not_ready' : 'no_capacity')) return null;
  return overflow.targets.find((one) => state.snapshot.endpoints.has(one.endpointKey))?.targetId ?? null;
}

function policyOf({ req }: Exchange, { overflow, maxWaitMs, name }: EndpointSnapshot): OverflowPolicy {
  const asked = req.headers['x-cubit-overflow'];
  const own = overflow?.policy ?? (maxWaitMs > 0 ? 'queue' : 'reject');
  if (asked === undefined) return own;
  const allowed = overflow?.allowed ?? [own];
  const found = allowed.find((one) => one === asked);
  if (found !== undefined) return found;
  const message = `x-cubit-overflow: endpoint "${name}" allows ${allowed.join(', ')}.`;
  throw new CubitError('invalid_request', message, { details: { param: 'x-cubit-overflow' } });
}

function waitOf(policy: OverflowPolicy, { overflow, maxWaitMs }: EndpointSnapshot, askedMs: number | null): number {
  // Who asks to be refused at once does not wait, whatever else it says.
  if (policy === 'reject' && overflow !== undefined && overflow.policy !== 'reject') return 0;
  if (askedMs !== null) return askedMs;
  if (overflow === undefined) return maxWaitMs;
  return policy === 'reject' ? 0 : policy === 'queue' ? overflow.queueWaitMs : overflow.spillAfterMs;
}

interface Spilling {
  readonly endpoint: EndpointSnapshot;
  readonly overflow: OverflowSnapshot;
  readonly reason: SpillReason;
  /** Of the endpoint itself. */
  readonly error: CubitError;
}

async function spill(state: State, exchange: Exchange, from: Spilling, attempt: Attempt): Promise<void> {
  const { served, estimate, expired, waitMs } = exchange;
  const tried: { readonly target: string; readonly because: string }[] = [];
  leave(state, exchange, from.error);
  for (const target of from.overflow.targets) {
    const to = endpointOf(state, target);
    const unfit = to === undefined ? 'gone' : unfitFor(from, to, served);
    if (to === undefined || unfit !== null) {
      tried.push({ target: target.targetId, because: unfit ?? 'gone' });
      continue;
    }
    begin(exchange, from, target);
    try {
      return await attempt(to, 0);
    } catch (thrown) {
      const error = toCubitError(thrown);
      if (exchange.answered || error.code === 'client_closed' || error.code === 'shutting_down') throw error;
      const { because } = error.details;
      tried.push({ target: target.targetId, because: isBudget(because) ? because : error.code });
      leave(state, exchange, error);
    }
  }
  // It ends as what it was before: refused by its own endpoint, which has counted it.
  Object.assign(exchange, { endpoint: from.endpoint, served, estimate, expired, waitMs, spill: null, signalled: true });
  throw nobodyTookIt(from.error, tried);
}

const isBudget = (because: unknown): because is string => typeof because === 'string' && because.startsWith('budget');

/** One of several served models of an endpoint is that endpoint with this model only. */
function endpointOf({ snapshot }: State, { endpointKey, targetId }: SpillTarget): EndpointSnapshot | undefined {
  const endpoint = snapshot.endpoints.get(endpointKey);
  if (endpoint === undefined || !targetId.startsWith('sm-')) return endpoint;
  const servedModels = endpoint.servedModels.filter((one) => one.servedModelId === targetId);
  return servedModels.length === 0 ? undefined : { ...endpoint, servedModels };
}

/** A longer prompt needs a model that takes more than the endpoint's own. */
function unfitFor({ reason, endpoint }: Spilling, to: EndpointSnapshot, refusedBy: Exchange['served']): string | null {
  const isSame = to.servedModels.some((one) => one.servedModelId === refusedBy?.snapshot.servedModelId);
  if (isSame && to.servedModels.length === 1) return 'refused_before';
  if (reason !== 'context_too_long') return null;
  const roomOf = (one: EndpointSnapshot) => Math.max(0, ...one.servedModels.map((model) => model.contextTokens));
  return roomOf(to) > roomOf(endpoint) ? null : 'context_too_long';
}

function begin(exchange: Exchange, { endpoint, reason, overflow }: Spilling, target: SpillTarget): void {
  const { targetId, price } = target;
  const { budgetMicros } = overflow;
  exchange.spill = {
    fromEndpointId: endpoint.endpointId,
    targetId,
    reason,
    price,
    budgetMicros,
    hold: null,
    costMicros: 0,
  };
  if (exchange.res.headersSent) return;
  exchange.res.setHeader('x-cubit-spilled', targetId);
  exchange.res.setHeader('x-cubit-spill-reason', reason);
}

/** Gives back all that it holds where it was, counts it there, and forgets the place. */
function leave(state: State, exchange: Exchange, error: CubitError): void {
  const { served, key, reservation, res } = exchange;
  exchange.outcome = outcomeOf(exchange, error);
  exchange.cause = error.code;
  if (served !== null && key !== null && reservation !== null) served.settle(key.keyId, reservation, NO_WORK);
  if (served !== null) addSignals(served.signals, exchange);
  settleRates(exchange, state.deps.monotonicMs());
  giveBackBudget(state.spills, exchange, 0);
  if (!res.headersSent) for (const name of ['x-cubit-spilled', 'x-cubit-spill-reason']) res.removeHeader(name);
  exchange.forgetPlace();
}

function nobodyTookIt(error: CubitError, tried: readonly object[]): CubitError {
  const message = `${error.message} It could not spill over either; details.spill says why.`;
  return new CubitError(error.code, message, { details: { ...error.details, spill: tried }, cause: error.cause });
}
