import { KvBlocks, privateContent } from './kv-blocks.ts';
import { isDecoding, isScheduledOut, type Sequence } from './sequence.ts';

export interface SchedulerLimits {
  readonly sequencesMax: number;
  readonly stepTokensMax: number;
  /** Prompt tokens of one step at most, beside its decodes, where the engine bounds them apart (Cubit's worker does). */
  readonly prefillTokensMax?: number;
  readonly kvTokens: number;
  readonly blockTokens: number;
  readonly prefixCaching: boolean;
}

/** What one step computes: the features of the step model (DESIGN §3), and who gets a token at its end. */
export interface StepPlan {
  readonly prefillTokens: number;
  readonly attendedPairs: number;
  readonly decodes: number;
  readonly contextTokens: number;
  /** Sequences in it, decoding or not. */
  readonly sequences: number;
  /** Requests whose first chunk of all it carries. */
  readonly firstChunks: number;
  readonly emits: readonly Sequence[];
}

interface Draft {
  budget: number;
  prefillBudget: number;
  prefillTokens: number;
  attendedPairs: number;
  decodes: number;
  contextTokens: number;
  sequences: number;
  firstChunks: number;
  emits: Sequence[];
}

/** Told of a sequence's first token and of its end, when the step that brought it ends. */
export interface SequenceListener {
  firstToken(sequence: Sequence, atMs: number): void;
  ended(sequence: Sequence, atMs: number): void;
}

/** Places before the head that are cleared at once. */
const CLEARED_MIN = 256;

/**
 * One engine's scheduler as vLLM V1 has it: running sequences first, in order, one token or the next chunk each within
 * the step's budget; where blocks run out the last running one is preempted and computed anew; then those waiting, first
 * come first served, if their whole sequence fits. Knows no clock beyond the stamps it is given.
 */
export class Scheduler {
  readonly #limits: SchedulerLimits;
  readonly #kv: KvBlocks;
  #running: Sequence[] = [];
  /** Preempted ones stand before those that were never admitted; the last of it is the head of the queue. */
  readonly #preempted: Sequence[] = [];
  readonly #waiting: Sequence[] = [];
  #waitingHead = 0;
  preemptions = 0;
  kvBlocksMax = 0;

  readonly #listener: SequenceListener | undefined;

  constructor(limits: SchedulerLimits, listener?: SequenceListener) {
    this.#limits = limits;
    this.#listener = listener;
    this.#kv = new KvBlocks(Math.floor(limits.kvTokens / limits.blockTokens));
  }

  get running(): readonly Sequence[] {
    return this.#running;
  }

  get waitingCount(): number {
    return this.#preempted.length + this.#waiting.length - this.#waitingHead;
  }

  get kvBlocksInUse(): number {
    return this.#kv.total - this.#kv.free;
  }

  enqueue(sequence: Sequence): void {
    this.#waiting.push(sequence);
  }

  /** Decides the next step; null where nothing can be scheduled (idle, or all wait for steps in flight). */
  plan(nowMs: number): StepPlan | null {
    const draft: Draft = {
      budget: this.#limits.stepTokensMax,
      prefillBudget: this.#limits.prefillTokensMax ?? this.#limits.stepTokensMax,
      prefillTokens: 0,
      attendedPairs: 0,
      decodes: 0,
      contextTokens: 0,
      sequences: 0,
      firstChunks: 0,
      emits: [],
    };
    const preemptionsBefore = this.preemptions;
    this.#planRunning(draft);
    if (this.preemptions === preemptionsBefore) this.#planWaiting(draft, nowMs);
    this.kvBlocksMax = Math.max(this.kvBlocksMax, this.kvBlocksInUse);
    return draft.sequences === 0 ? null : draft;
  }

  #planRunning(draft: Draft): void {
    for (let place = 0; place < this.#running.length && draft.budget > 0; place += 1) {
      const sequence = this.#running[place] as Sequence;
      if (isScheduledOut(sequence)) continue;
      if (isDecoding(sequence) && this.#decodeInPlace(draft, sequence)) continue;
      const tokens = share(draft, sequence);
      if (tokens === 0) continue;
      const needed = this.#blocksFor(sequence.computed + tokens) - sequence.blocks.length;
      while (this.#kv.free < needed) {
        const victim = this.#running.pop() as Sequence;
        this.#preempt(victim);
        if (victim === sequence) return;
      }
      this.#compute(draft, sequence, tokens);
    }
  }

