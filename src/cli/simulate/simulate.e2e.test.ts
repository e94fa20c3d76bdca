import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';

// The command as it is typed, on the samples of this repository.
const fileOf = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const AZURE = fileOf('../../workload/samples/azure-code-2023.csv');
const BURSTS = fileOf('../../workload/samples/bursts.rates.json');
const SERVEGEN = fileOf('../../workload/samples/servegen');
const folder = mkdtempSync(join(tmpdir(), 'cubit-simulate-'));
afterAll(() => rmSync(folder, { recursive: true }));

function simulate(...args: string[]) {
  return spawnSync(process.execPath, [fileOf('../cubit.ts'), 'simulate', ...args], { encoding: 'utf8' });
}

const sameRun = (...args: string[]) => simulate(...args, '--json').stdout.replace(/"wallMs": \d+/, '');

describe('cubit simulate', () => {
  test('prints the keys that others read', () => {
    const { status, stdout } = simulate('--trace', AZURE, '--units', '2', '--json');
    expect(status).toBe(0);
    const number = expect.any(Number);
    const latency = { mean: number, p50: number, p95: number, p99: number };
    expect(JSON.parse(stdout)).toMatchObject({
      requests: 400,
      completed: 400,
      rejected: 0,
      sloAttainment: number,
      ttftMs: latency,
      tpotMs: latency,
      e2eMs: latency,
      goodputPerS: number,
      cacheHitRate: 0,
      loadMaxOverMean: number,
      unitHours: number,
      billedUnitHours: number,
      scaleEvents: 0,
      wallMs: number,
    });
  });

  test('same seed, same bytes; another seed, others', () => {
    const random = ['--rate-scale', '3', '--startup-cv', '0.5', '--failure-hours', '0.05'];
    const elastic = ['--trace', AZURE, ...random, '--max', '9', '--scaler', 'cubit'];
    const once = sameRun(...elastic);
    expect(sameRun(...elastic)).toBe(once);
    expect(sameRun(...elastic, '--seed', '2')).not.toBe(once);
  });

  test.each(['static', 'kpa', 'hpa', 'dynamo', 'wva', 'oracle'])('%s: same seed, same bytes', (scaler) => {
    const args = ['--trace', AZURE, '--rate-scale', '2', '--startup-s', '20', '--units', '3', '--max', '9'];
    const once = sameRun(...args, '--coefficient', '1.3', '--scaler', scaler);
    expect(once).toContain('"requests": 800');
    expect(sameRun(...args, '--coefficient', '1.3', '--scaler', scaler)).toBe(once);
  });

  test('states what is billed, base and added units apart', () => {
    const { cost, billedUnitHours, endS } = JSON.parse(
      simulate('--trace', BURSTS, '--scaler', 'cubit', '--units', '3', '--max', '4', '--price-per-hour', '2', '--json')
        .stdout,
    );
    expect(cost.base).toBeCloseTo((2 * endS) / 3600, 6);
    expect(cost.base + cost.added).toBeCloseTo(2 * billedUnitHours, 6);
  });

  test('names what is wrong with a file', () => {
    const path = join(folder, 'bad.csv');
    const said = (content: string | Buffer) => {
      writeFileSync(path, content);
      const { status, stderr } = simulate('--trace', path, '--units', '1');
      expect(status).toBe(2);
      return stderr;
    };
    const head = 'TIMESTAMP,ContextTokens,GeneratedTokens\n';
    expect(said('')).toMatch(/no request/);
    expect(said(head)).toMatch(/no request/);
    expect(said(`${head}2023-11-16 18:15:46.68,4808\n`)).toMatch(/bad\.csv: line 2 is not/);
    expect(said(`${head}2023-11-16 18:15:46.68,4808,1e400\n`)).toMatch(/line 2 is not/);
    expect(said(gzipSync(head))).toMatch(/compressed/);
    writeFileSync(path, `\ufeff${head}2023-11-16 18:15:46.68,999999999,10\n2023-11-16 18:15:40,10,10\n`);
    const { completed, refused } = JSON.parse(simulate('--trace', path, '--units', '1', '--json').stdout);
    expect({ completed, refused }).toEqual({ completed: 1, refused: 1 });
  });

  test('finds the smallest static size, and writes a page of plots', () => {
    const page = join(folder, 'report.html');
    const search = ['--trace', SERVEGEN, '--rate-scale', '50', '--target', '0.95', '--html', page];
    const found = JSON.parse(simulate(...search, '--json').stdout) as {
      sloAttainment: number;
      setting: { units: number };
    };
    expect(found.sloAttainment).toBeGreaterThanOrEqual(0.95);
    expect(readFileSync(page, 'utf8')).toMatch(/<svg[\s\S]*Units[\s\S]*TPOT, mean/);
    const fewer = JSON.parse(simulate(...search, '--units', String(found.setting.units - 1), '--json').stdout);
    expect(fewer.sloAttainment).toBeLessThan(0.95);
  }, 60_000);

  test('takes a unit of one’s own or of the catalogue, roles apart too', () => {
    const unit = join(folder, 'unit.json');
    const step = { tau0Us: 5_000, tau1Us: 10, tau2Us: 0, tau3Us: 1, tau4Us: 0.01 };
    writeFileSync(unit, JSON.stringify({ name: 'mine', step, sequencesMax: 32, kvTokens: 100_000 }));
    expect(simulate('--trace', AZURE, '--units', '1', '--unit', unit).stdout).toContain('on mine: 1 units');
    const apart = simulate('--trace', AZURE, '--units', '1', '--template', 'llama-3.3-70b-h100-x4-pd');
    expect(apart.stdout).toContain('400 completed');
    writeFileSync(unit, '{"sequencesMax": 1}');
    expect(simulate('--trace', AZURE, '--unit', unit).stderr).toMatch(/not a unit: .*step/);
  });

  test.each([
    [['--trace', 'nowhere.csv'], /nowhere\.csv does not exist/],
    [['--trace', AZURE, '--format', 'mooncake'], /line 1 is not/],
    [['--trace', AZURE, '--format', 'servegen'], /wants a folder/],
    [['--trace', AZURE, '--routing', 'magic'], /routing/],
    [['--trace', AZURE, '--units', '0'], /number from 1/],
    [['--trace', AZURE, '--hours', '5-2'], /two hours/],
    [['--trace', AZURE, '--hours', '30-40', '--units', '1'], /no request/],
    [['--trace', AZURE, '--min', '5', '--max', '2'], /--min 5 is more than --max 2/],
    [['--trace', AZURE, '--template', 'none'], /There is no template none/],
    [['--units', '2'], /--trace/],
  ])('%j: exit code 2', (args, message) => {
    const { status, stderr } = simulate(...args);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
  });
});

