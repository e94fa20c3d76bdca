import type { Work } from '../core/serving/work.ts';
import type { Replica } from './replica.ts';

/** One request's place on a replica: entered when made, left once. */
export class Stay {
  readonly #replica: Replica;
  readonly #sequences: number;
  readonly #work: Work;
  readonly #kvTokens: number;
  #prefilled = false;
  #over = false;

  constructor(replica: Replica, sequences: number, work: Work, kvTokens: number) {
    this.#replica = replica;
    this.#sequences = sequences;
    this.#work = work;
    this.#kvTokens = kvTokens;
    replica.enter(sequences, work, kvTokens);
  }

  /** It has its first token: its prefill is ahead of nobody any more. */
  prefilled(): void {
    if (this.#prefilled || this.#over) return;
    this.#prefilled = true;
    this.#replica.prefilled(this.#work);
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#replica.leave(this.#sequences, this.#work, this.#prefilled, this.#kvTokens);
  }
}
