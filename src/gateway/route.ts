import { type CubitError, type ErrorCode, toCubitError } from '../core/errors.ts';
import { PREFIX_ENDS, prefixBlocks, type RoutingRequest } from '../core/serving/routing.ts';
import type { EngineReply } from '../engine/port.ts';
import { Attempt, type AttemptOptions, type Place, saltOf } from './attempt.ts';
import { candidatesOf } from './candidates.ts';
import type { Log } from './deps.ts';
import type { Exchange } from './exchange.ts';
import { scalingUp } from './explain.ts';
import { firstOf } from './hedge.ts';
import { prefixOf } from './messages.ts';
import { decodeFor } from './pair.ts';
import type { Body } from './parse.ts';
import type { Replica } from './replica.ts';
import { untilAborted } from './until-aborted.ts';
import type { Watchdog } from './watchdog.ts';

export interface RouteOptions extends AttemptOptions {
  /** Without a byte of an answer for so long, the request is sent to a second replica too; null = never. */
  readonly hedgeAfterMs: number | null;
  readonly log: Log;
}

export type Deliver = (reply: EngineReply, watchdog: Watchdog) => Promise<void>;

const ATTEMPTS_MAX = 2;
const RETRYABLE: ReadonlySet<ErrorCode> = new Set([
  'engine_unavailable',
  'engine_failed',
  'engine_timeout',
  'internal',
]);

/**
 * Step 6: sends to a replica and has the answer delivered; once more to another replica as long as no byte has reached
 * the client and the budget of retries lasts. Throws what the last engine threw, `endpoint_scaling_up`, and what cuts the
 * exchange.
 */
export async function route(exchange: Exchange, options: RouteOptions, deliver: Deliver): Promise<void> {
  const { fitness } = options.served;
  fitness.retries.earn();
  const excluded = new Set<string>();
  let failure: CubitError | null = null;
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
    const place = choose(exchange, options, excluded);
    if (place === null) throw failure ?? scalingUp(options.served);
    if (failure !== null && !fitness.retries.take(options.monotonicMs())) throw failure;
    // A hedge is the second attempt.
    const hedges = attempt === 1 && options.hedgeAfterMs !== null && place.decode === null;
    try {
      return await attemptOn(place, exchange, options, deliver, hedges ? excluded : null);
    } catch (error) {
      failure = toCubitError(error);
      if (exchange.answered || !RETRYABLE.has(failure.code) || excluded.size > 0) throw failure;
      const { requestId, replicaId } = exchange;
      excluded.add(replicaId ?? place.first.replicaId);
      options.log.warn({ requestId, replicaId, code: failure.code, err: failure.cause }, 'attempt failed');
    }
  }
  throw failure as CubitError;
}

function choose(exchange: Exchange, options: RouteOptions, excluded: ReadonlySet<string>): Place | null {
  const { kind } = exchange;
  const first = chooseFirst(exchange, options, excluded);
  // An embedding has nothing to decode.
  if (first === null || first.role !== 'prefill' || kind === 'embedding') return first && { first, decode: null };
  const { served, estimated, monotonicMs } = options;
  const decode = served.onTrial('decode', excluded, monotonicMs()) ?? decodeFor(first, served, estimated, excluded);
  return decode && { first, decode };
}