  /** Most decodes touch no block: the token goes where there is room, and fills none. */
  #decodeInPlace(draft: Draft, sequence: Sequence): boolean {
    const { computed } = sequence;
    const room = computed % this.#limits.blockTokens;
    if (room === 0 || room === this.#limits.blockTokens - 1) return false;
    draft.decodes += 1;
    draft.contextTokens += computed;
    draft.budget -= 1;
    draft.sequences += 1;
    sequence.computed = computed + 1;
    sequence.length += 1;
    draft.emits.push(sequence);
    return true;
  }

  #planWaiting(draft: Draft, nowMs: number): void {
    while (Math.min(draft.budget, draft.prefillBudget) > 0 && this.#running.length < this.#limits.sequencesMax) {
      const sequence = this.#head();
      if (sequence === undefined) return;
      const found = this.#findPrefix(sequence);
      if (!this.#fits(sequence, found)) return;
      this.#popHead();
      this.#admit(draft, sequence, found, nowMs);
    }
  }

  #admit(draft: Draft, sequence: Sequence, found: number[], nowMs: number): void {
    for (const block of found) this.#kv.share(block);
    sequence.blocks = found;
    sequence.findable = found.length;
    sequence.computed = found.length * this.#limits.blockTokens;
    if (!sequence.preempted) {
      if (sequence.hashes === undefined && this.#limits.prefixCaching) {
        sequence.computed = Math.min(sequence.cachedTokensGiven, sequence.promptTokens - 1);
      }
      sequence.cachedTokens = sequence.computed;
      sequence.scheduledMs = nowMs;
      draft.firstChunks += 1;
    }
    sequence.running = true;
    this.#running.push(sequence);
    this.#compute(draft, sequence, share(draft, sequence));
  }

  /** Books `tokens` more of a sequence into the step; their blocks are free. */
  #compute(draft: Draft, sequence: Sequence, tokens: number): void {
    const before = sequence.computed;
    if (isDecoding(sequence)) {
      draft.decodes += 1;
      draft.contextTokens += before;
    } else {
      draft.prefillTokens += tokens;
      draft.prefillBudget -= tokens;
      draft.attendedPairs += tokens * before + (tokens * (tokens + 1)) / 2;
    }
    draft.budget -= tokens;
    draft.sequences += 1;
    this.#grow(sequence, tokens);
    if (sequence.computed === sequence.length) {
      sequence.length += 1;
      draft.emits.push(sequence);
    }
  }

  #grow(sequence: Sequence, tokens: number): void {
    sequence.computed += tokens;
    const blocks = this.#blocksFor(sequence.computed);
    while (sequence.blocks.length < blocks) sequence.blocks.push(this.#kv.take());
    if (!this.#limits.prefixCaching) return;
    const full = Math.floor(sequence.computed / this.#limits.blockTokens);
    for (; sequence.findable < full; sequence.findable += 1) {
      const block = sequence.blocks[sequence.findable] as number;
      const hash = sequence.hashes?.[sequence.findable];
      if (hash === undefined) this.#kv.setPrivate(block, privateContent(sequence.index, sequence.findable));
      else this.#kv.setHash(block, hash);
    }
  }

  /** Blocks from the start of a waiting sequence that are still in the cache; the last token is always computed. */
  #findPrefix(sequence: Sequence): number[] {
    const found: number[] = [];
    if (!this.#limits.prefixCaching) return found;
    const most = Math.floor((sequence.length - 1) / this.#limits.blockTokens);
    for (let index = 0; index < most; index += 1) {
      const hash = sequence.hashes?.[index];
      const block = hash === undefined ? this.#ownBlock(sequence, index) : this.#kv.find(hash);
      if (block === undefined) break;
      found.push(block);
    }
    return found;
  }

  #ownBlock(sequence: Sequence, index: number): number | undefined {
    const block = sequence.blocks[index];
    if (block === undefined || !this.#kv.holds(block, privateContent(sequence.index, index))) return undefined;
    return block;
  }

  /** The whole sequence so far must fit, not only its first chunk (vLLM's scheduler_reserve_full_isl). */
  #fits(sequence: Sequence, found: readonly number[]): boolean {
    let needed = this.#blocksFor(sequence.length) - found.length;
    for (const block of found) if (!this.#kv.isInUse(block)) needed += 1;
    return needed <= this.#kv.free;
  }

  #preempt(sequence: Sequence): void {
    this.preemptions += 1;
    this.#free(sequence);
    sequence.computed = 0;
    sequence.findable = 0;
    sequence.running = false;
    sequence.preempted = true;
    this.#preempted.push(sequence);
  }

  /** The end of the sequence first, so that its beginning is forgotten last. */
  #free(sequence: Sequence): void {
    for (let place = sequence.blocks.length - 1; place >= 0; place -= 1)
      this.#kv.release(sequence.blocks[place] as number);
  }

  #head(): Sequence | undefined {
    return this.#preempted.at(-1) ?? this.#waiting[this.#waitingHead];
  }

  #popHead(): void {
    if (this.#preempted.pop() !== undefined) return;
    this.#waitingHead += 1;
    if (this.#waitingHead < CLEARED_MIN || this.#waitingHead * 2 < this.#waiting.length) return;
    this.#waiting.splice(0, this.#waitingHead);
    this.#waitingHead = 0;
  }

  #blocksFor(tokens: number): number {
    return Math.ceil(tokens / this.#limits.blockTokens);
  }

  /** A step has ended: its tokens are there; who has all of them leaves. */
  complete(step: StepPlan, nowMs: number): void {
    let finished = 0;
    for (const sequence of step.emits) {
      sequence.emitted += 1;
      if (sequence.emitted === 1) {
        sequence.firstTokenMs = nowMs;
        this.#listener?.firstToken(sequence, nowMs);
      }
      if (sequence.emitted < sequence.outputTokens) continue;
      sequence.lastTokenMs = nowMs;
      finished += 1;
      // One that was preempted while its last step was in flight holds nothing any more.
      if (sequence.running) this.#free(sequence);
      else this.#preempted.splice(this.#preempted.indexOf(sequence), 1);
      this.#listener?.ended(sequence, nowMs);
    }
    if (finished > 0) this.#running = this.#running.filter(({ emitted, outputTokens }) => emitted < outputTokens);
  }

  /**
   * How many steps from now on only decode, all running sequences in each: until one of them is through, the blocks run
   * out, or (not known here) a new request comes. 0 where the next step does something else.
   */
  decodeStepsMax(): number {
    const { sequencesMax, stepTokensMax } = this.#limits;
    const count = this.#running.length;
    if (count === 0 || count > stepTokensMax) return 0;
    let steps = Number.POSITIVE_INFINITY;
    for (const sequence of this.#running) {
      if (!isDecoding(sequence) || isScheduledOut(sequence)) return 0;
      steps = Math.min(steps, sequence.promptTokens + sequence.outputTokens - sequence.length);
    }
    const head = this.#head();
    // Whoever does not fit now will not fit later: running sequences only take blocks until one of them ends.
    if (head !== undefined && count < sequencesMax && this.#fits(head, this.#findPrefix(head))) return 0;
    return this.#stepsThatFit(steps);
  }

  #stepsThatFit(wanted: number): number {
    // No sequence needs more new blocks than this: mostly there is room, and nothing to count.
    const most = Math.ceil(wanted / this.#limits.blockTokens) + 1;
    if (most * this.#running.length <= this.#kv.free) return wanted;
    if (this.#blocksForMore(wanted) <= this.#kv.free) return wanted;
    let fits = 0;
    let tooMany = wanted;
    while (tooMany - fits > 1) {
      const middle = Math.floor((fits + tooMany) / 2);
      if (this.#blocksForMore(middle) <= this.#kv.free) fits = middle;
      else tooMany = middle;
    }
    return fits;
  }

  #blocksForMore(steps: number): number {
    let blocks = 0;
    for (const sequence of this.#running) {
      blocks += this.#blocksFor(sequence.computed + steps) - sequence.blocks.length;
    }
    return blocks;
  }

  /** Context tokens that the running sequences read in their next decode step. */
  contextTokens(): number {
    let tokens = 0;
    for (const { computed } of this.#running) tokens += computed;
    return tokens;
  }

  /** Decides `steps` decode steps at once (≤ decodeStepsMax); all but the last of them also end. Returns the last. */
  decodeOn(steps: number): StepPlan {
    const { blockTokens } = this.#limits;
    let contextTokens = this.#running.length * (steps - 1);
    for (const sequence of this.#running) {
      const { computed } = sequence;
      contextTokens += computed;
      // Most stay within the block that they are in.
      if ((computed % blockTokens) + steps < blockTokens && computed % blockTokens > 0)
        sequence.computed = computed + steps;
      else this.#grow(sequence, steps);
      sequence.length += steps;
      sequence.emitted += steps - 1;
    }
    this.kvBlocksMax = Math.max(this.kvBlocksMax, this.kvBlocksInUse);
    const count = this.#running.length;
    return {
      prefillTokens: 0,
      attendedPairs: 0,
      decodes: count,
      contextTokens,
      sequences: count,
      firstChunks: 0,
      emits: this.#running.slice(),
    };
  }
}

/** Tokens of a sequence that the step has room for. */
function share(draft: Draft, sequence: Sequence): number {
  const left = sequence.length - sequence.computed;
  return Math.min(left, draft.budget, isDecoding(sequence) ? left : draft.prefillBudget);
}
