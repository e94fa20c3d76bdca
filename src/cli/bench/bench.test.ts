import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { addBench } from '../bench.ts';
import { type BenchFlags, limitsOf, rampOf, sloOf } from './flags.ts';
import { reach } from './target.ts';
import { chooseWorkload } from './workload.ts';

const fail = (message: string): never => {
  throw new Error(message);
};

/** The flags as commander gives them for a command line. */
function flagsOf(...args: string[]): BenchFlags {
  const program = new Command().option('--url <url>').option('--json').exitOverride();
  addBench(program);
  const bench = program.commands[0] as Command;
  let flags: BenchFlags | undefined;
  bench.action((given: BenchFlags) => {
    flags = given;
  });
  program.parse(['bench', ...args], { from: 'user' });
  return flags as BenchFlags;
}

const choose = (...args: string[]) => chooseWorkload(fail, flagsOf(...args));
const limits = (args: string[], ownSpanMs: number | null = null, files: number | null = null) =>
  limitsOf(fail, flagsOf(...args), ownSpanMs, files);
const samples = fileURLToPath(new URL('../../workload/samples', import.meta.url));

describe('what to send', () => {
  it('is one of a rate, a concurrency, a trace', () => {
    expect(choose('--rate', '2').workload).toMatchObject({ mode: 'rate', text: expect.stringContaining('poisson 2') });
    expect(choose('--concurrency', '3').plan()).toMatchObject({ kind: 'closed', concurrency: 3 });
    expect(choose('--rate', '1', '--turns', '3').plan().kind).toBe('conversations');
    expect(() => choose()).toThrow(/say what to send/);
    expect(() => choose('--rate', '1', '--concurrency', '2')).toThrow(/--rate and --concurrency together/);
    expect(() => choose('--concurrency', '2', '--turns', '3')).toThrow(/--turns goes with --rate/);
  });

  it.each([
    [['--rate', 'x'], /--rate wants a number from/],
    [['--rate', '0'], /--rate wants/],
    [['--concurrency', '1.5'], /whole number/],
    [['--rate', '1', '--arrivals', 'uniform'], /--arrivals is constant/],
    [['--rate', '1', '--arrivals', 'gamma', '--cv', '0'], /--cv wants/],
    [['--rate', '1', '--prompt', '5', '--shared', '5'], /--shared 5 is not part/],
    [['--rate', '1', '--seed', '-1'], /--seed wants/],
    [['--trace', '/none/such.csv'], /such\.csv/],
    [['--trace', `${samples}/azure-code-2023.csv`, '--format', 'parquet'], /--format is azure/],
    [['--trace', `${samples}/azure-code-2023.csv`, '--format', 'mooncake'], /azure-code-2023\.csv: line 1/],
    [['--trace', `${samples}/azure-code-2023.csv`, '--from', '9', '--to', '3'], /--to 3 is not after/],
    [['--trace', samples], /has no chunk-0-trace\.csv/],
  ])('%o is refused, naming what is wrong', (args, message) => {
    expect(() => choose(...args)).toThrow(message);
  });

  it('reads each kind of trace by its path, cuts and scales it', () => {
    const azure = choose('--trace', `${samples}/azure-code-2023.csv`, '--to', '10', '--time-scale', '0.5');
    expect(azure.spanMs).toBeLessThanOrEqual(5_000);
    const plan = choose(
      '--trace',
      `${samples}/mooncake-conversation.jsonl`,
      '--prompt-max',
      '600',
      '--output-max',
      '9',
    ).plan();
    const shots = plan.kind === 'open' ? [...plan.shots] : [];
    expect(shots).toHaveLength(200);
    expect(shots.every((shot) => shot.promptTokens <= 600 && shot.outputTokens <= 9)).toBe(true);
    const prefixes = new Set(shots.map((shot) => shot.prompt.slice(0, 1000)));
    expect(prefixes.size).toBeLessThan(10);
    expect(choose('--trace', `${samples}/servegen`).workload.text).toMatch(/^\d+ requests of .*servegen/);
  });

  it('a fingerprint is equal for equal requests only', () => {
    const of = (...args: string[]) => choose(...args).workload.fingerprint;
    expect(of('--rate', '2')).toBe(of('--rate', '2', '--ttft', '5'));
    expect(
      new Set([of('--rate', '2'), of('--rate', '3'), of('--rate', '2', '--seed', '2'), of('--concurrency', '2')]).size,
    ).toBe(4);
  });
});

describe('limits', () => {
  it('default to a minute with a warm-up, or to the trace', () => {
    expect(limits(['--rate', '1'])).toMatchObject({ spanMs: 60_000, warmUpMs: 5_000 });
    expect(limits(['--rate', '1', '--seconds', '10'])).toMatchObject({ spanMs: 10_000, warmUpMs: 0 });
    expect(limits(['--rate', '1', '--requests', '10'])).toMatchObject({ requestsMax: 10, warmUpMs: 0 });
    expect(limits(['--trace', 'x'], 100_000)).toMatchObject({ spanMs: 100_001, warmUpMs: 5_000 });
    expect(() => limits(['--rate', '1', '--seconds', '9', '--warm-up', '9'])).toThrow(/leaves nothing/);
    expect(() => limits(['--trace', 'x'], 1e9)).toThrow(/cut it with --from/);
  });

  it('keep requests in flight under what the machine lets a process open', () => {
    expect(limits(['--rate', '1'], null, 1024).inFlightMax).toBe(824);
    expect(limits(['--rate', '1', '--in-flight-max', '500'], null, 1024).inFlightMax).toBe(500);
    expect(() => limits(['--rate', '1', '--in-flight-max', '1000'], null, 1024)).toThrow(/1024 files/);
  });

  it('targets and the ramp are read as numbers', () => {
    expect(sloOf(fail, flagsOf('--ttft', '500'))).toEqual({ ttftMsMax: 500, tpotMsMax: null });
    expect(rampOf(fail, flagsOf('--ramp', '--rate', '8', '--ramp-max', '4'))).toMatchObject({
      startPerS: 4,
      maxPerS: 4,
    });
  });
});

describe('whom to load', () => {
  const of = (...args: string[]) => reach(fail, flagsOf(...args), { url: 'http://h:1' });

  it('any server: URL, model, key, headers, more of the body', async () => {
    process.env['BENCH_TEST_KEY'] = 'secret';
    const args = ['--model', 'm', '--api-key-env', 'BENCH_TEST_KEY', '--header', 'X-A: 1', '--header', 'x-b: 2:3'];
    const { target } = await of(...args, '--body', '{"ignore_eos":true}');
    delete process.env['BENCH_TEST_KEY'];
    expect(target).toEqual({
      ...{ url: 'http://h:1', apiKey: 'secret', model: 'm' },
      ...{ headers: { 'x-a': '1', 'x-b': '2:3' }, extraBody: { ignore_eos: true } },
    });
  });

  it.each([
    [[], /say one of --endpoint/],
    [['--model', 'm', '--endpoint', 'e'], /say one of --endpoint/],
    [['--model', 'm', '--api-key-env', 'BENCH_TEST_NONE'], /BENCH_TEST_NONE is not set/],
    [['--model', 'm', '--header', 'nothing'], /--header wants/],
    [['--model', 'm', '--body', '[1]'], /--body wants a JSON object/],
  ])('%o is refused', async (args, message) => {
    await expect(of(...args)).rejects.toThrow(message);
  });

  it('a model needs the URL of its server', async () => {
    await expect(reach(fail, flagsOf('--model', 'm'), {})).rejects.toThrow(/--model needs --url/);
  });
});
