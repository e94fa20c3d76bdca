import type { LoraFactor } from '../core/serving/lora.ts';
import type { StepModel } from '../core/serving/work.ts';
import { median } from '../core/statistics.ts';
import type { Cell, Limits } from './cells.ts';
import type { Lengths, Probe } from './probe.ts';
import { CellRunner } from './run-cell.ts';
import { relativeHalfWidth } from './statistics.ts';

/** The same engine asked without and with a LoRA adapter. */
export interface AdapterOptions {
  readonly plain: Probe;
  readonly adapted: Probe;
  readonly lengths: Lengths;
  readonly limits: Limits;
  /** Of the unit without the adapter: says which part of a time is attention, which adapters leave as it is. */
  readonly step: StepModel;
  /** Makes a source of randomness that begins anew: both sides are sent the same prompts. */
  readonly random: () => () => number;
  readonly nowMs: () => number;
  readonly budgetMs: number;
  /** Ends when both factors are this certain, as a share of them. */
  readonly halfWidthMax: number;
  readonly stop: AbortSignal;
  readonly onRound: (cost: AdapterCost, elapsedMs: number) => void;
}

/** What an adapter multiplies p1 and d1 with, and half the width of the 95 % confidence interval of each, as a share. */
export interface AdapterCost extends Omit<LoraFactor, 'rank'> {
  readonly prefillHalfWidth: number;
  readonly decodeHalfWidth: number;
  readonly rounds: number;
}

const ROUNDS_MIN = 4;
const ROUNDS_MAX = 200;
/** The embedded engine's context of an adapter has as many sequences. */
const BATCH = 4;
const SHORT_TOKENS = 48;
const LONG_TOKENS = 176;

/**
 * Measures without and with the adapter in turns, cell by cell, so that both see the same machine: the time that a longer
 * prompt takes more than a short one (prefill), and a step in which a few sequences decode. The median of the rounds'
 * ratios counts; a factor below 1 is 1, since an adapter adds work. null when it was stopped before anything was certain.
 */
export async function measureAdapter(options: AdapterOptions): Promise<AdapterCost | null> {
  const { budgetMs, halfWidthMax, limits, nowMs, onRound, step, stop } = options;
  const cells = cellsOf(limits);
  const runners = [options.plain, options.adapted].map(
    (probe) => new CellRunner({ probe, lengths: options.lengths, limits, how: 'quick', random: options.random() }),
  );
  const prefill: number[] = [];
  const decode: number[] = [];
  const fromMs = nowMs();
  let cost: AdapterCost | null = null;
  for (let round = 1; round <= ROUNDS_MAX && !stop.aborted; round += 1) {
    // Whoever goes first finds the machine otherwise than who goes second.
    const order = round % 2 === 0 ? [1, 0] : [0, 1];
    const times: (Times | null)[] = [null, null];
    for (const which of order) times[which] = await timesOf(runners[which] as CellRunner, cells);
    const [plain, adapted] = times;
    if (plain == null || adapted == null) continue;
    prefill.push(adapted.prefillUs / plain.prefillUs);
    decode.push(adapted.decodeUs / plain.decodeUs);
    cost = costOf(prefill, decode, attentionShares(step, cells));
    const elapsedMs = nowMs() - fromMs;
    onRound(cost, elapsedMs);
    const certain = Math.max(cost.prefillHalfWidth, cost.decodeHalfWidth) <= halfWidthMax;
    if (round >= ROUNDS_MIN && (certain || elapsedMs > budgetMs)) break;
  }
  return cost !== null && cost.rounds >= ROUNDS_MIN ? cost : null;
}

interface Cells {
  readonly short: Extract<Cell, { kind: 'first' }>;
  readonly long: Extract<Cell, { kind: 'first' }>;
  readonly batch: Extract<Cell, { kind: 'batch' }>;
}

function cellsOf({ contextTokens, sequences }: Limits): Cells {
  const longTokens = Math.min(LONG_TOKENS, contextTokens >> 1);
  const shortTokens = Math.min(SHORT_TOKENS, longTokens >> 1);
  return {
    short: { kind: 'first', promptTokens: shortTokens, cachedTokens: 0 },
    long: { kind: 'first', promptTokens: longTokens, cachedTokens: 0 },
    batch: { kind: 'batch', batch: Math.min(BATCH, sequences), contextTokens: shortTokens },
  };
}

interface Times {
  readonly prefillUs: number;
  readonly decodeUs: number;
}

/** null where a cell went otherwise than it says. */
async function timesOf(runner: CellRunner, { batch, long, short }: Cells): Promise<Times | null> {
  const timeOf = async (cell: Cell, metric: 'ttft' | 'itl') =>
    (await runner.run(cell)).find((sample) => sample.metric === metric)?.observation.us ?? null;
  const shortUs = await timeOf(short, 'ttft');
  const longUs = await timeOf(long, 'ttft');
  const decodeUs = await timeOf(batch, 'itl');
  if (shortUs === null || longUs === null || decodeUs === null || longUs <= shortUs) return null;
  return { prefillUs: longUs - shortUs, decodeUs };
}

/** The part of each time that is attention: p2 and d2 of the work formula (core/serving/work.ts). */
function attentionShares({ tau0Us, tau1Us, tau2Us, tau3Us, tau4Us }: StepModel, { batch, long, short }: Cells) {
  const tokens = long.promptTokens - short.promptTokens;
  const pairsUs = (tau2Us * (long.promptTokens ** 2 - short.promptTokens ** 2)) / 2;
  const contextUs = tau4Us * batch.batch * batch.contextTokens;
  return {
    prefill: pairsUs / (pairsUs + tau1Us * tokens),
    decode: contextUs / (contextUs + tau0Us + tau3Us * batch.batch),
  };
}

function costOf(prefill: readonly number[], decode: readonly number[], shares: ReturnType<typeof attentionShares>) {
  const factor = (ratios: readonly number[], share: number) =>
    Math.max(1, Number(((median(ratios) - share) / (1 - share)).toFixed(3)));
  return {
    prefill: factor(prefill, shares.prefill),
    decode: factor(decode, shares.decode),
    prefillHalfWidth: Number(relativeHalfWidth(prefill).toFixed(4)),
    decodeHalfWidth: Number(relativeHalfWidth(decode).toFixed(4)),
    rounds: prefill.length,
  };
}