function chooseFirst(exchange: Exchange, options: RouteOptions, excluded: ReadonlySet<string>): Replica | null {
  const { served, estimated, body, monotonicMs } = options;
  const { adapter, kind } = exchange;
  const ready = served.readyReplicas;
  const salt = saltOf(exchange, options);
  // With one replica there is nothing to prefer.
  const request: RoutingRequest = {
    sequences: estimated.sequences,
    prefillUs: estimated.work.prefillUs,
    decodeUs: served.snapshot.disaggregated ? 0 : estimated.work.decodeUs,
    blocks: ready.length > 1 ? prefixBlocks(prefixOf(salt, kind, body)) : [],
    blockEnds: PREFIX_ENDS,
    ...exactSharesOf(ready, body, salt, adapter?.adapterId ?? ''),
    ...(adapter && { adapterId: adapter.adapterId, adapterLoadUs: served.adapterLoads.expectedUs }),
  };
  const { batchPerUnit } = served.snapshot;
  served.turn += 1;
  const trial = served.onTrial('unified', excluded, monotonicMs());
  const near = trial === null ? candidatesOf(ready, request.blocks[0], served.turn) : [trial];
  const picked =
    served.router.pick(near, request, { batchPerReplica: batchPerUnit, excluded }) ??
    (near === ready ? null : served.router.pick(ready, request, { batchPerReplica: batchPerUnit, excluded })) ??
    // Admission let it in, so a place is due somewhere; the engine's own queue takes it.
    served.router.pick(ready, request, { batchPerReplica: Number.POSITIVE_INFINITY, excluded });
  return picked === null ? null : (served.replicas.get(picked.replicaId) ?? null);
}

/** `hedged`: where the replicas of two attempts at once are noted; null = one attempt. */
async function attemptOn(
  place: Place,
  exchange: Exchange,
  options: RouteOptions,
  deliver: Deliver,
  hedged: Set<string> | null,
): Promise<void> {
  const first = new Attempt(place, exchange, options);
  let lead = first;
  exchange.onFirstToken = () => {
    lead.prefilled();
    if (exchange.reservation !== null) options.served.prefilled(exchange.reservation);
  };
  const prefillEnds = setTimerForPrefill(exchange, options);
  exchange.replicaId = place.first.replicaId;
  exchange.prefillCachedTokens = null;
  exchange.sentMs ??= first.sentMs;
  exchange.onCut((error) => first.watchdog.abort(error));
  try {
    if (hedged === null) {
      await untilAborted(first.watchdog, async () => deliver(await first.send(), first.watchdog));
    } else {
      const other = () => hedgeFor(first, exchange, options, hedged);
      const { attempt, reply } = await firstOf(first, exchange, options.hedgeAfterMs as number, other);
      lead = attempt;
      exchange.replicaId = lead.place.first.replicaId;
      exchange.onCut((error) => lead.watchdog.abort(error));
      await untilAborted(lead.watchdog, () => deliver(reply, lead.watchdog));
    }
    lead.end(null);
  } catch (error) {
    lead.end(error);
    throw error;
  } finally {
    clearTimeout(prefillEnds);
    exchange.onCut(null);
    exchange.onFirstToken = null;
  }
}

/** An answer in one piece does not say when its prompt was done: about when all that was ahead of it and its own are. */
function setTimerForPrefill(exchange: Exchange, { body, served }: RouteOptions): NodeJS.Timeout | undefined {
  // Only the latency guard wants to know.
  if (body['stream'] === true || served.snapshot.latency === undefined) return undefined;
  return setTimeout(() => exchange.onFirstToken?.(), Math.ceil(served.admission.prefillAheadMs));
}

/** The same request at a second place, within the budget of retries. */
function hedgeFor(first: Attempt, exchange: Exchange, options: RouteOptions, hedged: Set<string>): Attempt | null {
  const { replicaId } = first.place.first;
  const place = choose(exchange, options, new Set([replicaId]));
  const { fitness } = options.served;
  if (place === null || !fitness.retries.take(options.monotonicMs())) return null;
  fitness.hedges += 1;
  hedged.add(replicaId);
  return new Attempt(place, exchange, options);
}

/** Where a prompt comes as token ids, engines that publish what they hold are taken at their word. */
function exactSharesOf(ready: readonly Replica[], { prompt }: Body, salt: string, adapter: string) {
  if (!Array.isArray(prompt) || typeof prompt[0] !== 'number' || ready.length < 2) return {};
  const exactShares = new Map<string, number>();
  for (const { kv, replicaId } of ready) {
    const share = kv.shareOf(prompt as readonly number[], salt, adapter);
    if (share !== null) exactShares.set(replicaId, share);
  }
  return exactShares.size === 0 ? {} : { exactShares };
}
