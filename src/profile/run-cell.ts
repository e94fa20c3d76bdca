import type { StepObservation } from '../core/serving/fit.ts';
import { type Cell, cellId, DECODE_TOKENS, type Limits, type Thoroughness } from './cells.ts';
import { firstTokenParts, nextTokenParts, type Running } from './parts.ts';
import { type Lengths, type Probe, type ProbeReply, promptOf } from './probe.ts';

/** What one repeat of a cell gave: the time to the first token, between tokens, or both. */
export interface Sample {
  readonly metric: 'ttft' | 'itl';
  readonly observation: StepObservation;
}

export interface CellDeps {
  readonly probe: Probe;
  readonly lengths: Lengths;
  readonly limits: Limits;
  readonly how: Thoroughness;
  readonly random: () => number;
}

/** Runs cells one after another; contexts that several repeats read are sent again as they were, so that engines with a prefix cache need not evaluate them again. */
export class CellRunner {
  readonly #deps: CellDeps;
  readonly #contexts = new Map<string, string>();
  #salts = 0;

  constructor(deps: CellDeps) {
    this.#deps = deps;
  }

  /** No sample where a repeat went otherwise than the cell says (sequences ended too early). Throws what the probe throws. */
  run(cell: Cell): Promise<Sample[]> {
    if (cell.kind === 'first') return this.#first(cell);
    return cell.kind === 'batch' ? this.#batch(cell) : this.#mixed(cell);
  }

  async #first(cell: Extract<Cell, { kind: 'first' }>): Promise<Sample[]> {
    const { how, lengths, random } = this.#deps;
    const outputTokens = DECODE_TOKENS[how];
    if (cell.cachedTokens === 0) {
      const reply = await this.#cold(cell.promptTokens, outputTokens);
      return samplesOf(cell, reply, this.#deps.limits);
    }
    const salt = `warm-${cell.cachedTokens}`;
    const context = this.#context(salt, cell.cachedTokens);
    const more = promptOf(cell.promptTokens - cell.cachedTokens + lengths.fixedTokens, lengths, random);
    // Puts the prefix into the cache, unless it is there.
    await this.#deps.probe({ prompt: context, outputTokens: 1, salt });
    const reply = await this.#deps.probe({ prompt: `${context} ${more}`, outputTokens, salt });
    // A prefix that the engine had dropped makes this a cold prompt: what it says, it is.
    return samplesOf(cell, reply, this.#deps.limits);
  }

  async #batch(cell: Extract<Cell, { kind: 'batch' }>): Promise<Sample[]> {
    const outputTokens = DECODE_TOKENS[this.#deps.how];
    const all = await Promise.all(this.#running(cell, outputTokens + this.#stagger(cell)));
    const us = commonWindow(all);
    if (us === null) return [];
    return [{ metric: 'itl', observation: nextTokenParts(cellId(cell), us.running, us.stepUs) }];
  }

  /** Sends the prompt when every other sequence has had its third token. */
  async #mixed(cell: Extract<Cell, { kind: 'mixed' }>): Promise<Sample[]> {
    const { limits, how } = this.#deps;
    const steps = Math.ceil(cell.promptTokens / limits.prefillTokensMax);
    const outputTokens = this.#stagger(cell) + 3 + 2 * steps + DECODE_TOKENS[how];
    let under = 0;
    let allUnder = () => {};
    const begun = new Promise<void>((resolve) => {
      allUnder = resolve;
    });
    const others = Promise.all(
      this.#running(cell, outputTokens, (count) => {
        if (count !== 3) return;
        under += 1;
        if (under === cell.batch) allUnder();
      }),
    );
    // Whoever ends early must not leave the injected prompt waiting for ever.
    await Promise.race([begun, others]);
    const injected = await this.#cold(cell.promptTokens, 2);
    const replies = await others;
    const firstAtMs = injected.textAtMs[0]!;
    const together = replies.every(
      ({ textAtMs }) => textAtMs[0]! <= injected.sentAtMs && textAtMs.at(-1)! >= firstAtMs,
    );
    if (!together || replies.length < cell.batch) return [];
    const running = replies.map((reply) => runningAt(reply, injected.sentAtMs, firstAtMs));
    const observation = firstTokenParts(cellId(cell), injected, limits.prefillTokensMax, running);
    const samples: Sample[] = [{ metric: 'ttft', observation }];
    const after = commonWindow(replies, injected.endedAtMs);
    if (after !== null)
      samples.push({ metric: 'itl', observation: nextTokenParts(cellId(cell), after.running, after.stepUs) });
    return samples;
  }

  /** Sequences begin one after another where prompts are evaluated in turn: the first has to last until the last runs. */
  #stagger(cell: { readonly batch: number; readonly contextTokens: number }): number {
    return Math.ceil((cell.batch * cell.contextTokens) / this.#deps.limits.prefillTokensMax);
  }

  #running(
    cell: { readonly batch: number; readonly contextTokens: number },
    outputTokens: number,
    onText?: (count: number) => void,
  ): Promise<ProbeReply>[] {
    return Array.from({ length: cell.batch }, (_, index) => {
      const salt = `context-${cell.contextTokens}-${index}`;
      const prompt = this.#context(salt, cell.contextTokens);
      return this.#deps.probe({ prompt, outputTokens, salt, ...(onText ? { onText } : {}) });
    });
  }

  #cold(promptTokens: number, outputTokens: number): Promise<ProbeReply> {
    const { lengths, probe, random } = this.#deps;
    this.#salts += 1;
    return probe({ prompt: promptOf(promptTokens, lengths, random), outputTokens, salt: `cold-${this.#salts}` });
  }

  #context(salt: string, tokens: number): string {
    const { lengths, random } = this.#deps;
    const known = this.#contexts.get(salt);
    if (known !== undefined) return known;
    const text = promptOf(tokens, lengths, random);
    this.#contexts.set(salt, text);
    return text;
  }
}

