import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadCatalog } from '../../catalog/load.ts';
import { createFactFinder } from './facts.ts';
import { precisionOf } from './precision.ts';
import { type MeasuredRow, parseRows } from './rows.ts';
import { draftTokensOf } from './speculative.ts';
import { concurrencyOf, isWholeDeployment, lengthShare, loadOf, parallelismOf } from './topology.ts';

const csv = readFileSync(new URL('./samples/silicon-rows.csv', import.meta.url), 'utf8');
const { faults, rows } = parseRows(csv);
const finder = createFactFinder(await loadCatalog());
const some = rows[0]!;

function row(change: Partial<MeasuredRow>, whole: Partial<MeasuredRow['whole']> = {}): MeasuredRow {
  return { ...some, ...change, whole: { ...some.whole, ...whole } };
}

describe('parseRows', () => {
  it('reads the sample whole', () => {
    expect(rows).toHaveLength(30);
    expect(faults).toEqual([]);
  });

  it('tells rows that it cannot read, by number', () => {
    const [header = '', first = ''] = csv.split('\n');
    const broken = parseRows([header, first.replace(',vllm,', ',lmdeploy,'), first].join('\n'));
    expect(broken.rows).toHaveLength(1);
    expect(broken.faults).toMatchObject([{ record: 2, reason: 'no facts of the engine lmdeploy' }]);
  });

  it('refuses another format by the columns that it lacks', () => {
    expect(() => parseRows('a,b\n1,2')).toThrow(/lacks the columns backend, model_path/);
    expect(() => parseRows('')).toThrow('The file has no rows');
  });
});

describe('topology', () => {
  it.each([
    ['as it is', 'trtllm', { tensor: 8, expertTensor: 8 }, { tensor: 8, attentionData: 1 }],
    ['a square stored twice', 'sglang', { tensor: 64, expertTensor: 8, expert: 8 }, { tensor: 8, attentionData: 1 }],
    [
      'the same of data parallelism',
      'trtllm',
      { tensor: 1, attentionData: 16, expertTensor: 4, expert: 4 },
      { tensor: 1, attentionData: 4 },
    ],
    [
      'vLLM ranks beside their group',
      'vllm',
      { tensor: 8, attentionData: 8, expert: 64 },
      { tensor: 1, attentionData: 8 },
    ],
    [
      'SGLang ranks inside the group',
      'sglang',
      { tensor: 8, attentionData: 8, expert: 8 },
      { tensor: 1, attentionData: 8 },
    ],
  ] as const)('repairs %s', (_name, backend, whole, expected) => {
    const plain = { tensor: 1, attentionData: 1, expertTensor: 1, expert: 1 };
    expect(parallelismOf({ ...some.whole, ...plain, ...whole }, backend)).toMatchObject(expected);
  });

  it('knows whole deployments by experts divided over more than 8', () => {
    expect(rows.filter(isWholeDeployment).map(({ whole }) => whole.expertTensor)).toEqual([72]);
  });

  it('takes the requests in flight from the source, of a sweep’s replica from its batch', () => {
    expect(concurrencyOf(row({ source: 'a; silicon_concurrency=64; b', batch: 16 }))).toBe(64);
    expect(
      concurrencyOf(row({ source: 'gtl_job_id=1; silicon_concurrency=224', batch: 56 }, { attentionData: 1 })),
    ).toBe(56);
    expect(concurrencyOf(row({ source: 'nothing', batch: 8 }, { attentionData: 4 }))).toBe(32);
  });

  it('knows the mixed lengths of the benchmark and the burst of sweeps', () => {
    const sweep = row({ source: 'aic-auto-gap-analysis/data/x.csv', backend: 'sglang' });
    expect([lengthShare(some), lengthShare(sweep)]).toEqual([0.9, 1]);
    expect([loadOf(some).firstWave, loadOf(sweep).firstWave]).toEqual([0.1, 1]);
  });
});

