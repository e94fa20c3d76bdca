import { CubitError } from '../core/errors.ts';
import { OutputLengths } from '../core/serving/output-lengths.ts';
import { KeyRing } from './authenticate.ts';
import type { GatewayDeps } from './deps.ts';
import type { Exchange } from './exchange.ts';
import type { GatewayLimits } from './limits.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { RateLimits } from './rate-limit.ts';
import { TrafficSplit } from './resolve.ts';
import { ServedModel } from './served.ts';
import { EMPTY_SNAPSHOT, type EndpointSnapshot, type GatewaySnapshot } from './snapshot.ts';
import { SpillBudgets } from './spill-budget.ts';

/** What the pipeline's steps share. */
export class State {
  readonly deps: GatewayDeps;
  readonly limits: GatewayLimits;
  readonly metrics: Metrics;
  readonly lengths = new OutputLengths();
  readonly traffic = new TrafficSplit();
  readonly rates = new RateLimits();
  readonly spills: SpillBudgets | null;
  readonly served = new Map<string, ServedModel>();
  readonly keys = new KeyRing();
  /** On their way now. */
  readonly exchanges = new Set<Exchange>();
  /** What their bodies hold. */
  bodyBytes = 0;
  snapshot: GatewaySnapshot = EMPTY_SNAPSHOT;
  draining = false;
  readonly #endpointOf = new Map<string, string>();

  constructor(deps: GatewayDeps) {
    this.deps = deps;
    this.spills = deps.budgets === undefined ? null : new SpillBudgets(deps.budgets, deps.now, deps.log);
    this.limits = { ...DEFAULT_LIMITS, ...deps.limits };
    const endpointOf = (id: string) => this.#endpointOf.get(id) ?? 'none';
    this.metrics = createMetrics(deps.registry, this.served, endpointOf, deps.monotonicMs);
  }

  /** Takes over a snapshot; what it does not name any more is retired. Older versions than the present one are ignored. */
  apply(snapshot: GatewaySnapshot): void {
    if (snapshot.version < this.snapshot.version) return;
    this.snapshot = snapshot;
    this.keys.replace(snapshot.keys);
    const endpoints = new Map<string, EndpointSnapshot>();
    for (const endpoint of snapshot.endpoints.values()) endpoints.set(endpoint.endpointId, endpoint);
    const before = new Map(this.#endpointOf);
    this.#endpointOf.clear();
    for (const { endpointId, servedModels } of endpoints.values()) {
      for (const model of servedModels) {
        // One pool stands in many endpoints.
        if (this.#endpointOf.has(model.servedModelId)) continue;
        this.#endpointOf.set(model.servedModelId, model.shared ? model.servedModelId : endpointId);
        const known = this.served.get(model.servedModelId);
        if (known === undefined) this.served.set(model.servedModelId, new ServedModel(model, this.deps, this.limits));
        else known.apply(model);
      }
    }
    for (const [id, model] of this.served) {
      if (this.#endpointOf.has(id)) continue;
      model.retire();
      this.served.delete(id);
      const endpointId = before.get(id) as string;
      if (!endpoints.has(endpointId)) this.metrics.forget(endpointId);
    }
    this.rates.apply(endpoints.values(), snapshot.keys.values(), this.deps.monotonicMs());
    this.traffic.keep(new Set(endpoints.keys()));
  }
}

/** Throws `shutting_down`. */
export function refuseWhenDraining(state: State): void {
  if (!state.draining) return;
  throw new CubitError('shutting_down', 'This gateway is shutting down. Retry: another, or the next, takes over.', {
    details: { retryAfterMs: 1_000 },
  });
}
