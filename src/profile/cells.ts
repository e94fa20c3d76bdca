/**
 * What is measured. `first`: one request alone, cold or behind a cached prefix, for the time to the first token (and, as
 * it goes on, the time between tokens of a batch of one). `batch`: sequences that decode together. `mixed`: a prompt
 * that arrives while others decode, and the time between their tokens when it is done.
 */
export type Cell =
  | { readonly kind: 'first'; readonly promptTokens: number; readonly cachedTokens: number }
  | { readonly kind: 'batch'; readonly batch: number; readonly contextTokens: number }
  | {
      readonly kind: 'mixed';
      readonly batch: number;
      readonly contextTokens: number;
      readonly promptTokens: number;
    };

/** What the engine and the tier allow. */
export interface Limits {
  /** Of one sequence. */
  readonly contextTokens: number;
  /** Sequences together at most. */
  readonly sequences: number;
  /** Tokens of all sequences together. */
  readonly kvTokens: number;
  /** Prompt tokens that one step evaluates at most. */
  readonly prefillTokensMax: number;
  /** The engine reports cached tokens: warm prefixes can be measured. */
  readonly reportsCache: boolean;
}

export type Thoroughness = 'quick' | 'normal' | 'thorough';

/** Shares of the context. Odd ones, so that lengths fall anywhere between the multiples that kernels pad to. */
const COLD: Record<Thoroughness, readonly number[]> = {
  quick: [0.02, 0.08],
  normal: [0.02, 0.065, 0.16, 0.3],
  thorough: [0.02, 0.045, 0.09, 0.17, 0.29, 0.47, 0.71],
};
const SHORT = 0.025;
const MEDIUM = 0.12;
const LONG = 0.3;
/** Of prompts that arrive while others decode. */
const ARRIVING = 0.06;
/** A prompt in a chat template takes this much at least. */
const PROMPT_TOKENS_MIN = 40;

export function cellId(cell: Cell): string {
  if (cell.kind === 'first') return `first ${cell.promptTokens} tokens, ${cell.cachedTokens} cached`;
  const batch = `${cell.batch} × ${cell.contextTokens} tokens`;
  return cell.kind === 'batch' ? `decode ${batch}` : `${cell.promptTokens} tokens into ${batch}`;
}

/** Output tokens of the cells that decode: enough steps for a mean, few enough to stay at one context. */
export const DECODE_TOKENS: Record<Thoroughness, number> = { quick: 8, normal: 16, thorough: 24 };

export function cellsFor(limits: Limits, how: Thoroughness): Cell[] {
  const roomTokens = limits.contextTokens - 4 * DECODE_TOKENS[how] - 8;
  const at = (share: number) =>
    Math.min(roomTokens, Math.max(PROMPT_TOKENS_MIN, Math.round(share * limits.contextTokens)));
  const cells: Cell[] = COLD[how].map((share) => ({ kind: 'first', promptTokens: at(share), cachedTokens: 0 }));
  if (limits.reportsCache && how !== 'quick') {
    cells.push({ kind: 'first', promptTokens: at(LONG + 0.03), cachedTokens: at(LONG) });
  }
  for (const batch of batches(limits.sequences)) {
    cells.push({ kind: 'batch', batch, contextTokens: at(SHORT) });
    if (how === 'thorough') cells.push({ kind: 'batch', batch, contextTokens: at(MEDIUM) });
  }
  if (limits.sequences > 1) {
    const half = Math.max(1, limits.sequences >> 1);
    const quarter = Math.max(1, limits.sequences >> 2);
    const mixed = (batch: number, share: number): Cell => ({
      kind: 'mixed',
      batch,
      contextTokens: at(share),
      promptTokens: at(ARRIVING),
    });
    cells.push(mixed(quarter, SHORT));
    // Where contexts are long, what they cost beside a prefill is seen.
    if (how !== 'quick') cells.push(mixed(half, MEDIUM), mixed(quarter, LONG), mixed(limits.sequences - 1, SHORT));
  }
  const fitting = cells.filter((cell) => tokensOf(cell) <= limits.kvTokens);
  return [...new Map(fitting.map((cell) => [cellId(cell), cell])).values()];
}

/** 1 is measured by every `first` cell as it goes on. */
function batches(sequences: number): number[] {
  const sizes: number[] = [];
  for (let size = 2; size < sequences; size *= 2) sizes.push(size);
  return sequences > 1 ? [...sizes, sequences] : [];
}

function tokensOf(cell: Cell): number {
  if (cell.kind === 'first') return cell.promptTokens;
  return cell.batch * cell.contextTokens + (cell.kind === 'mixed' ? cell.promptTokens : 0);
}
