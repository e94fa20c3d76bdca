import { CONSTANTS } from '../core/serving/performance/constants.ts';
import type { Accelerator } from '../core/serving/performance/facts.ts';
import { quantile } from './calculator/statistics.ts';

/** One row of an operator table, numbers as numbers. */
export type OperatorRow = Readonly<Record<string, string | number>>;

export interface OperatorTable {
  /** File name; it begins with the system: `h100_sxm_gemm_…`. */
  readonly name: string;
  readonly rows: readonly OperatorRow[];
}

export interface Finding {
  readonly table: string;
  readonly what: string;
  /** Median over the cells that show it. */
  readonly found: number;
  readonly cells: number;
  readonly constant: string;
  readonly value: number;
}

type Cell = readonly [what: string, constant: string, value: number, found: number];

/**
 * Efficiencies that operator tables show, beside the constants of the performance model. Formats of the tables:
 * aiconfigurator's `gemm`, `context_attention`, `generation_attention`, `moe` and `custom_allreduce`/`nccl`; latencies in ms. Tables of
 * another kind give nothing.
 */
export function findingsOf({ name, rows }: OperatorTable, accelerator: Accelerator): Finding[] {
  const kind = KINDS.find(([part]) => name.includes(part));
  if (!kind) return [];
  const groups = new Map<string, { cell: Cell; found: number[] }>();
  for (const row of rows) {
    const cell = kind[1](row, accelerator);
    if (cell === null || !(cell[3] > 0) || !Number.isFinite(cell[3])) continue;
    const group = groups.get(cell[0]);
    if (group) group.found.push(cell[3]);
    else groups.set(cell[0], { cell, found: [cell[3]] });
  }
  return [...groups.values()].map(({ cell: [what, constant, value], found }) => ({
    table: name,
    what,
    found: quantile(found, 0.5)!,
    cells: found.length,
    constant,
    value,
  }));
}

const KINDS: readonly (readonly [string, (row: OperatorRow, accelerator: Accelerator) => Cell | null])[] = [
  ['_gemm_', gemmCell],
  ['context_attention', prefillAttentionCell],
  ['generation_attention', decodeAttentionCell],
  ['_moe_', expertCell],
  ['nccl', ringCell],
];

const FORMATS: Readonly<Record<string, 'bf16' | 'fp8' | 'fp4'>> = {
  bfloat16: 'bf16',
  float16: 'bf16',
  fp8: 'fp8',
  fp8_block: 'fp8',
  nvfp4: 'fp4',
};

/** Large GEMMs show the share of peak FLOP/s, skinny ones that of bandwidth. */
function gemmCell(row: OperatorRow, accelerator: Accelerator): Cell | null {
  const [m, n, k] = [count(row, 'm'), count(row, 'n'), count(row, 'k')];
  const name = String(row['gemm_dtype']);
  const format = FORMATS[name];
  if (!format) return null;
  const generation = accelerator.generation === 'blackwell' ? 'blackwell' : 'hopper';
  if (m === 8192 && n * k >= 16e6 && n * k <= 1e9) {
    const value = CONSTANTS.gemmFlopsShare[generation][format];
    const share = (2 * m * n * k) / seconds(row) / (accelerator.flopsPerS[format] ?? accelerator.flopsPerS.bf16);
    return [`GEMM, 8192 tokens, ${name}: share of peak`, `gemmFlopsShare.${generation}.${format}`, value, share];
  }
  const bytes = (n * k * CONSTANTS.formatBits[format]) / 8;
  if (m !== 8 || bytes < 64e6) return null;
  const share = bytes / seconds(row) / accelerator.bandwidthBytesPerS;
  const four = format === 'fp4' ? CONSTANTS.fp4ReadShare : 1;
  return [`GEMM, 8 tokens, ${name}: share of bandwidth`, 'weightReadShare', CONSTANTS.weightReadShare * four, share];
}

