import { type CubitError, type ErrorCode, toCubitError } from '../core/errors.ts';
import { prefixBlocks, type RoutingRequest } from '../core/serving/routing.ts';
import type { EngineReply, InferenceKind } from '../engine/port.ts';
import { candidatesOf } from './candidates.ts';
import type { Log } from './deps.ts';
import type { Estimated } from './estimate.ts';
import type { Exchange } from './exchange.ts';
import { scalingUp } from './explain.ts';
import { prefixOf } from './messages.ts';
import type { Body } from './parse.ts';
import type { Replica } from './replica.ts';
import type { ServedModel } from './served.ts';
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
    const replica = choose(exchange.kind, options, excluded);
    if (replica === null) throw failure ?? scalingUp(options.served);
    try {
      return await attemptOn(replica, exchange, options, deliver);
    } catch (error) {
      failure = toCubitError(error);
      if (exchange.res.headersSent || !RETRYABLE.has(failure.code)) throw failure;
      excluded.add(replica.replicaId);
      const { requestId } = exchange;
      options.log.warn(
        { requestId, replicaId: replica.replicaId, code: failure.code, err: failure.cause },
        'attempt failed',
      );
    }
  }
  throw failure as CubitError;
}

function choose(kind: InferenceKind, options: RouteOptions, excluded: ReadonlySet<string>): Replica | null {
  const { served, tenantId, estimated, body } = options;
  const ready = served.readyReplicas;
  // With one replica there is nothing to prefer. An engine's cache serves a prefix to its own tenant only.
  const request: RoutingRequest = {
    sequences: estimated.sequences,
    prefillUs: estimated.work.prefillUs,
    decodeUs: estimated.work.decodeUs,
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

async function attemptOn(replica: Replica, exchange: Exchange, options: RouteOptions, deliver: Deliver): Promise<void> {
  const { estimated, tenantId, body, monotonicMs, served } = options;
  const watchdog = new Watchdog();
  const { sequences, work } = estimated;
  let prefilled = false;
  replica.enter(sequences, work);
  exchange.onFirstToken = () => {
    prefilled = true;
    replica.prefilled(work);
    if (exchange.reservation !== null) served.admission.prefilled(exchange.reservation);
  };
  exchange.replicaId = replica.replicaId;
  exchange.sentMs ??= monotonicMs();
  exchange.onCut((error) => watchdog.abort(error));
  const request = { kind: exchange.kind, body, requestId: exchange.requestId, cacheSalt: tenantId };
  try {
    watchdog.arm(options.firstMsMax, `The engine did not answer within ${options.firstMsMax} ms.`);
    const serve = async () => deliver(await replica.engine.send(request, watchdog), watchdog);
    await untilAborted(watchdog, serve);
  } catch (error) {
    // Frees the engine's slot whatever the reason.
    watchdog.abort(error);
    throw error;
  } finally {
    watchdog.stop();
    exchange.onCut(null);
    exchange.onFirstToken = null;
    replica.leave(sequences, work, prefilled);
  }
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
