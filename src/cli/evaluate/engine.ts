import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { CubitError } from '../../core/errors.ts';
import type { EngineErrors, EngineMeans } from '../../evaluate/engine/means.ts';
import type { EngineReport } from '../../evaluate/engine.ts';
import { readTextFile } from '../files.ts';

interface Flags {
  readonly bundle: string;
  readonly modelConfig?: string;
  readonly tflops?: number;
  readonly calibrate?: boolean;
}

/** `cubit evaluate engine`: the simulator against the log of a real engine. */
export function addEvaluateEngine(program: Command, group: Command): void {
  group
    .command('engine')
    .description('TTFT, TPOT and E2E of a logged engine run, predicted by simulation from specifications alone')
    .requiredOption('--bundle <folder>', 'config.json, meta.json and requests.jsonl of a run (docs/simulator.md)')
    .option('--model-config <file>', 'the model’s published config.json, where the catalogue does not know the model')
    .option('--tflops <n>', 'dense bf16 TFLOPS of one accelerator, where the catalogue does not know it', above(0))
    .option('--calibrate', 'also calibrate on the stamps of the first 30 % of requests')
    .action(async ({ bundle, calibrate, modelConfig, tflops }: Flags) => {
      const { evaluateEngine } = await import('../../evaluate/engine.ts');
      const { createFactFinder } = await import('../../evaluate/calculator/facts.ts');
      const { loadCatalog } = await import('../../catalog/load.ts');
      const text = (name: string) => readTextFile(join(bundle, name));
      const report = evaluateEngine(
        { config: text('config.json'), meta: text('meta.json'), requests: text('requests.jsonl') },
        createFactFinder(await loadCatalog()),
        {
          ...(modelConfig === undefined ? {} : { modelConfig: readJsonObject(modelConfig) }),
          ...(calibrate ? { calibrate } : {}),
          ...(tflops === undefined ? {} : { flopsPerS: tflops * 1e12 }),
        },
      );
      console.log(program.opts()['json'] ? JSON.stringify(report, null, 2) : table(report));
    });
}

function readJsonObject(path: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(readTextFile(path));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (error) {
    if (error instanceof CubitError) throw error;
  }
  throw new CubitError('invalid_request', `${path} is not a JSON object: give a model's config.json.`);
}

function table(report: EngineReport): string {
  const { assumed, calibrated, hardware, measured, model, predicted, requests, simulated } = report;
  const { meanRunning, preemptions, steps } = simulated;
  const errors = (of: EngineErrors) => [of.ttftErrPct, of.tpotErrPct, of.e2eErrPct];
  const percents = (list: readonly number[]) => list.map((value) => `${value.toFixed(1)} %`);
  const ms = (means: EngineMeans) => [means.ttftMs, means.tpotMs, means.e2eMs].map((value) => value.toFixed(1));
  const row = (name: string, cells: readonly string[]) =>
    name.padEnd(36) + cells.map((cell) => cell.padStart(12)).join('');
  return [
    `${model} on ${hardware}: ${requests} requests, ${steps} steps, ${preemptions} preemptions, ${meanRunning.toFixed(1)} sequences on average`,
    row('means', ['TTFT', 'TPOT', 'E2E']),
    row('measured, ms', ms(measured)),
    row('from specifications, ms', ms(predicted)),
    row('  error', percents(errors(report))),
    ...(calibrated === undefined
      ? []
      : [
          row(`calibrated on the first ${calibrated.requests}, ms`, ms(calibrated.predicted)),
          row('  error, all requests', percents(errors(calibrated))),
          row('  error, the others', percents(errors(calibrated.heldOut))),
        ]),
    ...assumed.map((line) => `Assumed: ${line}`),
  ].join('\n');
}

function above(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isFinite(value) && value > min) return value;
    throw new InvalidArgumentError(`It wants a number above ${min}.`);
  };
}