function prefillAttentionCell(row: OperatorRow, accelerator: Accelerator): Cell | null {
  const tokens = count(row, 'isl');
  const grouped = count(row, 'num_key_value_heads') * 4 <= count(row, 'num_heads');
  const plain = count(row, 'window_size') === 0 && count(row, 'step') === 0 && count(row, 'head_dim') === 128;
  if (!plain || !grouped || count(row, 'batch_size') > 2 || ![1024, 8192].includes(tokens)) return null;
  const flops = 2 * count(row, 'batch_size') * tokens ** 2 * count(row, 'num_heads') * count(row, 'head_dim');
  const generation = accelerator.generation === 'blackwell' ? 'blackwell' : 'hopper';
  const half = CONSTANTS.attentionHalfTokens[generation];
  const value = (CONSTANTS.prefillAttentionFlopsShare[generation] * tokens) / (tokens + half);
  const share = flops / seconds(row) / accelerator.flopsPerS.bf16;
  return [
    `prefill attention, ${tokens} tokens: share of peak`,
    `prefillAttentionFlopsShare.${generation}`,
    value,
    share,
  ];
}

function decodeAttentionCell(row: OperatorRow, { bandwidthBytesPerS }: Accelerator): Cell | null {
  const cache = String(row['kv_cache_dtype']);
  const elementBytes = cache.includes('8') ? 1 : 2;
  const context = count(row, 'isl') + count(row, 'step');
  const heads = count(row, 'num_key_value_heads') || count(row, 'num_heads');
  const bytes = count(row, 'batch_size') * context * 2 * heads * count(row, 'head_dim') * elementBytes;
  if (count(row, 'window_size') !== 0 || bytes < 1e9) return null;
  const what = `decode attention, ≥ 1 GB, ${cache}: share of bandwidth`;
  return [what, 'kvReadShare', CONSTANTS.kvReadShare, bytes / seconds(row) / bandwidthBytesPerS];
}

/** Fused experts of few tokens: reading the experts that uniform tokens touch. */
function expertCell(row: OperatorRow, { bandwidthBytesPerS, generation }: Accelerator): Cell | null {
  const tokens = count(row, 'num_tokens');
  const name = String(row['moe_dtype']);
  const format = FORMATS[name];
  if (!format || tokens !== 32) return null;
  const all = count(row, 'num_experts');
  const touched = (all / count(row, 'moe_ep_size')) * (1 - (1 - count(row, 'topk') / all) ** tokens);
  const each = (3 * count(row, 'hidden_size') * count(row, 'inter_size')) / count(row, 'moe_tp_size');
  const bytes = (touched * each * CONSTANTS.formatBits[format]) / 8;
  if (bytes < 100e6) return null;
  const value = CONSTANTS.expertReadShare * (generation === 'blackwell' ? CONSTANTS.expertReadBlackwell : 1);
  const share = bytes / seconds(row) / bandwidthBytesPerS;
  return [`experts, 32 tokens, ${name}: share of bandwidth`, 'expertReadShare', value, share];
}

function ringCell(row: OperatorRow, { generation, linkBytesPerS }: Accelerator): Cell | null {
  const [size, ranks] = [count(row, 'message_size'), count(row, 'num_gpus')];
  if (row['op_name'] !== 'all_reduce' || linkBytesPerS === null || size < 128 * 2 ** 20 || ranks < 2) return null;
  const share = (2 * (ranks - 1) * size) / ranks / seconds(row) / linkBytesPerS;
  const value = CONSTANTS.ringShare[generation === 'blackwell' ? 'blackwell' : 'hopper'];
  return [`all-reduce, ≥ 128 MiB, ${ranks} accelerators: share of link`, 'ringShare', value, share];
}

function seconds(row: OperatorRow): number {
  return count(row, 'latency') / 1000;
}

function count(row: OperatorRow, name: string): number {
  return Number(row[name] ?? 0);
}
