import { CubitError } from '../../core/errors.ts';
import type { EngineKind } from '../../core/serving/performance/facts.ts';
import { parseCsv } from '../csv.ts';

/** One measured end-to-end row, in the format of aiconfigurator's `silicon_sample.csv`; topology as it was written. */
export interface MeasuredRow {
  readonly id: string;
  readonly source: string;
  readonly backend: EngineKind;
  readonly backendVersion: string;
  readonly modelPath: string;
  readonly system: string;
  readonly precision: string;
  readonly gemmMode: string;
  readonly expertMode: string;
  readonly mode: 'agg' | 'disagg';
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly batch: number | null;
  readonly whole: Topology;
  readonly prefill: Topology;
  readonly decode: Topology;
  readonly ttftMs: number;
  readonly tpotMs: number;
}

/** Sizes as the row states them; 1 where it states none or 0. */
export interface Topology {
  readonly tensor: number;
  readonly pipeline: number;
  readonly attentionData: number;
  readonly expertTensor: number;
  readonly expert: number;
  readonly workers: number | null;
  readonly batch: number | null;
}

const BACKENDS: readonly string[] = ['trtllm', 'sglang', 'vllm'] satisfies EngineKind[];
const COLUMNS = ['backend', 'model_path', 'system', 'mode', 'isl', 'osl', 'silicon_ttft_ms', 'silicon_tpot_ms'];

/** Rows of the file; throws `invalid_request` naming what it lacks. Rows that cannot be read are told in `faults`. */
export function parseRows(csv: string): { readonly rows: MeasuredRow[]; readonly faults: RowFault[] } {
  const records = parseCsv(csv);
  const missing = COLUMNS.filter((name) => records[0]?.[name] === undefined);
  if (records.length === 0 || missing.length > 0) {
    throw new CubitError(
      'invalid_request',
      `The file ${records.length === 0 ? 'has no rows' : `lacks the columns ${missing.join(', ')}`}; expected is the format of aiconfigurator's silicon_sample.csv.`,
    );
  }
  const rows: MeasuredRow[] = [];
  const faults: RowFault[] = [];
  records.forEach((record, index) => {
    const reason = faultOf(record);
    if (reason === null) rows.push(rowOf(record, index));
    else
      faults.push({ record: index + 2, modelPath: record['model_path'] ?? '', system: record['system'] ?? '', reason });
  });
  return { rows, faults };
}

export interface RowFault {
  readonly record: number;
  readonly modelPath: string;
  readonly system: string;
  readonly reason: string;
}

function faultOf(record: Record<string, string>): string | null {
  const backend = record['backend'] ?? '';
  if (!BACKENDS.includes(backend)) return `no facts of the engine ${backend || '(none)'}`;
  if (record['mode'] !== 'agg' && record['mode'] !== 'disagg')
    return `mode ${record['mode']} is neither agg nor disagg`;
  for (const name of ['isl', 'osl', 'silicon_ttft_ms', 'silicon_tpot_ms']) {
    if (!(Number(record[name]) > 0)) return `${name} is ${record[name] || 'empty'}, not a positive number`;
  }
  return null;
}

function rowOf(record: Record<string, string>, index: number): MeasuredRow {
  const text = (name: string) => record[name] ?? '';
  const topology = (prefix: string): Topology => ({
    tensor: size(text(`${prefix}tp_size`)),
    pipeline: size(text(`${prefix}pp_size`)),
    attentionData: size(text(`${prefix}attention_dp_size`)),
    expertTensor: size(text(`${prefix}moe_tp_size`)),
    expert: size(text(`${prefix}moe_ep_size`)),
    workers: positive(text(`${prefix}num_workers`)),
    batch: positive(text(`${prefix}batch_size`)),
  });
  return {
    id: text('id') || `record ${index + 2}`,
    source: text('silicon_data_source'),
    backend: text('backend') as EngineKind,
    backendVersion: text('backend_version'),
    modelPath: text('model_path'),
    system: text('system'),
    precision: text('precision'),
    gemmMode: text('gemm_quant_mode'),
    expertMode: text('moe_quant_mode'),
    mode: text('mode') as MeasuredRow['mode'],
    promptTokens: Number(text('isl')),
    outputTokens: Number(text('osl')),
    batch: positive(text('batch_size')),
    whole: topology(''),
    prefill: topology('prefill_'),
    decode: topology('decode_'),
    ttftMs: Number(text('silicon_ttft_ms')),
    tpotMs: Number(text('silicon_tpot_ms')),
  };
}

function positive(text: string): number | null {
  const value = Number(text);
  return text !== '' && value > 0 ? value : null;
}

function size(text: string): number {
  return positive(text) ?? 1;
}
