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
  readonly calibrate?: number | true;
}

/** Share of requests that `--calibrate` without a number uses. */
const CALIBRATE_SHARE = 0.3;

/** `cubit evaluate simulator`: the engine simulator against the log of a real engine. */
export function addEvaluateEngine(program: Command, group: Command): void {
  group
    .command('simulator')
    .alias('engine')
    .description(
      'TTFT, TPOT and E2E of a logged engine run, predicted by simulation: from specifications, or calibrated',
    )
    .requiredOption('--bundle <folder>', 'config.json, meta.json and requests.jsonl of a run (docs/simulator.md)')
    .option('--model-config <file>', 'the model’s published config.json, where the catalogue does not know the model')
    .option('--tflops <n>', 'dense bf16 TFLOPS of one accelerator, where the catalogue does not know it', above(0))
    .option(
      '--calibrate [share]',
      'calibrate on the stamps of the first share of requests (0.3), check on the rest',
      share,
    )
    .action(async ({ bundle, calibrate, modelConfig, tflops }: Flags) => {
      const startedMs = performance.now();
      const { evaluateEngine } = await import('../../evaluate/engine.ts');
      const { createFactFinder } = await import('../../evaluate/calculator/facts.ts');
      const { loadCatalog } = await import('../../catalog/load.ts');
      const text = (name: string) => readTextFile(join(bundle, name));
      const report = evaluateEngine(
        { config: text('config.json'), meta: text('meta.json'), requests: text('requests.jsonl') },
        createFactFinder(await loadCatalog()),
        {
          ...(modelConfig === undefined ? {} : { modelConfig: readJsonObject(modelConfig) }),
          ...(calibrate === undefined ? {} : { calibrate: calibrate === true ? CALIBRATE_SHARE : calibrate }),
          ...(tflops === undefined ? {} : { flopsPerS: tflops * 1e12 }),
        },
      );
      const wallMs = Math.round(performance.now() - startedMs);
      console.log(
        program.opts()['json'] ? JSON.stringify({ ...headline(report), ...report, wallMs }, null, 2) : table(report),
      );
    });
}

/** The errors that count: on requests that calibration did not see; from specifications alone where there was none. */
function headline({ calibrated, p99, ...report }: EngineReport) {
  const means: EngineErrors = calibrated?.heldOut ?? report;
  const tails = calibrated?.heldOutP99 ?? p99;
  return {
    ttftMeanErrPct: means.ttftErrPct,
    tpotMeanErrPct: means.tpotErrPct,
    e2eMeanErrPct: means.e2eErrPct,
    ttftP99ErrPct: tails.ttftErrPct,
    tpotP99ErrPct: tails.tpotErrPct,
    e2eP99ErrPct: tails.e2eErrPct,
  };
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
    row('  error of p99', percents(errors(report.p99))),
    ...(calibrated === undefined
      ? []
      : [
          row(`calibrated on the first ${calibrated.requests}, ms`, ms(calibrated.predicted)),
          row('  error, all requests', percents(errors(calibrated))),
          row('  error, the others', percents(errors(calibrated.heldOut))),
          row('  error of p99, the others', percents(errors(calibrated.heldOutP99))),
        ]),
    ...assumed.map((line) => `Assumed: ${line}`),
  ].join('\n');
}

function share(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && value < 1) return value;
  throw new InvalidArgumentError('It wants a share above 0 and below 1.');
}

function above(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isFinite(value) && value > min) return value;
    throw new InvalidArgumentError(`It wants a number above ${min}.`);
  };
}
