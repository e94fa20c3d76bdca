import { toCubitError } from '../core/errors.ts';
import type { Outcome } from '../core/serving/outcome.ts';
import { adapterOf, coldLoad, servingAdapter, splitModel } from './adapters.ts';
import { admit, fitBehindQueue, mayWait } from './admit.ts';
import { answerReply } from './answer.ts';
import { authenticate } from './authenticate.ts';
import type { Delivery } from './delivery.ts';
import { type Estimated, estimate } from './estimate.ts';
import type { Exchange } from './exchange.ts';
import { explain } from './explain.ts';
import { check } from './params.ts';
import { parse } from './parse.ts';
import { settleRates } from './rate-limit.ts';
import { refuseWhenSuspended, resolve } from './resolve.ts';
import { sendError, sendJson } from './respond.ts';
import { route } from './route.ts';
import { accountEarlyEnd, learn, outcomeOf, receiptFor } from './settle.ts';
import { addSignals } from './signals.ts';
import { refuseWhenDraining, type State } from './state.ts';
import { streamReply } from './stream.ts';

/**
 * One request's way: authenticate → parse → resolve → estimate → limit → admit → route → stream → settle. Each step throws a
 * CubitError to end it; whatever happens, it settles exactly once. Never rejects.
 */
export async function serve(state: State, exchange: Exchange): Promise<void> {
  const { deps, limits } = state;
  let estimated: Estimated | null = null;
  try {
    refuseWhenDraining(state);
    const key = authenticate(state.keys, exchange.req);
    exchange.key = key;

    const request = await parse(state, exchange);
    refuseWhenDraining(state);

    const [name, adapterName] = splitModel(request.model);
    const endpoint = resolve(state.snapshot, key, name);
    exchange.endpoint = endpoint;
    refuseWhenSuspended(endpoint);
    const adapter = adapterOf(endpoint, adapterName, exchange.kind);
    exchange.adapter = adapter;
    const served = state.traffic.choose(servingAdapter(endpoint, adapter), state.served);
    exchange.served = served;

    const { capabilities } = served.snapshot;
    const options = { capabilities, extras: served.extras, knownFields: deps.knownFields };
    const checked = check(exchange.kind, request.body, options);
    const caller = { endpointId: endpoint.endpointId, keyId: key.keyId };
    estimated = estimate(exchange.kind, checked, served, state.lengths, caller, adapter);
    exchange.estimate = estimated;

    const { monotonicMs } = deps;
    state.rates.hold(exchange, estimated, monotonicMs(), request.dryRun);
    const waitMs = request.waitMs ?? endpoint.maxWaitMs;
    const admission = { served, key, estimated, bytes: request.bytes, waitMs, monotonicMs };
    if (request.dryRun) {
      const fit = fitBehindQueue(admission);
      const would = fit.fits ? 'admit' : mayWait(admission, fit) ? 'wait' : 'reject';
      const answer = { object: 'cubit.dry_run', would, ...explain(admission, fit), ...coldLoad(served, adapter) };
      sendJson(exchange.res, 200, answer, { 'x-request-id': exchange.requestId });
      exchange.outcome = 'dry_run';
      exchange.cause = would;
      return;
    }
    await admit(exchange, admission);

    const { includeUsage, stream, body } = checked;
    const delivery: Delivery = { exchange, served, keyId: key.keyId, estimated, includeUsage, limits, monotonicMs };
    const firstMsMax = stream ? limits.firstTokenMsMax : limits.answerMsMax;
    const { hedgeAfterMs } = limits;
    const own = { served, tenantId: key.tenantId, body, estimated, monotonicMs, firstMsMax };
    const routing = { ...own, hedgeAfterMs, log: deps.log };
    const deliver = stream ? streamReply : answerReply;
    await route(exchange, routing, (reply, watchdog) => deliver(delivery, reply, watchdog));
    exchange.outcome = 'completed';
  } catch (thrown) {
    const error = toCubitError(thrown);
    exchange.outcome = outcomeOf(exchange, error);
    exchange.cause = error.code;
    sendError(exchange.res, error, { 'x-request-id': exchange.requestId }, exchange.stream);
    logError(state, exchange, error);
  } finally {
    accountEarlyEnd(exchange, estimated);
    settle(state, exchange, estimated);
  }
}

/** Step 8: gives the place back, learns, writes the receipt. */
function settle(state: State, exchange: Exchange, estimated: Estimated | null): void {
  const { deps } = state;
  if (exchange.served !== null && exchange.reservation !== null && exchange.key !== null) {
    exchange.served.settle(exchange.key.keyId, exchange.reservation, exchange.actual);
  }
  if (exchange.served !== null) addSignals(exchange.served.signals, exchange);
  settleRates(exchange, deps.monotonicMs());
  if (estimated !== null) learn(exchange, estimated, state.lengths);
  state.metrics.ended(exchange);
  const receipt = receiptFor(exchange, deps.now());
  if (receipt === null) return;
  try {
    deps.record(receipt);
  } catch (err) {
    deps.log.error({ requestId: exchange.requestId, err }, 'a receipt could not be recorded');
  }
  // What went well is in its receipt; a line for each would cost as much as all the rest.
  if (!LOGGED.has(receipt.outcome)) return;
  const { requestId, endpointId, replicaId, outcome, cause, waitMs, ttftMs } = receipt;
  deps.log.info({ requestId, endpointId, replicaId, outcome, cause, waitMs, ttftMs }, 'request');
}

const LOGGED: ReadonlySet<Outcome> = new Set(['failed', 'interrupted', 'expired']);

function logError(state: State, exchange: Exchange, error: ReturnType<typeof toCubitError>): void {
  if (error.status < 500 || error.cause === undefined) return;
  const { requestId, replicaId } = exchange;
  state.deps.log.error({ requestId, replicaId, code: error.code, err: error.cause }, 'request failed');
}
