import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';

// `cubit calc` as it is typed on a machine where no Cubit runs.
const program = fileURLToPath(new URL('../cubit.ts', import.meta.url));
const sample = fileURLToPath(new URL('../../workload/samples/azure-code-2023.csv', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'cubit-calc-'));
afterAll(() => rmSync(folder, { recursive: true }));

function calc(...args: string[]) {
  const { CUBIT_URL: _url, CUBIT_TOKEN: _token, ...rest } = process.env;
  const env = { ...rest, CUBIT_DATA_DIR: folder, CUBIT_PORT: '1' };
  const { status, stderr, stdout } = spawnSync(process.execPath, [program, 'calc', ...args], { env, encoding: 'utf8' });
  return { code: status, stdout, stderr };
}

const MEANS = ['--model', 'llama-3.1-8b-instruct', '--rpm', '1200', '--input', '1000', '--output', '200'];

describe('without a server', () => {
  test('calculates from the catalogue and says so', () => {
    const { code, stdout } = calc(...MEANS, '--coefficient', '1.2');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Buy \d+ units? of llama-3\.1-8b-\S+ at coefficient 1\.2, /m);
    expect(stdout).toMatch(/^Calculated by the catalogue in .* \(no Cubit runs here\) in \d+ ms\.$/m);
  });

  test('prints JSON, with the time it took', () => {
    const { code, stdout } = calc(...MEANS, '--json');
    expect(code).toBe(0);
    const answer = JSON.parse(stdout);
    expect(answer).toMatchObject({ modelId: 'llama-3.1-8b-instruct', requestsPerS: 20, best: { cost: {} } });
    expect(answer.computedInMs).toBeGreaterThan(0);
  });

  test('simulates a trace', () => {
    const { code, stdout } = calc('--model', 'llama-3.1-8b-instruct', '--trace', sample, '--ttft', '3000');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Simulated: the trace on \d+ units/m);
  });

  test('tells apart what cannot be reached (1) and what cannot be asked (2)', () => {
    const unreachable = calc(...MEANS, '--tpot', '0.1');
    expect(unreachable.code).toBe(1);
    expect(unreachable.stdout).toMatch(/No number of units reaches the targets.*TPOT/);
    const wrong: [string[], RegExp][] = [
      [[...MEANS, '--machine', 'x9000'], /memory.*bandwidth.*FLOPS.*link/],
      [['--endpoint', 'demo', '--catalog'], /leave --catalog out/],
    ];
    for (const [args, message] of wrong) {
      const { code, stderr } = calc(...args);
      expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
    }
  });

  test('names the line of a file that is wrong', () => {
    const path = join(folder, 'bad.csv');
    writeFileSync(path, 'input,output,count\n100,10,5\n100,ten,5\n');
    const { code, stderr } = calc('--model', 'llama-3.1-8b-instruct', '--rpm', '1', '--histogram', path);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/line 3: output wants a number/)]);
  });
});
