import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { CubitError, toCubitError } from '../core/errors.ts';
import type { AdmissionView } from '../core/serving/admission.ts';
import type { RateUse } from '../core/serving/rate-limit.ts';
import type { HealthView } from '../core/serving/replica-health.ts';
import { prefillStretch } from '../core/serving/scaling/load.ts';
import type { InferenceKind } from '../engine/port.ts';
import { authenticate } from './authenticate.ts';
import type { GatewayDeps } from './deps.ts';
import { Exchange } from './exchange.ts';
import { findModel, listModels } from './models.ts';
import { serve } from './pipeline.ts';
import { sendError, sendJson } from './respond.ts';
import type { ServedModel } from './served.ts';
import { type Counters, type Sharing, startSharing } from './sharing.ts';
import type { SignalTotals } from './signals.ts';
import type { GatewaySnapshot } from './snapshot.ts';
import { State } from './state.ts';

export interface ServedModelStats extends AdmissionView, Readonly<SignalTotals> {
  readonly servedModelId: string;
  /** Work let in here lately over what the ready units supply. */
  readonly utilization: number;
  /** Number of the present episode of too much of it; null: there is none. */
  readonly warningEpisode: number | null;
  readonly queued: number;
  readonly queuedUs: number;
  /** Sequences a unit decodes together, KV tokens it holds. */
  readonly batchPerUnit: number;
  readonly kvTokensPerUnit: number;
  /** How many times its own work prefill takes where it fills every step. */
  readonly prefillStretch: number;
  /** Sequences that run on each replica, draining ones included. */
  readonly runningOn: ReadonlyMap<string, number>;
  /** Replicas that are ready and kept out or on trial, with the reason. */
  readonly unfit: ReadonlyMap<string, string>;
}

export interface GatewayStats {
  readonly version: number;
  /** Requests on their way, waiting ones included. */
  readonly active: number;
  readonly draining: boolean;
  readonly servedModels: readonly ServedModelStats[];
}

export interface Gateway {
  apply(snapshot: GatewaySnapshot): void;
  /** Takes a request of node:http when its path is the gateway's (`/v1/…`, `/api/v3/…`); false = not ours, untouched. */
  handle(req: IncomingMessage, res: ServerResponse): boolean;
  /** Admits nothing more and lets running requests finish for up to `drainMs`; then cuts them with an error event. */
  drain(drainMs: number): Promise<void>;
  stats(): GatewayStats;
  /** Sequences that this gateway runs on a replica; null: it does not know it. */
  runningOn(replicaId: string): number | null;
  /** How a replica's requests have ended lately; null: it does not know it. */
  healthOf(replicaId: string): HealthView | null;
  /** From now on shares capacity with other gateways, by leases. Returns what is known of that, and how to stop. */
  share(counters: Counters, gatewayId: string): Sharing;
  /** What callers used of their limits here, by limiter. */
  limitsUsed(): ReadonlyMap<string, RateUse>;
  /** What other gateways use of served models' capacity, as a share, and callers of their limits; of those not named, nothing. */
  usedElsewhere(shares: ReadonlyMap<string, number>, limits: ReadonlyMap<string, RateUse>): void;
  /** Cuts what is running and closes every connection to engines. */
  close(): Promise<void>;
}

/** OpenAI's prefix, and Ark's. */
const PREFIXES = ['/v1/', '/api/v3/'];
const KINDS: ReadonlyMap<string, InferenceKind> = new Map([
  ['chat/completions', 'chat'],
  ['completions', 'completion'],
  ['embeddings', 'embedding'],
]);

export function createGateway(deps: GatewayDeps): Gateway {
  const state = new State(deps);
  return {
    apply: (snapshot) => state.apply(snapshot),
    handle: (req, res) => handle(state, req, res),
    drain: (drainMs) => drain(state, drainMs),
    stats: () => statsOf(state),
    runningOn: (replicaId) => runningOn(state, replicaId),
    healthOf: (replicaId) => healthOf(state, replicaId),
    share: (counters, gatewayId) => startSharing({ state, counters, gatewayId }),
    limitsUsed: () => state.rates.used(deps.monotonicMs()),
    usedElsewhere: (shares, limits) => {
      state.rates.usedElsewhere(limits);
      for (const [id, { utilization }] of state.served) utilization.usedElsewhere(shares.get(id) ?? 0);
    },
    close: async () => {
      await drain(state, 0);
      for (const model of state.served.values()) model.retire();
      state.served.clear();
      await state.spills?.close();
    },
  };
}

