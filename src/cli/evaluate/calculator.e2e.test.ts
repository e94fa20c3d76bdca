import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const program = fileURLToPath(new URL('../cubit.ts', import.meta.url));
const sample = fileURLToPath(new URL('../../evaluate/calculator/samples/silicon-rows.csv', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'cubit-evaluate-'));
afterAll(() => rmSync(folder, { recursive: true }));

function evaluate(...args: string[]) {
  return spawnSync(process.execPath, [program, 'evaluate', 'calculator', ...args], { encoding: 'utf8' });
}

describe('cubit evaluate calculator', () => {
  it('prints the report as JSON and draws the plot', () => {
    const plot = join(folder, 'errors.svg');
    const { status, stdout } = evaluate('--rows', sample, '--calibrate', '1', '--plot', plot, '--json');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ rows: 30, covered: 30, uncovered: [], calibrated: { points: 1 } });
    expect(readFileSync(plot, 'utf8')).toMatch(/^<svg .*<\/svg>\n$/s);
  });

  it('prints a table otherwise', () => {
    const { status, stdout } = evaluate('--rows', sample, '--leave-out', 'Qwen/Qwen3-32B');
    expect(status).toBe(0);
    expect(stdout).toMatch(/7 of 7 rows covered .* refitted without Qwen\/Qwen3-32B/);
  });

  it.each([
    [[], /required option '--rows/],
    [['--rows', join(folder, 'none.csv')], /Cannot read .*none\.csv: ENOENT/],
    [['--rows', sample, '--calibrate', 'many'], /whole number of points from 1 to 100/],
    [['--rows', sample, '--leave-out', 'nobody/None'], /No covered row is of nobody\/None/],
    [['--rows', program], /correct the file/],
  ])('says what is wrong with %j', (args, message) => {
    const { status, stderr } = evaluate(...args);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });
});
