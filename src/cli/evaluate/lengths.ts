import { type Command, InvalidArgumentError } from 'commander';
import type { LengthsReport, LengthsScore } from '../../evaluate/lengths.ts';
import { parseFile } from '../files.ts';

interface Flags {
  readonly trace: readonly string[];
  readonly quantile: number;
  readonly keys: number;
}

/** `cubit evaluate lengths`: what is reserved for answers of unknown length, against simpler ways. */
export function addEvaluateLengths(program: Command, group: Command): void {
  group
    .command('lengths')
    .description('the output-length estimator over traces: pinball loss, coverage, reserved ÷ used, beside baselines')
    .requiredOption(
      '--trace <file...>',
      'traces: Azure’s CSV (TIMESTAMP,ContextTokens,GeneratedTokens) or Mooncake’s JSON lines',
    )
    .option('--quantile <q>', 'share of answers that the reservation should cover', within(0.01, 0.999), 0.9)
    .option('--keys <n>', 'API keys among which a trace’s requests are dealt, to see the back-off', whole(1, 9_999), 1)
    .action(async ({ trace, keys, quantile }: Flags) => {
      const { LENGTHS_OPTIONS, evaluateLengths } = await import('../../evaluate/lengths.ts');
      const { parseTrace } = await import('../../workload/parse.ts');
      const traces = trace.map((file) => ({
        file,
        ...evaluateLengths(parseFile(file, parseTrace).requests, { ...LENGTHS_OPTIONS, keys, quantile }),
      }));
      if (program.opts()['json']) console.log(JSON.stringify({ quantile, keys, traces }, null, 2));
      else for (const report of traces) console.log(`${report.file}\n${table(report)}\n`);
    });
}

function table({ baselines, learned, outputTokensMean, requests }: LengthsReport): string {
  const rows: [string, LengthsScore][] = [
    ['learned', learned],
    ['max_tokens', baselines.maxTokens],
    ['constant', baselines.constant],
    ['mean', baselines.mean],
    ['best constant in hindsight', baselines.hindsight],
  ];
  const cells = (name: string, ...rest: string[]) => name.padEnd(28) + rest.map((cell) => cell.padStart(16)).join('');
  return [
    `${requests} requests, ${outputTokensMean.toFixed(1)} output tokens on average`,
    cells('', 'pinball, tokens', 'coverage', 'reserved ÷ used', '+ extensions'),
    ...rows.map(([name, score]) =>
      cells(
        name,
        score.pinballTokens.toFixed(2),
        score.coverage.toFixed(3),
        score.reservedToUsed.toFixed(2),
        score.reservedToUsedWithExtensions.toFixed(2),
      ),
    ),
  ].join('\n');
}

function within(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It wants a number from ${min} to ${max}.`);
  };
}

function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = within(min, max)(text);
    if (Number.isInteger(value)) return value;
    throw new InvalidArgumentError('It wants a whole number.');
  };
}
