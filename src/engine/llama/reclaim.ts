import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** At most so many dead samplers lie about. */
const SAMPLERS_PER_COLLECTION = 32;

/**
 * The native sampler of every generation and embedding keeps a candidate list as large as the vocabulary (0.6 MB at
 * 49,152 tokens) until its JavaScript object is collected. V8 does not see that memory and has no reason to hurry, so
 * the process would grow by it with every request: the collection is asked for.
 */
export class Reclaimer {
  readonly #collect: () => void;
  #ended = 0;

  constructor() {
    setFlagsFromString('--expose-gc');
    this.#collect = runInNewContext('gc');
  }

  samplerEnded(): void {
    this.#ended += 1;
    if (this.#ended % SAMPLERS_PER_COLLECTION === 0) this.#collect();
  }
}
