import type { LlamaContextSequence } from 'node-llama-cpp';
import { CubitError } from '../../core/errors.ts';
import type { CacheClient } from './cache-client.ts';
import type { FinishReason, Generation } from './generation.ts';
import type { KvStates } from './kv-state.ts';
import type { LoadedModel } from './model.ts';
import { BLOCK_TOKENS } from './prefix-pool.ts';
import type { Reclaimer } from './reclaim.ts';
import { chooseSlot, type IdleSlot, reusableTokens } from './slots.ts';
import { StepPlan } from './step-plan.ts';
import { paramsOf, type Transfer } from './transfer.ts';

/**
 * Prompt tokens one step evaluates at most, over all sequences: the time others wait for their next token, and the
 * time a cancel takes. On two CPU threads 64 give 95 % of the prefill rate of 128 with half the wait.
 */
export const PREFILL_TOKENS_PER_STEP = 64;
/** Steps in a row that may fail before the process gives up: a broken context does not heal. */
const FAILURES_IN_A_ROW_MAX = 3;

interface Slot extends IdleSlot {
  readonly sequence: LlamaContextSequence;
  tokens: readonly number[];
  salt: string | null;
  lastUsed: number;
  running: Generation | null;
}

/** How KV states go to other workers and to the cache worker beside them. */
export interface KvSharing {
  readonly states: KvStates;
  readonly cache: CacheClient;
}

export interface SchedulerTotals {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  /** Running ones whose client left, and from then until their sequences were free: what was left of a step. */
  readonly cancels: number;
  readonly cancelFreeMs: number;
}

/**
 * Continuous batching. One step evaluates the next token (or prefill chunk) of every running generation in one batch;
 * between steps generations join, end and leave. Waiting ones are served first come, first served.
 */
export class Scheduler {
  readonly #slots: readonly Slot[];
  readonly #contextTokens: number;
  readonly #kv: KvSharing | null;
  readonly #waitingMax: number;
  readonly #onBroken: (error: unknown) => void;
  readonly #reclaimer: Reclaimer;
  readonly #waiting: Generation[] = [];
  readonly #plan = new StepPlan();
  #uses = 0;
  #failuresInARow = 0;
  #stepping = false;
  #totals = { promptTokens: 0, cachedTokens: 0, outputTokens: 0, cancels: 0, cancelFreeMs: 0 };
  #lastCancelMs = 0;

