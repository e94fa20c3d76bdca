/**
 * Who a cost is charged to. Units cost the same whether they work or not, so each charge (a bill's hour, a prepaid day)
 * is split twice: into what was **used** (work ÷ what the units could have done) and **idle**; and both among those who
 * worked, by their work. A charge of a time in which nobody worked is charged to nobody. Every split is exact to the
 * micro, so what is charged for any stretch of time adds up to its bills, however the stretch is cut.
 */
export interface Charge {
  readonly costMicros: bigint;
  /** Unit-microseconds of work that the units could have done in its time. */
  readonly supplyUs: bigint;
  /** Unit-microseconds by key. */
  readonly work: ReadonlyMap<string, bigint>;
}

export interface Share {
  readonly usedMicros: bigint;
  readonly idleMicros: bigint;
}

export interface Split {
  readonly shares: ReadonlyMap<string, Share>;
  /** Of times in which nobody worked. */
  readonly unallocatedMicros: bigint;
}

/** The splits of charges, added up. Σ used + Σ idle + unallocated = Σ cost. */
export function splitCharges(charges: Iterable<Charge>): Split {
  const shares = new Map<string, Share>();
  let unallocatedMicros = 0n;
  for (const charge of charges) {
    const workers = [...charge.work].filter(([, us]) => us > 0n).sort(([a], [b]) => (a < b ? -1 : 1));
    const work = workers.map(([, us]) => us);
    const workUs = work.reduce((sum, us) => sum + us, 0n);
    if (workUs === 0n) {
      unallocatedMicros += charge.costMicros;
      continue;
    }
    // Bursts may do more than was supplied: then nothing was idle.
    const idleUs = charge.supplyUs > workUs ? charge.supplyUs - workUs : 0n;
    const [used = 0n, idle = 0n] = largestRemainder(charge.costMicros, [workUs, idleUs]);
    const usedParts = largestRemainder(used, work);
    const idleParts = largestRemainder(idle, work);
    for (const [i, [key]] of workers.entries()) {
      const before = shares.get(key) ?? { usedMicros: 0n, idleMicros: 0n };
      shares.set(key, {
        usedMicros: before.usedMicros + (usedParts[i] ?? 0n),
        idleMicros: before.idleMicros + (idleParts[i] ?? 0n),
      });
    }
  }
  return { shares, unallocatedMicros };
}

/**
 * Parts of `micros` in proportion to `weights` (≥ 0, one > 0): each is its exact share rounded down or up, and they add
 * up; those with the largest remainders are rounded up, of equal ones the first. Source: the method of largest
 * remainders (Hamilton). Throws RangeError.
 */
export function largestRemainder(micros: bigint, weights: readonly bigint[]): bigint[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0n);
  if (total <= 0n || weights.some((weight) => weight < 0n)) throw new RangeError('weights have to be positive');
  if (micros < 0n) return largestRemainder(-micros, weights).map((part) => -part);
  const parts = weights.map((weight) => (micros * weight) / total);
  const left = Number(micros - parts.reduce((sum, part) => sum + part, 0n));
  const byRemainder = weights
    .map((weight, i) => ({ i, remainder: (micros * weight) % total }))
    .sort((a, b) => (a.remainder === b.remainder ? a.i - b.i : a.remainder > b.remainder ? -1 : 1));
  for (const { i } of byRemainder.slice(0, left)) parts[i] = (parts[i] ?? 0n) + 1n;
  return parts;
}
