/** A request inside the simulated engine. Token counts run ahead of what is emitted by the steps in flight. */
export interface Sequence {
  readonly index: number;
  readonly atMs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly hashes: readonly number[] | undefined;
  /** Prompt tokens that the caller says are cached, where no hashes say so. */
  readonly cachedTokensGiven: number;
  /** Tokens whose keys and values are in the cache, or will be when the steps in flight end. */
  computed: number;
  /** Prompt plus output tokens that are emitted or on their way. */
  length: number;
  emitted: number;
  /** Blocks held; after a preemption those it held, which may still hold its tokens. */
  blocks: number[];
  /** Blocks whose content can be found by others. */
  findable: number;
  running: boolean;
  preempted: boolean;
  cachedTokens: number;
  drainedMs: number;
  scheduledMs: number;
  firstTokenMs: number;
  lastTokenMs: number;
}

/** All of its tokens are computed or on their way: it waits for its last step to end. */
export function isScheduledOut(sequence: Sequence): boolean {
  return sequence.length === sequence.promptTokens + sequence.outputTokens;
}

/** Its prompt (and, after a preemption, what it had generated) is in the cache: one token a step. */
export function isDecoding(sequence: Sequence): boolean {
  return sequence.length > sequence.promptTokens && sequence.computed === sequence.length - 1;
}
