import { Router, type RouterSettings, type RoutingRequest } from '../../core/serving/routing.ts';
import type { Job } from './job.ts';
import type { Machine } from './machine.ts';

/** Which of the machines that take new requests gets one; there is at least one. `cachedShare` is what the router believes. */
export interface Route {
  pick(machines: readonly Machine[], job: Job): { readonly machine: Machine; readonly cachedShare: number };
  /** A machine is gone. */
  forget(machine: Machine): void;
}

const NONE: ReadonlySet<string> = new Set();

/** core/serving/routing.ts, as the gateway uses it. */
export class CubitRoute implements Route {
  readonly #router: Router;

  constructor(settings: Partial<RouterSettings>) {
    this.#router = new Router(settings);
  }

  pick(machines: readonly Machine[], job: Job): { readonly machine: Machine; readonly cachedShare: number } {
    const { prefillUs, decodeUs } = job.estimate.work;
    const request: RoutingRequest = { sequences: 1, prefillUs, decodeUs, blocks: job.request.blocks ?? [] };
    // As the gateway does: with all full, the engines' own queues take it.
    const picked =
      this.#router.pick(machines, request, { batchPerReplica: machines[0]!.config.sequencesMax, excluded: NONE }) ??
      this.#router.pick(machines, request, { batchPerReplica: Number.POSITIVE_INFINITY, excluded: NONE });
    const { cachedShare, replicaId } = picked!;
    return { machine: machines.find((machine) => machine.replicaId === replicaId)!, cachedShare };
  }

  forget({ replicaId }: Machine): void {
    this.#router.forget(replicaId);
  }
}
