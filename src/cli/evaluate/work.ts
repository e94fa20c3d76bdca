import type { Command } from 'commander';
import type { WorkReport } from '../../evaluate/work.ts';
import { parseFile } from '../files.ts';

/** `cubit evaluate work`: the work formula against measured throughput, each cell left out in turn. */
export function addEvaluateWork(program: Command, group: Command): void {
  group
    .command('work')
    .description('the work formula against measured throughput at full load, each cell left out in turn')
    .requiredOption('--cells <file>', 'CSV: model,gpu,parallel,precision,isl,osl,out_tok_s_per_gpu')
    .action(async ({ cells: file }: { cells: string }) => {
      const { parseCells } = await import('../../evaluate/work/cells.ts');
      const { evaluateWork } = await import('../../evaluate/work.ts');
      const { loadCatalog } = await import('../../catalog/load.ts');
      const { loadConfig } = await import('../../config.ts');
      const cells = parseFile(file, parseCells);
      const report = evaluateWork(cells, await loadCatalog(loadConfig({ dataDir: program.opts()['data'] }).catalogDir));
      console.log(program.opts()['json'] ? JSON.stringify(report, null, 2) : text(report));
      if (report.cells === 0) process.exitCode = 1;
    });
}

function text(report: WorkReport): string {
  const percent = (value: number | null) => (value === null ? '–' : `${value.toFixed(1)} %`);
  const lines = [
    `${report.cells} cells, each predicted from the others`,
    `work formula     mean error ${percent(report.mapePct)}, median ${percent(report.medianApePct)}`,
    `                 mean ${percent(report.withoutTwinsMapePct)} when cells of nearly the same lengths are left out too`,
    `linear weights   mean error ${percent(report.linearMapePct)}, median ${percent(report.linearMedianApePct)}`,
    '',
    `${'group'.padEnd(40)}${'cells'.padStart(6)}${'work'.padStart(10)}${'linear'.padStart(10)}`,
    ...report.byGroup.map(
      ({ cells, fromStepModel, group, linearMapePct, mapePct }) =>
        `${group.padEnd(40)}${String(cells).padStart(6)}${percent(mapePct).padStart(10)}${percent(linearMapePct).padStart(10)}${fromStepModel ? '  from the step model' : ''}`,
    ),
    ...report.uncovered.map(
      ({ cells, gpu, model, reason }) => `not covered: ${cells} cells of ${model} on ${gpu}: ${reason}`,
    ),
  ];
  return lines.join('\n');
}
