import { badLine, isTokenCount, type Trace, type TraceRequest, traceOf } from './trace.ts';

/** The dataset's own block size: one hash id stands for 512 tokens. */
export const MOONCAKE_BLOCK_TOKENS = 512;

const FORM = '{"timestamp","input_length","output_length","hash_ids"} with a hash id for every 512 tokens';

/**
 * Mooncake's traces: a JSON object a line, `timestamp` in ms, `hash_ids` of the prompt's 512-token blocks, each id
 * hashed over everything before it, so that equal ids mean an equal prefix. Throws `invalid_request` on a line that is not of
 * this form, naming it; a list of ids that does not cover the prompt is mended by dropping it, and counted.
 */
export function parseMooncakeTrace(jsonl: string): Trace {
  const rows: TraceRequest[] = [];
  let uncovered = 0;
  for (const [index, line] of jsonl.split(/\r?\n/).entries()) {
    const row = parseMooncakeLine(line, index);
    if (row === null) continue;
    if (row.blocks === undefined) uncovered += 1;
    rows.push(row);
  }
  const repairs =
    uncovered === 0 ? [] : [`${uncovered} rows whose hash_ids do not cover the prompt: taken as unshared`];
  return traceOf(rows, MOONCAKE_BLOCK_TOKENS, repairs);
}

/** One line, `index` from 0; null for an empty one. A list of ids that does not cover the prompt is dropped. */
export function parseMooncakeLine(line: string, index: number): TraceRequest | null {
  if (line.trim() === '') return null;
  const row = parseLine(line);
  if (row === null) throw badLine(index + 1, FORM, line);
  if (row.blocks.length === Math.ceil(row.promptTokens / MOONCAKE_BLOCK_TOKENS)) return row;
  return { atMs: row.atMs, promptTokens: row.promptTokens, outputTokens: row.outputTokens };
}

function parseLine(line: string): Required<TraceRequest> | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { timestamp, input_length, output_length, hash_ids } = value as Record<string, unknown>;
  if (typeof timestamp !== 'number' || !Number.isFinite(timestamp)) return null;
  if (!isTokenCount(input_length) || !isTokenCount(output_length)) return null;
  if (!Array.isArray(hash_ids) || !hash_ids.every((id) => Number.isSafeInteger(id))) return null;
  return { atMs: timestamp, promptTokens: input_length, outputTokens: output_length, blocks: hash_ids as number[] };
}
