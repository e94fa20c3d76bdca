import type { Command } from 'commander';
import type { CalculatorReport } from '../../evaluate/calculator.ts';

interface Flags {
  readonly rows: string;
  readonly leaveOut?: string;
  readonly calibrate?: number;
  readonly plot?: string;
}

/** `cubit evaluate calculator`: the performance model against other people's end-to-end measurements. */
export function addEvaluateCalculator(evaluate: Command): void {
  evaluate
    .command('calculator')
    .description('predict TPOT and TTFT of measured rows from facts alone, and say how far off')
    .requiredOption('--rows <file>', 'measured rows, CSV in the format of aiconfigurator’s silicon_sample.csv')
    .option('--leave-out <model_path>', 'evaluate this model only, with the model’s parts refitted on all others')
    .option('--calibrate <points>', 'also calibrate each model × GPU × engine with so many of its rows', parsePoints)
    .option('--plot <file>', 'write the errors per model and GPU as an SVG')
    .action(async (flags: Flags, command: Command) => {
      const { readFile, writeFile } = await import('node:fs/promises');
      const { loadCatalog } = await import('../../catalog/load.ts');
      const { evaluateCalculator } = await import('../../evaluate/calculator.ts');
      const csv = await readFile(flags.rows, 'utf8').catch((error: NodeJS.ErrnoException) =>
        command.error(`Cannot read ${flags.rows}: ${error.code ?? error.message}.`, { exitCode: 2 }),
      );
      const { predictions, report } = evaluateCalculator(csv, await loadCatalog(), flags);
      if (flags.plot !== undefined) {
        const { plotErrors } = await import('../../evaluate/calculator/plot.ts');
        await writeFile(flags.plot, plotErrors(predictions));
      }
      if (command.optsWithGlobals<{ json?: boolean }>().json) console.log(JSON.stringify(report, null, 2));
      else console.log(render(report));
    });

  function parsePoints(text: string): number {
    const points = Number(text);
    if (Number.isInteger(points) && points >= 1 && points <= 100) return points;
    return evaluate.error(`--calibrate ${text}: give a whole number of points from 1 to 100.`, { exitCode: 2 });
  }
}

function render(report: CalculatorReport): string {
  const lines = [
    `${report.covered} of ${report.rows} rows covered (aggregated: ${report.aggregated.covered} of ${report.aggregated.rows}); constants: ${report.constants}`,
    line('aggregated', report),
  ];
  for (const [title, groups] of [
    ['model', report.byModel],
    ['system', report.bySystem],
    ['backend', report.byBackend],
    ['mode', report.byMode],
  ] as const) {
    lines.push('', title);
    for (const [name, group] of Object.entries(groups)) lines.push(line(`  ${name} (${group.rows})`, group));
  }
  if (report.calibrated) lines.push('', line(`calibrated with ${report.calibrated.points}`, report.calibrated));
  for (const { modelPath, reason, rows, system } of report.uncovered) {
    lines.push(`uncovered: ${rows} × ${modelPath} on ${system}: ${reason}`);
  }
  return lines.join('\n');
}

function line(name: string, { tpot, ttft }: Pick<CalculatorReport, 'tpot' | 'ttft'>): string {
  const figures = [tpot.medianApePct, tpot.mapePct, ttft.medianApePct, ttft.mapePct];
  const [a, b, c, d] = figures.map((figure) => (figure === null ? '–' : figure.toFixed(1)).padStart(6));
  return `${name.padEnd(44)} TPOT median ${a} % mean ${b} %   TTFT median ${c} % mean ${d} %`;
}
