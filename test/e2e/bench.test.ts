import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Comparison } from '../../src/bench/compare.ts';
import type { Report } from '../../src/bench/report.ts';
import { type Running, runCli, startUp, temporaryFolder } from './process.ts';

/** `cubit bench` as a person types it, against the real engine through the gateway. */
const dataDir = temporaryFolder();
let cubit: Running;

beforeAll(async () => {
  cubit = await startUp(dataDir);
});
afterAll(async () => {
  await cubit?.stop('SIGKILL');
});

const own = (...args: string[]) => ['--data', dataDir, '--url', cubit.ready.url, '--json', ...args];
const SMALL = ['--prompt', '12', '--output', '4', '--header', 'x-cubit-max-wait-ms: 60000'];
/** Keys of a load test that still work. */
async function keysLeft(): Promise<string[]> {
  const { stdout } = await runCli(own('key', 'list', '--tenant', 'demo'));
  const { items } = JSON.parse(stdout) as { items: { name: string; revokedAtMs: number | null }[] };
  return items.filter((key) => key.name.startsWith('bench-') && key.revokedAtMs === null).map((key) => key.name);
}

describe('cubit bench on the real engine', () => {
  it('measures an endpoint with a key of its own, reads receipts, writes every output', async () => {
    const [save, csv, html] = ['a.json', 'a.csv', 'a.html'].map((name) => join(dataDir, name)) as [
      string,
      string,
      string,
    ];
    const load = ['--endpoint', 'demo', '--concurrency', '2', '--requests', '24', '--ttft', '60000', ...SMALL];
    const result = await runCli(own('bench', ...load, '--save', save, '--csv', csv, '--html', html));
    expect(result, result.stderr).toMatchObject({ code: 0 });
    const report = JSON.parse(result.stdout) as Report;
    const { summary } = report;
    expect(summary).toMatchObject({ sent: 24, counted: 24, ok: 24, errors: {} });
    expect(summary.work?.receipts).toBe(24);
    expect(summary.work?.actualUs).toBeGreaterThan(0);
    expect(summary.goodput?.share).toBe(1);
    expect(summary.cachedShare).toBeGreaterThan(0);
    expect(summary.ttftMs?.p50).toBeGreaterThan(0);
    expect(summary.outputTokens).toBeGreaterThanOrEqual(24);
    expect(summary.notes.filter((note) => note.includes('usage'))).toEqual([]);
    expect(JSON.parse(readFileSync(save, 'utf8'))).toEqual(report);
    expect(readFileSync(csv, 'utf8').trim().split('\n')).toHaveLength(25);
    expect(readFileSync(html, 'utf8')).toContain('Load test of demo');
    expect(await keysLeft()).toEqual([]);

    const compared = await runCli(['--json', 'bench', 'compare', save, save]);
    const { paired, differences } = JSON.parse(compared.stdout) as Comparison;
    expect(paired).toBe(true);
    expect(differences.length).toBeGreaterThan(0);
    expect(new Set(differences.map((row) => row.verdict))).toEqual(new Set(['noise']));
  });

  it('replays a trace with a key that it is given, as it would on any server', async () => {
    const trace = 'src/workload/samples/azure-code-2023.csv';
    const load = ['--trace', trace, '--to', '4', '--length-scale', '0.002', '--output-max', '3', '--time-scale', '0.5'];
    const result = await runCli(
      [
        '--url',
        `${cubit.ready.url}/v1`,
        '--json',
        'bench',
        '--model',
        'demo',
        '--api-key-env',
        'BENCH_KEY',
        ...load,
        ...SMALL.slice(4),
      ],
      { BENCH_KEY: cubit.ready.apiKey ?? '' },
    );
    expect(result, result.stderr).toMatchObject({ code: 0 });
    const { summary, workload } = JSON.parse(result.stdout) as Report;
    expect(workload.mode).toBe('trace');
    expect(summary.ok).toBe(summary.counted);
    expect(summary.counted).toBeGreaterThan(3);
  });

  it('finds a rate that meets the targets', async () => {
    const ramp = ['--ramp', '--rate', '2', '--ramp-max', '2', '--probe', '2', '--ttft', '60000', '--tpot', '60000'];
    const result = await runCli(own('bench', '--endpoint', 'demo', ...ramp, ...SMALL));
    expect(result, result.stderr).toMatchObject({ code: 0 });
    expect((JSON.parse(result.stdout) as Report).ramp).toMatchObject({ ratePerS: 2, probes: [{ met: true }] });
  });

  it('ends on Ctrl-C with what it has, and gives its key back', async () => {
    const load = ['--endpoint', 'demo', '--rate', '2', '--seconds', '600', ...SMALL];
    const result = await runCli(own('bench', ...load), {}, (text, child) => {
      if (/sent [1-9]\d*, ended [1-9]/.test(text)) child.kill('SIGINT');
    });
    expect(result.code).toBe(130);
    const report = JSON.parse(result.stdout) as Report;
    expect(report.endedBy).toBe('interrupted');
    expect(report.summary.notes.join()).toMatch(/Interrupted/);
    expect(await keysLeft()).toEqual([]);
  });

  it('says at once what is wrong with the server, the model, the key', async () => {
    const wrong = await runCli(own('bench', '--endpoint', 'nothing', '--rate', '1'));
    expect(wrong).toMatchObject({ code: 2, stdout: '' });
    expect(JSON.parse(wrong.stderr).error.message).toMatch(/nothing with 404 model_not_found/);
    const nobody = await runCli(['--url', 'http://127.0.0.1:1', 'bench', '--model', 'm', '--rate', '1']);
    expect(nobody.code).toBe(1);
    expect(nobody.stderr).toMatch(/No server answers at http:\/\/127\.0\.0\.1:1/);
  });
});
