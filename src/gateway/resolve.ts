import { CubitError } from '../core/errors.ts';
import { stickyChoice } from '../core/serving/sticky.ts';
import type { ServedModel } from './served.ts';
import { type EndpointSnapshot, endpointKey, type GatewaySnapshot, type KeySnapshot } from './snapshot.ts';

/** Step 3: the endpoint a request names, by name or id. Another tenant's answers like one that does not exist. */
export function resolve(snapshot: GatewaySnapshot, key: KeySnapshot, model: string): EndpointSnapshot {
  const endpoint = snapshot.endpoints.get(endpointKey(key.tenantId, model));
  if (endpoint !== undefined) return endpoint;
  // What a client sent goes back to it, but not by the megabyte.
  throw new CubitError(
    'model_not_found',
    `You have no endpoint "${model.slice(0, 100)}". GET /v1/models lists those you have.`,
    {
      details: { param: 'model' },
    },
  );
}

/** Throws `payment_required` for an endpoint that is paid by the token when its tenant stayed overdue. */
export function refuseWhenSuspended(endpoint: EndpointSnapshot): void {
  if (endpoint.suspended !== true) return;
  throw new CubitError(
    'payment_required',
    `Endpoint "${endpoint.name}" is suspended: the wallet was below zero for a day. Top it up and it serves again.`,
  );
}

function sticky({ servedModels }: EndpointSnapshot, session: string): string | undefined {
  return stickyChoice(
    session,
    servedModels.map(({ servedModelId, trafficPercent }) => ({ id: servedModelId, weight: trafficPercent })),
  );
}

/**
 * Splits an endpoint's requests over its served models by their percentages: smooth weighted round robin, so that any
 * run of 100 requests is split exactly and evenly mixed, with no randomness. What names its session (`session.ts`) goes where the session goes.
 */
export class TrafficSplit {
  readonly #credit = new Map<string, Map<string, number>>();

  /** Throws `endpoint_scaling_up` when the endpoint serves no model. */
  choose(
    endpoint: EndpointSnapshot,
    served: ReadonlyMap<string, ServedModel>,
    session: string | null = null,
  ): ServedModel {
    const models = endpoint.servedModels;
    const id =
      models.length === 1
        ? models[0]?.servedModelId
        : session === null
          ? this.#next(endpoint)
          : sticky(endpoint, session);
    const chosen = id === undefined ? undefined : served.get(id);
    if (chosen !== undefined) return chosen;
    throw new CubitError(
      'endpoint_scaling_up',
      `Endpoint "${endpoint.name}" serves no model now. Add one to it, or have its pool set up.`,
    );
  }

  /** Forgets endpoints that are gone. */
  keep(endpointIds: ReadonlySet<string>): void {
    for (const id of this.#credit.keys()) if (!endpointIds.has(id)) this.#credit.delete(id);
  }

  #next(endpoint: EndpointSnapshot): string | undefined {
    const before = this.#credit.get(endpoint.endpointId);
    const credit = new Map<string, number>();
    let best: string | undefined;
    let bestCredit = Number.NEGATIVE_INFINITY;
    let total = 0;
    for (const { servedModelId, trafficPercent } of endpoint.servedModels) {
      if (trafficPercent <= 0) continue;
      const own = (before?.get(servedModelId) ?? 0) + trafficPercent;
      credit.set(servedModelId, own);
      total += trafficPercent;
      if (own > bestCredit) {
        best = servedModelId;
        bestCredit = own;
      }
    }
    if (best !== undefined) credit.set(best, bestCredit - total);
    this.#credit.set(endpoint.endpointId, credit);
    return best;
  }
}
