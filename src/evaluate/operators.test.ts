import { expect, it } from 'vitest';
import { H100 } from '../core/serving/performance/fixture.ts';
import { readTables } from './operator-tables.ts';
import { findingsOf } from './operators.ts';

it('reads shares out of large and of skinny GEMMs', () => {
  const rows = [
    // 2 × 8192 × 8192² FLOP in 1.5 ms of 989 TFLOP/s; 2 × 8192² bytes in 50 µs of 3.35 TB/s
    { gemm_dtype: 'bfloat16', m: 8192, n: 8192, k: 8192, latency: 1.5 },
    { gemm_dtype: 'bfloat16', m: 8, n: 8192, k: 8192, latency: 0.05 },
    { gemm_dtype: 'float6', m: 8192, n: 8192, k: 8192, latency: 1 },
  ];
  const findings = findingsOf({ name: 'h100_sxm_gemm_x', rows }, H100);
  expect(findings.map(({ constant, found }) => [constant, found])).toEqual([
    ['gemmFlopsShare.hopper.bf16', 0.74],
    ['weightReadShare', 0.8],
  ]);
});

it('finds nothing in a table of another kind, or in cells without a latency', () => {
  expect(findingsOf({ name: 'h100_sxm_quantize_x', rows: [{ latency: 1 }] }, H100)).toEqual([]);
  const rows = [{ gemm_dtype: 'fp8', m: 8192, n: 8192, k: 8192, latency: 0 }];
  expect(findingsOf({ name: 'h100_sxm_gemm_x', rows }, H100)).toEqual([]);
});

it('says so where there are no tables', async () => {
  await expect(readTables('/nowhere').next()).rejects.toThrow('There is no .parquet file in /nowhere.');
});
