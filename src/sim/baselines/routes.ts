import type { Job } from '../cluster/job.ts';
import type { Machine } from '../cluster/machine.ts';
import type { Route } from '../cluster/route.ts';

const UNKNOWN = { cachedShare: 0 };

export class RoundRobin implements Route {
  #turn = 0;

  pick(machines: readonly Machine[]) {
    const machine = machines[this.#turn % machines.length] as Machine;
    this.#turn += 1;
    return { machine, ...UNKNOWN };
  }

  forget(): void {}
}

/** The fewest requests; ties go to the first. */
export class LeastLoaded implements Route {
  pick(machines: readonly Machine[]) {
    return {
      machine: machines.reduce((best, machine) => (machine.running < best.running ? machine : best)),
      ...UNKNOWN,
    };
  }

  forget(): void {}
}

/** By the beginning of the prompt, as by a session: always the same machine as long as it is there (rendezvous hashing). */
export class SessionAffinity implements Route {
  pick(machines: readonly Machine[], { id, request }: Job) {
    // The second block tells conversations apart that begin with the same system prompt.
    const session = request.blocks?.[1] ?? request.blocks?.[0] ?? id;
    let best = machines[0] as Machine;
    let bestWeight = -1;
    for (const machine of machines) {
      const weight = mix(session, machine.place);
      if (weight <= bestWeight) continue;
      best = machine;
      bestWeight = weight;
    }
    return { machine: best, ...UNKNOWN };
  }

  forget(): void {}
}

function mix(a: number, b: number): number {
  let mixed = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 1, 0xc2b2ae35);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x27d4eb2f);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}
