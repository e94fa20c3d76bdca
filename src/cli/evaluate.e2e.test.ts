import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

// The commands as they are typed, on the samples of this repository.
const fileOf = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const CELLS = fileOf('../evaluate/samples/trtllm-perf-overview.csv');
const TRACE = fileOf('../workload/samples/azure-code-2023.csv');

function evaluate(...args: string[]) {
  return spawnSync(process.execPath, [fileOf('./cubit.ts'), 'evaluate', ...args], { encoding: 'utf8' });
}

describe('cubit evaluate work', () => {
  test('prints the keys that others read', () => {
    const { status, stdout } = evaluate('work', '--cells', CELLS, '--json');
    expect(status).toBe(0);
    const number = expect.any(Number);
    const keys = { cells: 23, mapePct: number, medianApePct: number, linearMapePct: number, uncovered: [] };
    expect(JSON.parse(stdout)).toMatchObject(keys);
  });

  test('prints a table for people, and says by exit code and message what is wrong with a file', () => {
    expect(evaluate('work', '--cells', CELLS).stdout).toContain('Llama-3.3-70B GB200 TP1 FP4');
    const missing = evaluate('work', '--cells', 'no-such-file.csv');
    expect([missing.status, missing.stderr]).toEqual([2, expect.stringContaining('no-such-file.csv does not exist')]);
    const other = evaluate('work', '--cells', TRACE);
    expect([other.status, other.stderr]).toEqual([2, expect.stringContaining('lacks the columns model')]);
    expect(evaluate('work').status).toBe(2);
  });
});

describe('cubit evaluate lengths', () => {
  test('reports each trace beside the baselines', () => {
    const { status, stdout } = evaluate('lengths', '--trace', TRACE, '--trace', TRACE, '--json');
    expect(status).toBe(0);
    const { traces } = JSON.parse(stdout) as { traces: { requests: number; baselines: object }[] };
    expect(traces.map(({ requests }) => requests)).toEqual([400, 400]);
    expect(Object.keys(traces[0]?.baselines ?? {})).toEqual(['maxTokens', 'constant', 'mean', 'hindsight']);
  });

  test('refuses what is no share or no trace', () => {
    expect(evaluate('lengths', '--trace', TRACE, '--quantile', '1').status).toBe(2);
    expect(evaluate('lengths', '--trace', CELLS).stderr).toContain('is not TIMESTAMP,ContextTokens,GeneratedTokens');
  });
});
