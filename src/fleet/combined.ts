import { CubitError } from '../core/errors.ts';
import type { Fleet, FleetCapacity, ReplicaSpec, ReplicaStatus } from './port.ts';

/** Several fleets as one: a replica runs in the first fleet that serves its template and has room. */
export class CombinedFleet implements Fleet {
  readonly kind = 'combined';
  readonly #fleets: readonly Fleet[];

  constructor(fleets: readonly Fleet[]) {
    this.#fleets = fleets;
  }

  serves(templateId: string): boolean {
    return this.#fleets.some((fleet) => fleet.serves(templateId));
  }

  capacity(templateId: string): FleetCapacity {
    const capacities = this.#serving(templateId).map((fleet) => fleet.capacity(templateId));
    if (capacities.length === 0) return { free: 0, limit: `nothing here runs template ${templateId}` };
    return {
      free: capacities.reduce((sum, capacity) => sum + capacity.free, 0),
      limit: capacities.map((capacity) => capacity.limit).join(', '),
    };
  }

  start(spec: ReplicaSpec): void {
    // An id that runs already stays where it is, even when another fleet came to serve its template since.
    if (this.list().some((status) => status.replicaId === spec.replicaId && status.state !== 'stopped')) return;
    const fleet = this.#serving(spec.templateId).find((one) => one.capacity(spec.templateId).free > 0);
    if (fleet === undefined) {
      const { limit } = this.capacity(spec.templateId);
      throw new CubitError('capacity_exhausted', `No replica of ${spec.templateId} can be started: ${limit}.`);
    }
    fleet.start(spec);
  }

  async stop(replicaId: string, drainMs: number): Promise<void> {
    await Promise.all(this.#fleets.map((fleet) => fleet.stop(replicaId, drainMs)));
  }

  list(): readonly ReplicaStatus[] {
    return this.#fleets.flatMap((fleet) => fleet.list());
  }

  onChange(listener: () => void): () => void {
    const unsubscribers = this.#fleets.map((fleet) => fleet.onChange(listener));
    return () => {
      for (const unsubscribe of unsubscribers) unsubscribe();
    };
  }

  async close(drainMs: number): Promise<void> {
    await Promise.all(this.#fleets.map((fleet) => fleet.close(drainMs)));
  }

  #serving(templateId: string): readonly Fleet[] {
    return this.#fleets.filter((fleet) => fleet.serves(templateId));
  }
}
