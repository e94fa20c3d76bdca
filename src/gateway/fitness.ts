import { type HealthChange, type HealthView, ReplicaHealth } from '../core/serving/replica-health.ts';
import { RetryBudget } from '../core/serving/retry-budget.ts';
import type { Role } from '../fleet/port.ts';
import type { Log } from './deps.ts';
import type { Replica } from './replica.ts';

/** Which replicas of a served model are fit to serve, each beside those that do the same; and what may be sent twice. */
export class Fitness {
  readonly retries = new RetryBudget();
  hedges = 0;
  readonly #first: ReplicaHealth;
  readonly #decode: ReplicaHealth;

  /** `onChange` is called when one that served does not any more, or does again. */
  constructor(log: Log, onChange: () => void) {
    const change = (pool: () => ReplicaHealth) => (one: HealthChange) => {
      tell(log, one, pool().panic);
      onChange();
    };
    this.#first = new ReplicaHealth(change(() => this.#first));
    this.#decode = new ReplicaHealth(change(() => this.#decode));
  }

  of(role: Role): ReplicaHealth {
    return role === 'decode' ? this.#decode : this.#first;
  }

  /** Replicas that are ready now; those that are not are judged anew when they are again. */
  keep(ready: readonly Replica[], nowMs: number): void {
    const idsOf = (decode: boolean) =>
      new Set(ready.filter(({ role }) => (role === 'decode') === decode).map(({ replicaId }) => replicaId));
    this.#first.keep(idsOf(false), nowMs);
    this.#decode.keep(idsOf(true), nowMs);
  }

  forget(replicaId: string): void {
    this.#first.forget(replicaId);
    this.#decode.forget(replicaId);
  }

  view(replicaId: string): HealthView | null {
    return this.#first.view(replicaId) ?? this.#decode.view(replicaId);
  }

  /** Those of these that are kept out or on trial, and why. */
  unfit(replicaIds: Iterable<string>): ReadonlyMap<string, string> {
    const unfit = new Map<string, string>();
    if (this.bad === 0) return unfit;
    for (const replicaId of replicaIds) {
      const view = this.view(replicaId);
      if (view !== null && view.state !== 'serving') unfit.set(replicaId, view.reason ?? 'on trial');
    }
    return unfit;
  }

  /** Kept out, or on trial. */
  get bad(): number {
    return this.#first.badCount + this.#decode.badCount;
  }

  get ejections(): number {
    return this.#first.ejectionsTotal + this.#decode.ejectionsTotal;
  }
}

function tell(log: Log, { replicaId, state, reason, ejectedMs }: HealthChange, panic: boolean): void {
  if (state === 'serving') log.info({ replicaId, reason }, 'replica serves again');
  if (state !== 'ejected') return;
  const fields = { replicaId, reason, ejectedMs };
  if (panic) log.warn(fields, 'replica looks bad; so many do that all go on serving');
  else log.warn(fields, 'replica ejected: it takes no requests until a few that try it go well');
}
