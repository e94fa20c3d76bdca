import { type CubitError, type ErrorCode, toCubitError } from '../core/errors.ts';
import { prefixBlocks, type RoutingRequest } from '../core/serving/routing.ts';
import type { EngineReply, InferenceKind } from '../engine/port.ts';
import { candidatesOf } from './candidates.ts';
import type { Log } from './deps.ts';
import type { Estimated } from './estimate.ts';
import type { Exchange } from './exchange.ts';
import { scalingUp } from './explain.ts';
import { prefixOf } from './messages.ts';
import { decodeFor, sendToPair } from './pair.ts';
import type { Body } from './parse.ts';
import type { Replica } from './replica.ts';
import type { ServedModel } from './served.ts';
import { Stay } from './stay.ts';
import { Watchdog } from './watchdog.ts';

export interface RouteOptions {
  readonly served: ServedModel;
  readonly tenantId: string;
  readonly body: Body;
  readonly estimated: Estimated;
  readonly monotonicMs: () => number;
  /** From sending until the first token, or until the whole answer that is no stream. */
  readonly firstMsMax: number;
  readonly log: Log;
}

export type Deliver = (reply: EngineReply, watchdog: Watchdog) => Promise<void>;

const ATTEMPTS_MAX = 2;
const PREFIX_CHARS_MAX = 4_096;
const RETRYABLE: ReadonlySet<ErrorCode> = new Set([
  'engine_unavailable',
  'engine_failed',
  'engine_timeout',
  'internal',
]);

/**
 * Step 6: sends to a replica and has the answer delivered; once more to another replica as long as no byte has reached
 * the client. Throws what the last engine threw, `endpoint_scaling_up`, and what cuts the exchange.
 */
export async function route(exchange: Exchange, options: RouteOptions, deliver: Deliver): Promise<void> {
  const excluded = new Set<string>();
  let failure: CubitError | null = null;
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
    const place = choose(exchange.kind, options, excluded);
    if (place === null) throw failure ?? scalingUp(options.served);
    try {
      return await attemptOn(place, exchange, options, deliver);
    } catch (error) {
      failure = toCubitError(error);
      if (exchange.res.headersSent || !RETRYABLE.has(failure.code)) throw failure;
      const { requestId, replicaId } = exchange;
      excluded.add(replicaId ?? place.first.replicaId);
      options.log.warn({ requestId, replicaId, code: failure.code, err: failure.cause }, 'attempt failed');
    }
  }
  throw failure as CubitError;
}

/** A whole unit, or a prefill machine with the decode machine that goes on. */
interface Place {
  readonly first: Replica;
  readonly decode: Replica | null;
}

function choose(kind: InferenceKind, options: RouteOptions, excluded: ReadonlySet<string>): Place | null {
  const first = chooseFirst(kind, options, excluded);
  // An embedding has nothing to decode.
  if (first === null || first.role !== 'prefill' || kind === 'embedding') return first && { first, decode: null };
  const decode = decodeFor(first, options.served, options.estimated, excluded);
  return decode && { first, decode };
}

function chooseFirst(kind: InferenceKind, options: RouteOptions, excluded: ReadonlySet<string>): Replica | null {
  const { served, tenantId, estimated, body } = options;
  const ready = served.readyReplicas;
  // With one replica there is nothing to prefer. An engine's cache serves a prefix to its own tenant only.
  const request: RoutingRequest = {
    sequences: estimated.sequences,
    prefillUs: estimated.work.prefillUs,
    decodeUs: served.snapshot.disaggregated ? 0 : estimated.work.decodeUs,
    blocks: ready.length > 1 ? prefixBlocks(`${tenantId} ${prefixOf(kind, body, PREFIX_CHARS_MAX)}`) : [],
  };
  const { batchPerUnit } = served.snapshot;
  served.turn += 1;
  const near = candidatesOf(ready, request.blocks[0], served.turn);
  const picked =
    served.router.pick(near, request, { batchPerReplica: batchPerUnit, excluded }) ??
    (near === ready ? null : served.router.pick(ready, request, { batchPerReplica: batchPerUnit, excluded })) ??
    // Admission let it in, so a place is due somewhere; the engine's own queue takes it.
    served.router.pick(ready, request, { batchPerReplica: Number.POSITIVE_INFINITY, excluded });
  return picked === null ? null : (served.replicas.get(picked.replicaId) ?? null);
}

async function attemptOn(place: Place, exchange: Exchange, options: RouteOptions, deliver: Deliver): Promise<void> {
  const { tenantId, body, monotonicMs, served } = options;
  const { first, decode } = place;
  const watchdog = new Watchdog();
  const [stay, decodeStay] = staysAt(place, options.estimated);
  exchange.onFirstToken = () => {
    stay.prefilled();
    if (exchange.reservation !== null) served.prefilled(exchange.reservation);
  };
  // An answer in one piece does not say when its prompt was done: about when all that was ahead of it and its own are.
  const prefillEnds =
    body['stream'] === true
      ? undefined
      : setTimeout(() => exchange.onFirstToken?.(), Math.ceil(served.admission.prefillAheadMs));
  exchange.replicaId = first.replicaId;
  exchange.prefillCachedTokens = null;
  exchange.sentMs ??= monotonicMs();
  exchange.onCut((error) => watchdog.abort(error));
  const request = { kind: exchange.kind, body, requestId: exchange.requestId, cacheSalt: tenantId };
  try {
    watchdog.arm(options.firstMsMax, `The engine did not answer within ${options.firstMsMax} ms.`);
    const send = () =>
      decode === null
        ? first.engine.send(request, watchdog)
        : sendToPair({ prefill: first, decode }, exchange, request, watchdog, () => stay.end());
    const serve = async () => deliver(await send(), watchdog);
    await untilAborted(watchdog, serve);
  } catch (error) {
    // Frees the engine's slot whatever the reason.
    watchdog.abort(error);
    throw error;
  } finally {
    watchdog.stop();
    clearTimeout(prefillEnds);
    exchange.onCut(null);
    exchange.onFirstToken = null;
    stay.end();
    decodeStay?.end();
  }
}

/** Each machine of a pair has its own part of the work. */
function staysAt({ first, decode }: Place, { sequences, work, kvTokens, tokens }: Estimated): [Stay, Stay?] {
  if (decode === null) return [new Stay(first, sequences, work, kvTokens)];
  return [
    new Stay(first, sequences, { ...work, decodeUs: 0 }, tokens.promptTokens),
    new Stay(decode, sequences, { ...work, prefillUs: 0 }, kvTokens),
  ];
}

/** Ends when the work ends or the signal aborts, whichever is first: an engine that hangs cannot hold the request. */
function untilAborted(signal: Watchdog, work: () => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason));
    // An engine may answer an abort with an error of its own; the reason says more.
    work().then(resolve, (error: unknown) => reject(signal.aborted ? signal.reason : error));
  });
}