  /** `onBroken` is called when the native context fails again and again. */
  constructor(
    loaded: LoadedModel,
    kv: KvSharing | null,
    waitingMax: number,
    reclaimer: Reclaimer,
    onBroken: (error: unknown) => void,
  ) {
    this.#kv = kv;
    this.#reclaimer = reclaimer;
    this.#contextTokens = loaded.contextTokens;
    this.#waitingMax = waitingMax;
    this.#onBroken = onBroken;
    this.#slots = Array.from({ length: loaded.context.totalSequences }, () => ({
      sequence: loaded.context.getSequence(),
      tokens: [],
      salt: null,
      lastUsed: 0,
      running: null,
    }));
  }

  get running(): number {
    return this.#slots.filter((slot) => slot.running !== null).length;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Share of all sequences' KV cells that running generations occupy, 0…1; what idle slots hold can be taken back. */
  get kvUsedShare(): number {
    let used = 0;
    for (const slot of this.#slots) if (slot.running !== null) used += slot.sequence.nextTokenIndex;
    return used / (this.#contextTokens * this.#slots.length);
  }

  get totals(): SchedulerTotals {
    return this.#totals;
  }

  /** When a client of a running one was last seen to leave, epoch milliseconds; 0: never. */
  get lastCancelMs(): number {
    return this.#lastCancelMs;
  }

  /** Queues a generation. Throws `engine_unavailable` when as many as allowed wait already, `unsupported_feature`. */
  submit(generation: Generation): void {
    if (generation.transfer !== null) this.#sharing();
    const free = this.#slots.length - this.running;
    if (this.#waiting.length >= this.#waitingMax + free) {
      throw new CubitError(
        'engine_unavailable',
        `All sequences are busy and ${this.#waitingMax} requests wait already.`,
      );
    }
    this.#waiting.push(generation);
    this.#wake();
  }

  /** Takes a generation out: at once while it waits, else at the end of the step. No event comes after. */
  cancel(generation: Generation): void {
    generation.cancelled = true;
    const isRunning = this.#slots.some(({ running }) => running === generation);
    if (isRunning) {
      this.#lastCancelMs = Date.now();
      generation.cancelledAtMs = performance.now();
    }
    const at = this.#waiting.indexOf(generation);
    if (at !== -1) this.#waiting.splice(at, 1);
    this.#wake();
  }

  setPaused(generation: Generation, paused: boolean): void {
    generation.paused = paused;
    if (!paused) this.#wake();
  }

  #wake(): void {
    if (this.#stepping) return;
    this.#stepping = true;
    // A failure here is the native context's: unhandled, it ends the process, and the fleet starts another.
    void this.#steps();
  }

  async #steps(): Promise<void> {
    while (true) {
      await this.#removeCancelled();
      await this.#admit();
      const runnable = this.#slots.filter((slot) => slot.running !== null && !slot.running.paused);
      if (runnable.length === 0) {
        this.#stepping = false;
        return;
      }
      await this.#step(runnable);
    }
  }

  async #admit(): Promise<void> {
    while (this.#waiting.length > 0) {
      const [generation] = this.#waiting;
      const free = this.#slots.filter((slot) => slot.running === null);
      const choice = generation && chooseSlot(free, generation.prompt, generation.salt);
      if (!generation || !choice) return;
      this.#waiting.shift();
      const { transfer } = generation;
      if (transfer?.kind === 'take') await this.#takeOver(choice.slot, generation, transfer);
      else await this.#begin(choice.slot, generation, choice.reusedTokens);
    }
  }

  async #begin(slot: Slot, generation: Generation, reusedTokens: number): Promise<void> {
    this.#occupy(slot, generation);
    const { sequence } = slot;
    // Recurrent and windowed models cannot be cut back: erasing would evaluate the prefix again, unseen.
    const ownTokens = sequence.needsCheckpoints && reusedTokens < sequence.nextTokenIndex ? 0 : reusedTokens;
    const reused = generation.transfer === null ? ownTokens : await this.#borrow(slot, generation, ownTokens);
    await sequence.eraseContextTokenRanges([{ start: reused, end: sequence.nextTokenIndex }]);
    generation.begin(sequence, reused);
    this.#totals.promptTokens += generation.prompt.length;
    this.#totals.cachedTokens += reused;
  }

  /** Goes on from the state that a prefill worker handed over, instead of evaluating the prompt. */
  async #takeOver(slot: Slot, generation: Generation, take: Extract<Transfer, { kind: 'take' }>): Promise<void> {
    this.#occupy(slot, generation);
    try {
      await this.#sharing().states.take(slot.sequence, take.state);
      if (!isSame(slot.sequence.contextTokens, generation.prompt)) {
        throw new CubitError('engine_failed', 'The KV state that was handed over is that of another prompt.');
      }
    } catch (error) {
      await slot.sequence.clearHistory();
      await this.#refuse(slot, generation, error);
      return;
    }
    generation.takeOver(slot.sequence, take);
    this.#totals.promptTokens += generation.prompt.length;
    this.#totals.cachedTokens += generation.prompt.length;
  }

  /** Puts a longer beginning from the cache worker in place of what the sequence holds; returns the tokens to reuse. */
  async #borrow(slot: Slot, { prompt, salt }: Generation, ownTokens: number): Promise<number> {
    const { sequence } = slot;
    const { states, cache } = this.#sharing();
    if (sequence.needsCheckpoints || prompt.length - ownTokens < BLOCK_TOKENS) return ownTokens;
    const lent = await cache.borrow(salt, prompt);
    if (lent === null) return ownTokens;
    if (lent.tokens < ownTokens + BLOCK_TOKENS) {
      states.drop(lent.state);
      return ownTokens;
    }
    try {
      await states.take(sequence, lent.state);
      return reusableTokens({ tokens: sequence.contextTokens, salt, lastUsed: 0 }, prompt, salt);
    } catch {
      // A cache that fails is one that holds nothing: the prompt is evaluated here.
      await sequence.clearHistory();
      return 0;
    }
  }

  #occupy(slot: Slot, generation: Generation): void {
    slot.running = generation;
    slot.salt = generation.salt;
    slot.lastUsed = ++this.#uses;
  }

  /** All calls of one step are made together: node-llama-cpp evaluates what is queued together as one batch. */
  async #step(slots: readonly Slot[]): Promise<void> {
    const running = slots.map((slot) => {
      const generation = slot.running as Generation;
      const { prefillTokensLeft } = generation;
      return { slot, generation, salt: slot.salt, lastUsed: slot.lastUsed, prefillTokensLeft };
    });
    const chunks = this.#plan.next(running, PREFILL_TOKENS_PER_STEP, performance.now());
    const work: Promise<void>[] = [];
    for (const one of running.toSorted((a, b) => a.lastUsed - b.lastUsed)) {
      const chunk = chunks.get(one);
      if (chunk !== undefined) work.push(this.#advance(one.slot, one.generation, chunk));
    }
    await Promise.all(work);
  }

  async #advance(slot: Slot, generation: Generation, prefillTokens: number): Promise<void> {
    const before = generation.usage.outputTokens;
    let finish: FinishReason | null;
    try {
      finish = await generation.advance(prefillTokens);
      this.#failuresInARow = 0;
    } catch (error) {
      await this.#fail(slot, generation, error);
      return;
    }
    this.#totals.outputTokens += generation.usage.outputTokens - before;
    if (finish === null) return;
    if (generation.transfer?.kind === 'give' && !generation.cancelled) {
      try {
        await this.#give(slot, generation);
      } catch (error) {
        await this.#refuse(slot, generation, error);
        return;
      }
    }
    await this.#free(slot, generation);
    if (!generation.cancelled) generation.events.onEnd(finish);
  }

  async #give(slot: Slot, generation: Generation): Promise<void> {
    await generation.release();
    const { states, cache } = this.#sharing();
    const state = await states.give(slot.sequence);
    const { prompt, salt, cachedTokens } = generation;
    if (prompt.length - cachedTokens >= BLOCK_TOKENS) cache.keep(salt, prompt, state);
    const firstToken = generation.lastToken as number;
    generation.events.onGiven?.(paramsOf({ state, firstToken, cachedTokens }));
  }

  #sharing(): KvSharing {
    if (this.#kv !== null) return this.#kv;
    throw new CubitError('unsupported_feature', 'This worker hands no KV states over.');
  }

  async #fail(slot: Slot, generation: Generation, error: unknown): Promise<void> {
    await this.#refuse(slot, generation, error);
    this.#failuresInARow += 1;
    if (this.#failuresInARow >= FAILURES_IN_A_ROW_MAX) this.#onBroken(error);
  }

  async #refuse(slot: Slot, generation: Generation, error: unknown): Promise<void> {
    await this.#free(slot, generation);
    slot.salt = null; // what its sequence holds is not known any more
    if (!generation.cancelled) generation.events.onError(error);
  }

  async #removeCancelled(): Promise<void> {
    for (const slot of this.#slots) {
      if (slot.running?.cancelled) await this.#free(slot, slot.running);
    }
  }

  async #free(slot: Slot, generation: Generation): Promise<void> {
    await generation.release();
    slot.tokens = slot.sequence.contextTokens;
    slot.running = null;
    if (generation.cancelledAtMs !== null) {
      this.#totals.cancels += 1;
      this.#totals.cancelFreeMs += performance.now() - generation.cancelledAtMs;
    }
    this.#reclaimer.samplerEnded();
  }
}

function isSame(held: readonly number[], prompt: readonly number[]): boolean {
  return held.length === prompt.length && held.every((token, at) => token === prompt[at]);
}
