/** Tokens that together may still be one character; real characters take at most 4 bytes, so at most 4 byte tokens. */
const PENDING_TOKENS_MAX = 8;
/** Context that some tokenizers need to place leading spaces. */
const LAST_TOKENS = 4;
const REPLACEMENT = '\uFFFD';

export interface TextStep {
  /** Certain text: whole characters, no part of a stop string. May be empty. */
  readonly text: string;
  /** A stop string was reached; nothing more will come. */
  readonly stopped: boolean;
}

/**
 * Turns output tokens into text, a piece for each token. Bytes of an unfinished character and text that may be the
 * beginning of a stop string are held back until it is certain what they are.
 */
export class TextAssembler<Token> {
  readonly #detokenize: (tokens: readonly Token[], before: readonly Token[]) => string;
  readonly #stops: readonly string[];
  #before: Token[] = [];
  #pending: Token[] = [];
  #held = '';

  constructor(
    detokenize: (tokens: readonly Token[], before: readonly Token[]) => string,
    stops: readonly string[] = [],
  ) {
    this.#detokenize = detokenize;
    this.#stops = stops.filter((stop) => stop !== '');
  }

  push(token: Token): TextStep {
    this.#pending.push(token);
    const text = this.#detokenize(this.#pending, this.#before);
    if (text.endsWith(REPLACEMENT) && this.#pending.length < PENDING_TOKENS_MAX) return { text: '', stopped: false };
    this.#before = [...this.#before, ...this.#pending].slice(-LAST_TOKENS);
    this.#pending = [];
    return this.#release(text);
  }

  /** What was still held, when the output ends without a stop string. An unfinished character is dropped. */
  end(): string {
    const rest = this.#pending.length === 0 ? '' : this.#detokenize(this.#pending, this.#before);
    this.#pending = [];
    const { text, stopped } = this.#release(rest.replace(/\uFFFD+$/, ''));
    const held = stopped ? '' : this.#held;
    this.#held = '';
    return text + held;
  }

  #release(added: string): TextStep {
    const text = this.#held + added;
    const stopAt = firstStop(text, this.#stops);
    if (stopAt !== -1) {
      this.#held = '';
      return { text: text.slice(0, stopAt), stopped: true };
    }
    const certain = text.length - heldLength(text, this.#stops);
    this.#held = text.slice(certain);
    return { text: text.slice(0, certain), stopped: false };
  }
}

function firstStop(text: string, stops: readonly string[]): number {
  let first = -1;
  for (const stop of stops) {
    const at = text.indexOf(stop);
    if (at !== -1 && (first === -1 || at < first)) first = at;
  }
  return first;
}

/** Length of the longest end of `text` that a stop string begins with. */
function heldLength(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length;
    }
  }
  return longest;
}