function samplesOf(cell: Cell, reply: ProbeReply, limits: Limits): Sample[] {
  const ttft = firstTokenParts(cellId(cell), reply, limits.prefillTokensMax, []);
  const samples: Sample[] = [{ metric: 'ttft', observation: ttft }];
  const window = commonWindow([reply]);
  if (window !== null) {
    samples.push({ metric: 'itl', observation: nextTokenParts(cellId(cell), window.running, window.stepUs) });
  }
  return samples;
}

/** Steps that a window has at least, to count. */
const WINDOW_STEPS_MIN = 3;

/** The time of a step while all of them decode, from some time on, and what each of them reads then; null when they hardly overlapped. */
function commonWindow(
  replies: readonly ProbeReply[],
  notBeforeMs = Number.NEGATIVE_INFINITY,
): { readonly stepUs: number; readonly running: readonly Running[] } | null {
  const fromMs = Math.max(notBeforeMs, ...replies.map(({ textAtMs }) => textAtMs[0]!));
  const untilMs = Math.min(...replies.map(({ textAtMs }) => textAtMs.at(-1)!));
  let steps = 0;
  let spanMs = 0;
  for (const { outputTokens, textAtMs } of replies) {
    // Servers may send several tokens in a piece.
    const tokensPerPiece = Math.max(1, outputTokens / textAtMs.length);
    const inside = textAtMs.filter((ms) => ms >= fromMs && ms <= untilMs);
    const own = (inside.length - 1) * tokensPerPiece;
    if (own <= steps) continue;
    steps = own;
    spanMs = inside.at(-1)! - inside[0]!;
  }
  if (steps < WINDOW_STEPS_MIN || spanMs <= 0) return null;
  return { stepUs: (1000 * spanMs) / steps, running: replies.map((reply) => runningAt(reply, fromMs, untilMs)) };
}

/** Context a sequence reads on average between two times: its prompt and what it had put out by their middle. */
function runningAt({ promptTokens, textAtMs }: ProbeReply, fromMs: number, untilMs: number): Running {
  const before = textAtMs.filter((ms) => ms <= fromMs).length;
  const until = textAtMs.filter((ms) => ms <= untilMs).length;
  return { contextTokens: promptTokens + (before + until) / 2 };
}
