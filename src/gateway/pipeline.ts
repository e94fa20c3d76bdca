import { toCubitError } from '../core/errors.ts';
import type { Outcome } from '../core/serving/outcome.ts';
import { adapterOf, coldLoad, servingAdapter, splitModel } from './adapters.ts';
import { type AdmitOptions, admit, fitBehindQueue, mayWait } from './admit.ts';
import { answerReply } from './answer.ts';
import { authenticate } from './authenticate.ts';
import type { Delivery } from './delivery.ts';
import { type Estimated, estimate } from './estimate.ts';
import type { Exchange } from './exchange.ts';
import { explain } from './explain.ts';
import { heartbeatMsOf, startHeartbeat } from './heartbeat.ts';
import { withOverflow, wouldSpillTo } from './overflow.ts';
import { bounded, check } from './params.ts';
import { type Parsed, parse } from './parse.ts';
import { settleRates } from './rate-limit.ts';
import { refuseWhenSuspended, resolve } from './resolve.ts';
import { sendError, sendJson } from './respond.ts';
import { route } from './route.ts';
import { sessionOf } from './session.ts';
import { accountEarlyEnd, learn, outcomeOf, receiptFor } from './settle.ts';
import { addSignals } from './signals.ts';
import type { EndpointSnapshot, KeySnapshot } from './snapshot.ts';
import { holdBudget, settleSpill } from './spill-budget.ts';
import { refuseWhenDraining, type State } from './state.ts';
import { streamReply } from './stream.ts';

/**
 * One request's way: authenticate → parse → resolve → estimate → limit → admit → route → stream → settle. Each step throws a
 * CubitError to end it; whatever happens, it settles exactly once. Never rejects.
 */
export async function serve(state: State, exchange: Exchange): Promise<void> {
  try {
    refuseWhenDraining(state);
    const key = authenticate(state.keys, exchange.req);
    exchange.key = key;

    const request = await parse(state, exchange);
    refuseWhenDraining(state);

    const [name, adapterName] = splitModel(request.model);
    const endpoint = resolve(state.snapshot, key, name);
    exchange.endpoint = endpoint;
    const { waitMs } = request;
    await withOverflow(state, exchange, { endpoint, waitMs }, (to, toWaitMs) =>
      attempt(state, exchange, { key, request, adapterName, endpoint: to, waitMs: toWaitMs }),
    );
  } catch (thrown) {
    const error = toCubitError(thrown);
    exchange.outcome = outcomeOf(exchange, error);
    exchange.cause = error.code;
    sendError(exchange.res, error, { 'x-request-id': exchange.requestId }, exchange.stream);
    logError(state, exchange, error);
  } finally {
    const { estimate: estimated } = exchange;
    accountEarlyEnd(exchange, estimated);
    settle(state, exchange, estimated);
  }
}

interface Asked {
  readonly key: KeySnapshot;
  readonly request: Parsed;
  readonly adapterName: string | null;
  readonly endpoint: EndpointSnapshot;
  /** At most; 0 = not at all. */
  readonly waitMs: number;
}

/** Steps 3 to 7 at one endpoint: the one that was asked for, or one that it spills to. */
async function attempt(state: State, exchange: Exchange, asked: Asked): Promise<void> {
  const { deps, limits } = state;
  const { adapterName, endpoint, key, request, waitMs } = asked;
  exchange.endpoint = endpoint;
  refuseWhenSuspended(endpoint);
  const adapter = adapterOf(endpoint, adapterName, exchange.kind);
  exchange.adapter = adapter;
  const session = sessionOf(exchange, request.body);
  const served = state.traffic.choose(servingAdapter(endpoint, adapter), state.served, session);
  exchange.served = served;

  const { capabilities } = served.snapshot;
  const options = { capabilities, extras: served.extras, knownFields: deps.knownFields };
  const checked = bounded(check(exchange.kind, request.body, options), endpoint.upstream);
  const caller = { endpointId: endpoint.endpointId, keyId: key.keyId };
  const estimated = estimate(exchange.kind, checked, served, state.lengths, caller, adapter);
  exchange.estimate = estimated;
  const { includeUsage, stream, body } = checked;
  const heartbeatMs = heartbeatMsOf(exchange, stream);

  const { monotonicMs } = deps;
  state.rates.hold(exchange, estimated, monotonicMs(), request.dryRun);
  const admission = { served, key, estimated, bytes: request.bytes, waitMs, monotonicMs };
  if (request.dryRun) return answerDryRun(state, exchange, admission);
  await holdBudget(state.spills, exchange, estimated);
  const stopHeartbeat = heartbeatMs === null ? null : startHeartbeat(exchange, admission, heartbeatMs);
  try {
    await admit(exchange, admission);

    const delivery: Delivery = { exchange, served, keyId: key.keyId, estimated, includeUsage, limits, monotonicMs };
    const firstMsMax = stream ? limits.firstTokenMsMax : limits.answerMsMax;
    const { hedgeAfterMs } = limits;
    const own = { served, tenantId: key.tenantId, body, estimated, monotonicMs, firstMsMax };
    const routing = { ...own, hedgeAfterMs, log: deps.log };
    const deliver = stream ? streamReply : answerReply;
    await route(exchange, routing, (reply, watchdog) => deliver(delivery, reply, watchdog));
  } finally {
    stopHeartbeat?.();
  }
  exchange.outcome = 'completed';
}

/** What would happen; costs nothing. */
function answerDryRun(state: State, exchange: Exchange, admission: AdmitOptions): void {
  const fit = fitBehindQueue(admission);
  const spillsTo = wouldSpillTo(state, exchange, fit);
  const otherwise = mayWait(admission, fit) ? 'wait' : spillsTo !== null ? 'spill' : 'reject';
  const would = fit.fits ? 'admit' : otherwise;
  const more = { ...(spillsTo !== null && { spillsTo }), ...coldLoad(admission.served, exchange.adapter) };
  const answer = { object: 'cubit.dry_run', would, ...more, ...explain(admission, fit) };
  sendJson(exchange.res, 200, answer, { 'x-request-id': exchange.requestId });
  exchange.outcome = 'dry_run';
  exchange.cause = would;
}

/** Step 8: gives the place back, learns, writes the receipt. */
function settle(state: State, exchange: Exchange, estimated: Estimated | null): void {
  const { deps } = state;
  if (exchange.served !== null && exchange.reservation !== null && exchange.key !== null) {
    exchange.served.settle(exchange.key.keyId, exchange.reservation, exchange.actual);
  }
  if (exchange.served !== null && !exchange.signalled) addSignals(exchange.served.signals, exchange);
  settleRates(exchange, deps.monotonicMs());
  settleSpill(state.spills, exchange);
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
