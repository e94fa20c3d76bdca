import { CubitError } from '../../core/errors.ts';
import { parseCsv } from '../csv.ts';

/** One measured throughput, in the format of trtllm_perf_overview.csv. */
export interface Cell {
  readonly model: string;
  readonly gpu: string;
  /** As the file writes it: `TP2`, `DEP4`. */
  readonly parallel: string;
  readonly precision: string;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Output tokens per second and accelerator at offline maximum load. */
  readonly tokensPerS: number;
}

const COLUMNS = ['model', 'gpu', 'parallel', 'precision', 'isl', 'osl', 'out_tok_s_per_gpu'];

/** Throws `invalid_request` naming the line and what is wrong with it. */
export function parseCells(csv: string): Cell[] {
  const records = parseCsv(csv);
  const missing = COLUMNS.filter((name) => records[0]?.[name] === undefined);
  if (missing.length > 0) {
    const lack = records.length === 0 ? 'has no rows' : `lacks the columns ${missing.join(', ')}`;
    throw new CubitError('invalid_request', `The file ${lack}; expected are ${COLUMNS.join(',')}.`);
  }
  return records.map((record, index) => {
    const positive = (name: string, whole: boolean) => {
      const value = Number(record[name]);
      if (value > 0 && Number.isFinite(value) && (!whole || Number.isInteger(value))) return value;
      const wanted = whole ? 'a whole number above 0' : 'a number above 0';
      throw new CubitError('invalid_request', `line ${index + 2}: ${name} is “${record[name]}”, not ${wanted}.`);
    };
    const text = (name: string) => (record[name] ?? '').trim();
    return {
      model: text('model'),
      gpu: text('gpu'),
      parallel: text('parallel'),
      precision: text('precision'),
      promptTokens: positive('isl', true),
      outputTokens: positive('osl', true),
      tokensPerS: positive('out_tok_s_per_gpu', false),
    };
  });
}

/**
 * What shares its coefficients: one model, divided one way over one kind of accelerator in one precision. The tables
 * change the way between GPUs, and TP1 and DEP4 have neither the same collectives nor the same memory.
 */
export function groupOf({ gpu, model, parallel, precision }: Cell): string {
  return `${model} ${gpu} ${parallel} ${precision}`;
}
