import type { TimedReply } from '../bench/client.ts';
import type { StepParameters } from '../core/serving/fit.ts';
import type { Limits } from './cells.ts';
import type { LoadClock } from './clock.ts';
import type { Send } from './probe.ts';

/** An engine for tests that takes exactly the time its step model says, on a clock of its own. */
export class ModelEngine {
  nowMs = 0;
  readonly #parameters: StepParameters;
  readonly #limits: Limits;
  readonly #running: Sequence[] = [];
  /** Prompts that were evaluated, by salt. */
  readonly #cache = new Map<string, string[]>();
  /** Multiplies the time of a step: a noisy machine. */
  noise: () => number = () => 1;
  readonly #sleepers: { readonly atMs: number; readonly wake: () => void }[] = [];
  #stepping = false;

  constructor(parameters: StepParameters, limits: Limits) {
    this.#parameters = parameters;
    this.#limits = limits;
  }

  readonly send: Send = (call) => {
    const prompt = String(call.prompt).split(' ');
    const salt = call.headers?.['x-cubit-cache-salt'] ?? '';
    const held = this.#cache.get(salt) ?? [];
    let common = 0;
    while (common < Math.min(held.length, prompt.length - 1) && held[common] === prompt[common]) common += 1;
    this.#cache.set(salt, prompt);
    return new Promise((resolve) => {
      const sentAtMs = this.nowMs;
      const sequence = { tokens: prompt.length, cached: common, done: common, wanted: call.outputTokensMax };
      this.#running.push({ ...sequence, out: 0, textAtMs: [], sentAtMs, onText: call.onText, resolve });
      if (!this.#stepping) void this.#steps();
    });
  };

  get clock(): LoadClock {
    const until = (atMs: number) =>
      new Promise<void>((wake) => {
        this.#sleepers.push({ atMs, wake });
        if (!this.#stepping) void this.#steps();
      });
    return { nowMs: () => this.nowMs, until };
  }

  async #steps(): Promise<void> {
    this.#stepping = true;
    // Whoever is sent together is in the same step.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#running.length + this.#sleepers.length > 0) {
      if (this.#running.length > 0) this.#step();
      else this.nowMs = Math.max(this.nowMs, Math.min(...this.#sleepers.map(({ atMs }) => atMs)));
      this.#wake();
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#stepping = false;
  }

  #wake(): void {
    const due = this.#sleepers.filter(({ atMs }) => atMs <= this.nowMs).sort((a, b) => a.atMs - b.atMs);
    for (const sleeper of due) {
      this.#sleepers.splice(this.#sleepers.indexOf(sleeper), 1);
      sleeper.wake();
    }
  }

  #step(): void {
    const { prefillFixedUs, step } = this.#parameters;
    let budget = this.#limits.prefillTokensMax;
    let us = step.tau0Us;
    let context = 0;
    const emits: Sequence[] = [];
    // The rest waits for a place.
    for (const sequence of this.#running.slice(0, this.#limits.sequences)) {
      const left = sequence.tokens - sequence.done;
      if (left === 0) {
        us += step.tau3Us;
        context += sequence.tokens + sequence.out;
        emits.push(sequence);
        continue;
      }
      const chunk = Math.min(left, budget);
      if (chunk === 0) continue;
      if (sequence.done === sequence.cached) us += prefillFixedUs;
      us += step.tau1Us * chunk + step.tau2Us * (chunk * sequence.done + (chunk * (chunk + 1)) / 2);
      budget -= chunk;
      sequence.done += chunk;
      if (sequence.done === sequence.tokens) emits.push(sequence);
    }
    us += context * (step.tau4Us + (budget < this.#limits.prefillTokensMax ? step.tau5Us : 0));
    this.nowMs += (us * this.noise()) / 1000;
    for (const sequence of emits) this.#emit(sequence);
  }

  #emit(sequence: Sequence): void {
    sequence.out += 1;
    sequence.textAtMs.push(this.nowMs);
    sequence.onText?.(sequence.out);
    if (sequence.out < sequence.wanted) return;
    this.#running.splice(this.#running.indexOf(sequence), 1);
    const { cached, out, sentAtMs, textAtMs, tokens } = sequence;
    sequence.resolve(
      replyOf({ promptTokens: tokens, cachedTokens: cached, outputTokens: out, ttftMs: textAtMs[0]! - sentAtMs }),
    );
  }
}

interface Sequence {
  readonly tokens: number;
  readonly cached: number;
  readonly wanted: number;
  readonly sentAtMs: number;
  readonly textAtMs: number[];
  readonly onText: ((frames: number) => void) | undefined;
  readonly resolve: (reply: TimedReply) => void;
  done: number;
  out: number;
}

export function replyOf(parts: Partial<TimedReply>): TimedReply {
  return {
    status: 200,
    error: null,
    ttftMs: 10,
    tpotMs: 1,
    e2eMs: 20,
    itlMs: [],
    usage: 'stated',
    frames: 4,
    done: true,
    finished: true,
    streamed: true,
    retryAfterMs: null,
    text: '',
    promptTokens: 10,
    cachedTokens: 0,
    outputTokens: 4,
    receipt: null,
    ...parts,
  };
}

export const LIMITS: Limits = {
  contextTokens: 2_048,
  sequences: 8,
  kvTokens: 16_384,
  prefillTokensMax: 64,
  reportsCache: true,
};

export const TRUTH: StepParameters = {
  prefillFixedUs: 20_000,
  step: { tau0Us: 3_000, tau1Us: 12_000, tau2Us: 2, tau3Us: 19_000, tau4Us: 24, tau5Us: 6 },
};