describe('cubit evaluate admission', () => {
  test('scores admission against flat limits on each trace and their mix', () => {
    const args = ['evaluate', 'admission', '--trace', AZURE, '--trace', AZURE, '--requests', '200', '--json'];
    const { status, stdout } = spawnSync(process.execPath, [fileOf('../cubit.ts'), ...args], { encoding: 'utf8' });
    expect(status).toBe(0);
    const { mixes } = JSON.parse(stdout) as { mixes: { mix: string; requestsOverInFlight: number }[] };
    expect(mixes.map(({ mix }) => mix)).toEqual(['mixed', 'azure-code-2023.csv', 'azure-code-2023.csv']);
    expect(mixes.every(({ requestsOverInFlight }) => requestsOverInFlight > 0)).toBe(true);
  }, 60_000);
});

describe('cubit evaluate elasticity', () => {
  test('compares scalers at the same attainment, and draws them', () => {
    const plot = join(folder, 'pareto.svg');
    const args = ['evaluate', 'elasticity', '--trace', BURSTS, '--template', 'llama-3.1-8b-h100-x1', '--max', '6'];
    const options = ['--warmup-s', '0', '--startup-s', '30', '--policies', 'hpa,cubit', '--svg', plot, '--json'];
    const run = (...more: string[]) =>
      spawnSync(process.execPath, [fileOf('../cubit.ts'), ...args, ...options, ...more], { encoding: 'utf8' });
    const { status, stderr, stdout } = run();
    expect(stderr).toMatch(/cubit 1: [\d.]+ %/);
    expect(status).toBe(0);
    const { policies } = JSON.parse(stdout) as { policies: { policy: string; unitHours: (number | null)[] }[] };
    expect(policies.map(({ policy }) => policy)).toEqual(['static', 'cubit', 'hpa']);
    expect(policies.every(({ unitHours }) => unitHours.length === 3)).toBe(true);
    expect(readFileSync(plot, 'utf8')).toMatch(/^<svg xmlns=.*prefers-color-scheme: dark/s);
    expect(run('--policies', 'magic').status).toBe(2);
  }, 60_000);
});
