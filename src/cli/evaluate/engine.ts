import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { CubitError } from '../../core/errors.ts';
import type { EngineReport } from '../../evaluate/engine.ts';
import { readTextFile } from '../files.ts';

interface Flags {
  readonly bundle: string;
  readonly modelConfig?: string;
  readonly tflops?: number;
}

/** `cubit evaluate engine`: the simulator against the log of a real engine. */
export function addEvaluateEngine(program: Command, group: Command): void {
  group
    .command('engine')
    .description('TTFT, TPOT and E2E of a logged engine run, predicted by simulation from specifications alone')
    .requiredOption('--bundle <folder>', 'config.json, meta.json and requests.jsonl of a run (docs/simulator.md)')
    .option('--model-config <file>', 'the model’s published config.json, where the catalogue does not know the model')
    .option('--tflops <n>', 'dense bf16 TFLOPS of one accelerator, where the catalogue does not know it', above(0))
    .action(async ({ bundle, modelConfig, tflops }: Flags) => {
      const { evaluateEngine } = await import('../../evaluate/engine.ts');
      const { createFactFinder } = await import('../../evaluate/calculator/facts.ts');
      const { loadCatalog } = await import('../../catalog/load.ts');
      const text = (name: string) => readTextFile(join(bundle, name));
      const report = evaluateEngine(
        { config: text('config.json'), meta: text('meta.json'), requests: text('requests.jsonl') },
        createFactFinder(await loadCatalog()),
        {
          ...(modelConfig === undefined ? {} : { modelConfig: readJsonObject(modelConfig) }),
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

function table({
  assumed,
  hardware,
  measured,
  model,
  predicted,
  requests,
  simulated,
  ...errors
}: EngineReport): string {
  const row = (name: string, ms: number, of: number, percent: number) =>
    `${name.padEnd(6)}${ms.toFixed(1).padStart(12)}${of.toFixed(1).padStart(12)}${`${percent.toFixed(1)} %`.padStart(10)}`;
  const { meanRunning, preemptions, steps } = simulated;
  return [
    `${model} on ${hardware}: ${requests} requests, ${steps} steps, ${preemptions} preemptions, ${meanRunning.toFixed(1)} sequences on average`,
    `${'mean'.padEnd(6)}${'predicted ms'.padStart(12)}${'measured ms'.padStart(12)}${'error'.padStart(10)}`,
    row('TTFT', predicted.ttftMs, measured.ttftMs, errors.ttftErrPct),
    row('TPOT', predicted.tpotMs, measured.tpotMs, errors.tpotErrPct),
    row('E2E', predicted.e2eMs, measured.e2eMs, errors.e2eErrPct),
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