function handle(state: State, req: IncomingMessage, res: ServerResponse): boolean {
  const { url = '' } = req;
  const query = url.indexOf('?');
  const path = query === -1 ? url : url.slice(0, query);
  const prefix = PREFIXES.find((one) => path.startsWith(one));
  if (prefix === undefined) return false;
  const requestId = state.deps.newRequestId();
  const route = path.slice(prefix.length);
  const kind = KINDS.get(route);
  if (kind !== undefined && req.method === 'POST') {
    void begin(state, new Exchange(req, res, kind, requestId, state.deps.now()));
  } else {
    res.setHeader('x-request-id', requestId);
    read(state, route, kind !== undefined, req, res);
  }
  return true;
}

async function begin(state: State, exchange: Exchange): Promise<void> {
  state.exchanges.add(exchange);
  exchange.res.on('close', () => {
    if (exchange.res.writableFinished) return;
    exchange.cut(new CubitError('client_closed', 'The client closed the connection.'));
  });
  // Without a listener a broken connection would end the process; 'close' follows and says it.
  exchange.res.on('error', ignore);
  exchange.req.on('error', ignore);
  try {
    await serve(state, exchange);
  } finally {
    state.exchanges.delete(exchange);
    state.bodyBytes -= exchange.bodyBytes;
  }
}

const ignore = () => {};

/** GET models, and what is no route. */
function read(state: State, route: string, isInference: boolean, req: IncomingMessage, res: ServerResponse): void {
  try {
    const isModels = route === 'models' || route.startsWith('models/');
    if (!isModels && !isInference) {
      throw new CubitError('not_found', `There is no ${req.method} ${req.url?.slice(0, 200)} here.`);
    }
    const allowed = isInference ? 'POST' : 'GET';
    if (req.method !== allowed) {
      res.setHeader('allow', allowed);
      throw new CubitError('method_not_allowed', `Use ${allowed} for this.`);
    }
    const key = authenticate(state.keys, req);
    const name = route.slice('models/'.length);
    sendJson(res, 200, name === '' ? listModels(state.snapshot, key) : findModel(state.snapshot, key, name));
  } catch (error) {
    sendError(res, toCubitError(error));
  }
}

async function drain(state: State, drainMs: number): Promise<void> {
  state.draining = true;
  const cutMs = state.deps.monotonicMs() + drainMs;
  const stopping = new CubitError('shutting_down', 'This gateway is shutting down. Retry.', {
    details: { retryAfterMs: 1_000 },
  });
  for (const exchange of state.exchanges) if (exchange.reservation === null) exchange.cut(stopping);
  while (state.exchanges.size > 0 && state.deps.monotonicMs() < cutMs) await sleep(DRAIN_LOOK_MS);
  for (const exchange of state.exchanges) exchange.cut(stopping);
  // A cut ends every step at once; a few turns of the loop write the last events.
  for (let turn = 0; turn < DRAIN_TURNS_MAX && state.exchanges.size > 0; turn += 1) await sleep(DRAIN_LOOK_MS);
}

const DRAIN_LOOK_MS = 20;
const DRAIN_TURNS_MAX = 50;

function runningOn(state: State, replicaId: string): number | null {
  for (const model of state.served.values()) {
    const replica = model.replicas.get(replicaId);
    if (replica !== undefined) return replica.running;
  }
  return null;
}

function healthOf(state: State, replicaId: string): HealthView | null {
  for (const { fitness } of state.served.values()) {
    const view = fitness.view(replicaId);
    if (view !== null) return view;
  }
  return null;
}

function statsOf(state: State): GatewayStats {
  const nowMs = state.deps.monotonicMs();
  return {
    version: state.snapshot.version,
    active: state.exchanges.size,
    draining: state.draining,
    servedModels: [...state.served].map(([servedModelId, model]) => ({
      servedModelId,
      ...model.admission.view(nowMs),
      utilization: model.utilization.observe(model.admission.readyUnits, nowMs),
      warningEpisode: model.utilization.isHigh ? model.utilization.episodes : null,
      queued: model.queue.size,
      queuedUs: model.queue.workUs,
      batchPerUnit: model.snapshot.batchPerUnit,
      kvTokensPerUnit: model.snapshot.kvTokensPerUnit,
      prefillStretch: stretchOf(model),
      runningOn: new Map(Array.from(model.replicas.values(), ({ replicaId, running }) => [replicaId, running])),
      unfit: model.fitness.unfit(model.replicas.keys()),
      ...model.signals,
    })),
  };
}

/** Without a step model, as where prefill has machines of its own: nothing else is in its steps. */
function stretchOf({ admission, snapshot }: ServedModel): number {
  const { latency } = snapshot;
  if (latency === undefined) return 1;
  const kvTokens = admission.view(0).kvTokensLikely / Math.max(1, admission.readyUnits);
  return prefillStretch(latency.step, latency.stepTokensMax, kvTokens);
}
