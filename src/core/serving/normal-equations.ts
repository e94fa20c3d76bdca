/** Least squares in few unknowns that cannot be negative: times per token, costs per step. */
export interface Row {
  readonly features: readonly number[];
  readonly target: number;
  /** 1 unless said. 1/target² makes errors relative. */
  readonly weight?: number;
}

/** The normal equations Σ w·x·xᵀ and Σ w·x·y of rows; they add up, so rows need not be kept. */
export class NormalEquations {
  readonly unknowns: number;
  /** Row by row. */
  readonly gram: Float64Array;
  readonly moment: Float64Array;

  constructor(unknowns: number) {
    this.unknowns = unknowns;
    this.gram = new Float64Array(unknowns * unknowns);
    this.moment = new Float64Array(unknowns);
  }

  copy(): NormalEquations {
    const other = new NormalEquations(this.unknowns);
    other.gram.set(this.gram);
    other.moment.set(this.moment);
    return other;
  }

  /** What was added so far counts `factor` as much. */
  scale(factor: number): void {
    for (let i = 0; i < this.gram.length; i += 1) this.gram[i] = at(this.gram, i) * factor;
    for (let i = 0; i < this.unknowns; i += 1) this.moment[i] = at(this.moment, i) * factor;
  }

  add({ features, target, weight = 1 }: Row): void {
    for (let i = 0; i < this.unknowns; i += 1) {
      const weighted = weight * at(features, i);
      this.moment[i] = at(this.moment, i) + weighted * target;
      for (let j = 0; j < this.unknowns; j += 1) {
        this.gram[i * this.unknowns + j] = at(this.gram, i * this.unknowns + j) + weighted * at(features, j);
      }
    }
  }

  /**
   * Σ w·(x·β − y)² at its least with β ≥ 0, by active sets (Lawson and Hanson 1974, chapter 23). An unknown that the
   * rows do not determine comes out 0.
   */
  solve(): number[] {
    const solution = new Array<number>(this.unknowns).fill(0);
    const free = new Set<number>();
    const undetermined = new Set<number>();
    // Each turn frees one unknown, and no set of free ones comes back; the bound guards against rounding.
    for (let turn = 0; turn < 3 * this.unknowns; turn += 1) {
      const next = this.#steepest(solution, free, undetermined);
      if (next === null) break;
      free.add(next);
      if (this.#moveInto(solution, free)) continue;
      free.delete(next);
      undetermined.add(next);
    }
    return solution;
  }

  /** The bound unknown whose growth lowers the sum most, per its own scale; null at the optimum. */
  #steepest(solution: readonly number[], free: ReadonlySet<number>, undetermined: ReadonlySet<number>): number | null {
    let best: number | null = null;
    let bestGain = 0;
    for (let i = 0; i < this.unknowns; i += 1) {
      const diagonal = at(this.gram, i * this.unknowns + i);
      if (free.has(i) || undetermined.has(i) || diagonal <= 0) continue;
      let slope = at(this.moment, i);
      for (let j = 0; j < this.unknowns; j += 1) slope -= at(this.gram, i * this.unknowns + j) * at(solution, j);
      const gain = slope / Math.sqrt(diagonal);
      if (gain > bestGain + 1e-12 * Math.abs(at(this.moment, i) / Math.sqrt(diagonal))) {
        best = i;
        bestGain = gain;
      }
    }
    return best;
  }

  /** Solves for the free unknowns, and binds again those that would turn negative on the way. False when singular. */
  #moveInto(solution: number[], free: Set<number>): boolean {
    while (free.size > 0) {
      const order = [...free];
      const wanted = this.#solveFree(order);
      if (wanted === null) return false;
      const worst = order.reduce((least, i, k) => {
        const to = at(wanted, k);
        return to > 0 ? least : Math.min(least, at(solution, i) / (at(solution, i) - to));
      }, 1);
      order.forEach((i, k) => {
        const to = at(solution, i) + worst * (at(wanted, k) - at(solution, i));
        const stays = at(wanted, k) > 0 || to > 1e-12 * at(solution, i);
        solution[i] = stays ? to : 0;
        if (!stays) free.delete(i);
      });
      if (worst === 1) return true;
    }
    return true;
  }

  /** Cholesky, scaled to a unit diagonal. null when the unknowns are not determined. */
  #solveFree(order: readonly number[]): number[] | null {
    const n = order.length;
    const scales = order.map((i) => 1 / Math.sqrt(at(this.gram, i * this.unknowns + i)));
    const lower: number[][] = [];
    const forward: number[] = [];
    for (let r = 0; r < n; r += 1) {
      const row: number[] = [];
      for (let c = 0; c <= r; c += 1) {
        let sum = at(this.gram, at(order, r) * this.unknowns + at(order, c)) * at(scales, r) * at(scales, c);
        for (let k = 0; k < c; k += 1) sum -= at(row, k) * at(c === r ? row : (lower[c] as number[]), k);
        if (c < r) row.push(sum / at(lower[c] as number[], c));
        else if (sum < 1e-13) return null;
        else row.push(Math.sqrt(sum));
      }
      lower.push(row);
      let value = at(this.moment, at(order, r)) * at(scales, r);
      for (let k = 0; k < r; k += 1) value -= at(row, k) * at(forward, k);
      forward.push(value / at(row, r));
    }
    const result = new Array<number>(n).fill(0);
    for (let r = n - 1; r >= 0; r -= 1) {
      let value = at(forward, r);
      for (let k = r + 1; k < n; k += 1) value -= at(lower[k] as number[], r) * at(result, k);
      result[r] = value / at(lower[r] as number[], r);
    }
    return result.map((value, r) => value * at(scales, r));
  }
}

function at(values: ArrayLike<number>, index: number): number {
  return values[index] as number;
}
