import { badLine, isTokenCount, type Trace, type TraceRequest, traceOf } from './trace.ts';

/** Tokens of a block of the ids that `cubitParser` makes up. */
export const CUBIT_BLOCK_TOKENS = 64;

/** One line of Cubit's own trace (`cubit usage export`): what came and how long it was, never what it said. */
export interface CubitLine {
  /** Epoch milliseconds, or of any other beginning. */
  readonly atMs: number;
  /** null: it was refused or failed before anybody counted. */
  readonly promptTokens: number | null;
  /** Of the prompt, served from a prefix cache. */
  readonly cachedTokens: number;
  /** null: so nobody knows. */
  readonly outputTokens: number | null;
  /** API key and endpoint, as ids or as hashes of them. */
  readonly key: string;
  readonly endpoint: string;
}

const FORM =
  '{"atMs","promptTokens","cachedTokens","outputTokens","key","endpoint"}, tokens null where unknown, no more cached than in the prompt';
/** Before any request ended. */
const PROMPT_TOKENS_FIRST = 512;
const OUTPUT_TOKENS_FIRST = 128;
/** Ids of blocks that nobody shares; the keys' own lie below, a million each. */
const UNSHARED_FROM = 2 ** 31;
const KEY_STRIDE = 2 ** 20;
const KEYS_MAX = UNSHARED_FROM / KEY_STRIDE;

/** Throws `invalid_request` on a line that is not of this form, naming it. */
export function parseCubitTrace(jsonl: string): Trace {
  const parse = cubitParser();
  const rows = jsonl.split(/\r?\n/).flatMap((line, index) => parse(line, index) ?? []);
  const repairs =
    parse.unknown() === 0 ? [] : [`${parse.unknown()} requests were refused or failed: taken as long as the others`];
  return traceOf(rows, CUBIT_BLOCK_TOKENS, repairs);
}

export interface CubitParser {
  /** `index` from 0; null for an empty line. */
  (line: string, index: number): TraceRequest | null;
  /** Requests so far whose output nobody knows. */
  unknown(): number;
}

/**
 * Reads lines of Cubit's own trace one by one. The cached beginning of a prompt becomes blocks that all prompts of the same
 * key and endpoint begin with, so that a replay finds in its caches about what was found there; the rest is nobody
 * else's. A length that nobody knows is the mean of those before it.
 */
export function cubitParser(): CubitParser {
  const keys = new Map<string, number>();
  let unshared = 0;
  const prompts = meanFrom(PROMPT_TOKENS_FIRST);
  const outputs = meanFrom(OUTPUT_TOKENS_FIRST);
  let unknown = 0;
  const blocksOf = (row: CubitLine, promptTokens: number): number[] => {
    const name = `${row.endpoint} ${row.key}`;
    const place = keys.get(name) ?? keys.size % KEYS_MAX;
    keys.set(name, place);
    const shared = Math.floor(row.cachedTokens / CUBIT_BLOCK_TOKENS);
    return Array.from({ length: Math.ceil(promptTokens / CUBIT_BLOCK_TOKENS) }, (_, block) => {
      if (block < shared) return place * KEY_STRIDE + (block % KEY_STRIDE);
      unshared = (unshared + 1) % UNSHARED_FROM;
      return UNSHARED_FROM + unshared;
    });
  };
  const parse = (line: string, index: number): TraceRequest | null => {
    if (line.trim() === '') return null;
    const row = rowOf(line);
    if (row === null) throw badLine(index + 1, FORM, line);
    if (row.promptTokens === null || row.outputTokens === null) unknown += 1;
    const promptTokens = prompts(row.promptTokens);
    return {
      atMs: row.atMs,
      promptTokens,
      outputTokens: outputs(row.outputTokens),
      blocks: blocksOf(row, promptTokens),
    };
  };
  return Object.assign(parse, { unknown: () => unknown });
}

/** Gives a length back; one that nobody knows as the mean of those before. */
function meanFrom(first: number): (tokens: number | null) => number {
  let count = 0;
  let sum = 0;
  return (tokens) => {
    if (tokens === null) return count === 0 ? first : Math.round(sum / count);
    count += 1;
    sum += tokens;
    return tokens;
  };
}

function rowOf(line: string): CubitLine | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { atMs, cachedTokens, endpoint, key, outputTokens, promptTokens } = value as Record<string, unknown>;
  if (typeof atMs !== 'number' || !Number.isFinite(atMs)) return null;
  if (promptTokens !== null && !isTokenCount(promptTokens)) return null;
  if (!isTokenCount(cachedTokens) || cachedTokens > (promptTokens ?? 0)) return null;
  if (outputTokens !== null && !isTokenCount(outputTokens)) return null;
  if (typeof key !== 'string' || typeof endpoint !== 'string') return null;
  return { atMs, promptTokens, cachedTokens, outputTokens, key, endpoint };
}

/** Which of the two kinds of JSON lines a file's first line is of. */
export function isCubitLine(line: string): boolean {
  return rowOf(line) !== null;
}
