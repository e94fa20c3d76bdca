import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { ATTAINMENTS, FIXED_COEFFICIENT, type PolicyReport } from '../../evaluate/elasticity.ts';
import {
  hoursOf,
  numberFrom,
  SCALERS,
  type ScalerName,
  type SimulateFlags,
  stepTokensFrom,
  wholeFrom,
} from '../simulate/flags.ts';

type Flags = Omit<SimulateFlags, 'scaler' | 'admission' | 'routing' | 'target'> & {
  readonly max: number;
  readonly svg?: string;
  readonly policies: readonly ScalerName[];
};

/** `cubit evaluate elasticity`: what a trace costs with each way of scaling. */
export function addEvaluateElasticity(program: Command, group: Command): void {
  group
    .command('elasticity')
    .description('unit-hours at 98, 99 and 99.5 % in time: best static size, others’ autoscalers, Cubit, a clairvoyant')
    .requiredOption('--trace <file>', 'trace file, or folder of a ServeGen workload')
    .addOption(
      new Option('--format <name>', 'default: by the name').choices(['azure', 'mooncake', 'servegen', 'rates']),
    )
    .option('--hours <A-B>', 'only these hours of the trace', hoursOf)
    .option('--time-scale <x>', 'arrival times times this', numberFrom(1e-6, 1e6), 1)
    .option('--rate-scale <x>', 'requests times this', numberFrom(1e-3, 1e4), 1)
    .option('--jitter-s <s>', 'how far copies of a request lie from it, with --rate-scale', numberFrom(0, 600), 2)
    .option('--template <id>', 'unit: a template of the catalogue (default: Llama 3.1 8B as measured on one RTX 4090)')
    .option('--unit <file>', 'unit: JSON of your own step model (docs/simulator.md)')
    .option(
      '--step-tokens <n>',
      'tokens of a step at most; auto: as many as keep --tpot-ms with the KV cache half full',
      stepTokensFrom,
      'auto',
    )
    .option('--min <n>', 'units at least', wholeFrom(0, 10_000), 1)
    .option('--max <n>', 'units at most', wholeFrom(1, 10_000), 200)
    .option('--startup-s <s>', 'launch to ready', numberFrom(0, 86_400), 180)
    .option('--startup-cv <x>', 'how start-ups vary: standard deviation over mean', numberFrom(0, 10), 0)
    .option('--max-wait-s <s>', 'how long a request may wait for a place', numberFrom(0, 86_400), 600)
    .option('--ttft-ms <ms>', 'target: time to the first token from arrival', numberFrom(0), 2000)
    .option('--ttft-factor <x>', 'and so many times the prefill of the request alone', numberFrom(0, 100), 2)
    .option('--tpot-ms <ms>', 'target: mean time per token', numberFrom(0), 60)
    .option('--warmup-s <s>', 'requests of the first seconds are served, not scored', numberFrom(0), 300)
    .option('--policies <names>', 'elastic ones to run, with commas', policiesOf, SCALERS.filter(isElastic))
    .option('--seed <n>', 'decides everything random', wholeFrom(0, 2 ** 31), 1)
    .option('--svg <file>', 'also write a plot of unit-hours over requests in time')
    .addHelpText('after', NOTES)
    .action(async (flags: Flags) => {
      const { elasticityOf } = await import('../simulate/elasticity.ts');
      const reports = await elasticityOf({
        ...flags,
        admission: 'cubit',
        routing: 'cubit',
        scaler: 'static',
        target: 0.99,
      });
      const { paretoSvg } = await import('../../evaluate/elasticity/plot.ts');
      if (flags.svg !== undefined) writeFileSync(flags.svg, paretoSvg(titleOf(flags), reports));
      const json = { trace: flags.trace, seed: flags.seed, attainments: ATTAINMENTS, policies: reports };
      console.log(program.opts()['json'] ? JSON.stringify(json, null, 2) : table(reports));
    });
}

function isElastic(name: string): boolean {
  return name !== 'static';
}

function policiesOf(text: string): ScalerName[] {
  const names = text.split(',').map((name) => name.trim());
  const known = SCALERS.filter(isElastic);
  const unknown = names.filter((name) => !known.some((other) => other === name));
  if (unknown.length === 0) return known.filter((name) => names.includes(name));
  throw new InvalidArgumentError(`There is no ${unknown.join(', ')}; there are ${known.join(', ')}.`);
}

function titleOf({ hours, rateScale, trace }: Flags): string {
  const part = hours === undefined ? '' : `, hours ${hours.join('–')}`;
  return `${basename(trace)}${part}${rateScale === 1 ? '' : `, × ${rateScale}`}`;
}

function table(reports: readonly PolicyReport[]): string {
  const cell = (value: number | null) => (value === null ? '–' : value.toFixed(1)).padStart(9);
  const row = ({ best, policy, unitHours }: PolicyReport) =>
    [
      policy.padEnd(10),
      ...unitHours.map(cell),
      cell(best.billedUnitHours),
      cell(best.scaleEventsPerHour),
      `   ${(100 * best.sloAttainment).toFixed(2)} % with ${policy === 'static' ? 'units' : 'k'} = ${best.setting}`,
    ].join('');
  const cubit = reports.find(({ policy }) => policy === 'cubit');
  const fixed = cubit?.runs.find(({ setting }) => setting === FIXED_COEFFICIENT);
  return [
    `${'policy'.padEnd(10)}${ATTAINMENTS.map((share) => `at ${100 * share} %`.padStart(9)).join('')}${'billed'.padStart(9)}${'events/h'.padStart(9)}   best at 99 %`,
    ...reports.map(row),
    ...(fixed === undefined
      ? []
      : [
          `Cubit with k = ${FIXED_COEFFICIENT}: ${(100 * fixed.sloAttainment).toFixed(2)} % for ${fixed.unitHours.toFixed(1)} unit-hours (${fixed.billedUnitHours.toFixed(1)} billed), ${fixed.scaleEventsPerHour.toFixed(1)} events/h`,
        ]),
  ].join('\n');
}

const NOTES = `
Unit-hours count from launch to release, billed ones while a unit is ready. Between two runs they are interpolated. Coefficients, and the
static size, are the best for this very trace in hindsight; elastic runs begin with the best static size at 99 %.
Examples:
  cubit evaluate elasticity --trace servegen/deepseek-r1 --hours 5-11 --svg pareto.svg
  cubit evaluate elasticity --trace AzureLLMInferenceTrace_code.csv --rate-scale 10 --policies hpa,cubit,oracle`;