describe('precision', () => {
  const hopper = finder.acceleratorOf('h200_sxm')!;
  const blackwell = finder.acceleratorOf('b200_sxm')!;
  const precision = (modelPath: string, change: Partial<MeasuredRow>, accelerator = hopper) =>
    precisionOf(row({ modelPath, ...change }), finder.shapeOf(modelPath)!, accelerator);

  it('keeps attention of 4-bit mixtures, and all but the experts of gpt-oss, in bf16', () => {
    const fp4 = { precision: 'fp4', gemmMode: 'nvfp4', expertMode: 'nvfp4' };
    expect(precision('nvidia/DeepSeek-R1-NVFP4', fp4)).toMatchObject({
      attention: 'bf16',
      dense: 'fp4',
      experts: 'fp4',
      kv: 'fp8',
    });
    expect(precision('meta-llama/Llama-3.1-70B', fp4)).toMatchObject({ attention: 'fp4', dense: 'fp4' });
    expect(precision('openai/gpt-oss-120b', fp4)).toMatchObject({
      attention: 'bf16',
      dense: 'bf16',
      experts: 'fp4',
      kv: 'bf16',
    });
    expect(precision('openai/gpt-oss-120b', fp4, blackwell).kv).toBe('fp8');
  });

  it('reads the names of engines: nothing is bf16, integers are weights only', () => {
    expect(precision('Qwen/Qwen3-32B', { precision: '', gemmMode: '', expertMode: '' })).toMatchObject({
      dense: 'bf16',
      kv: 'bf16',
    });
    expect(precision('Qwen/Qwen3-32B', { precision: 'fp8', gemmMode: 'fp8_block', expertMode: '' })).toMatchObject({
      dense: 'fp8',
      kv: 'fp8',
    });
    expect(precision('moonshotai/Kimi-K2.5', { precision: 'int4', gemmMode: '', expertMode: 'int4_wo' })).toMatchObject(
      { attention: 'bf16', dense: 'bf16', experts: 'int4', kv: 'bf16' },
    );
  });
});

it('finds drafts where releases had them, and nowhere else', () => {
  const base = { modelPath: 'deepseek-ai/DeepSeek-R1', backend: 'trtllm', backendVersion: '1.0' } as const;
  expect(draftTokensOf(row({ ...base, source: 'measured=2026-02-05T01:00:00Z' }))).toBe(2);
  expect(draftTokensOf(row({ ...base, source: 'measured=2025-11-02T01:00:00Z' }))).toBe(0);
  expect(draftTokensOf(row({ ...base, modelPath: 'Qwen/Qwen3-32B', source: 'measured=2026-02-05' }))).toBe(0);
});

describe('facts by other people’s names', () => {
  it.each([
    'deepseek-ai/DeepSeek-R1-0528',
    'nvidia/DeepSeek-R1-0528-FP4-v2',
    'deepseek-ai/DeepSeek-V3.2-Exp',
    'moonshotai/Kimi-K2.5',
    'MiniMaxAI/MiniMax-M2.5',
    'zai-org/GLM-5-FP8',
    'zai-org/GLM-4.6-FP8',
    'Qwen/Qwen3-235B-A22B-Instruct-2507-FP8',
    'Qwen/Qwen3-Next-80B-A3B-Instruct',
    'nvidia/Llama-3_3-Nemotron-Super-49B-v1_5-FP8',
    'RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8-dynamic',
    'mistralai/Mixtral-8x22B-v0.1',
    'LLAMA3.1_70B',
    'Qwen/Qwen2.5-7B',
    'openai/gpt-oss-20b',
  ])('knows the shape of %s', (path) => {
    expect(finder.shapeOf(path)).not.toBeNull();
  });

  it('keeps sizes and versions apart', () => {
    expect(finder.shapeOf('deepseek-ai/DeepSeek-V3.2')?.attention.sparse).toBeDefined();
    expect(finder.shapeOf('deepseek-ai/DeepSeek-V3')?.attention.sparse).toBeUndefined();
    expect(finder.shapeOf('Qwen/Qwen3-8B')?.layers).toBe(36);
    expect(finder.shapeOf('nobody/Unknown-7B')).toBeNull();
  });

  it.each([
    'h100_sxm',
    'h200_sxm',
    'b200_sxm',
    'b300_sxm',
    'gb200',
    'gb300',
    'a100_sxm',
    'l40s',
    'rtx_pro_6000_server',
  ])('knows the accelerator %s', (system) => {
    expect(finder.acceleratorOf(system)).not.toBeNull();
  });
});
