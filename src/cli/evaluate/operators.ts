import type { Command } from 'commander';
import type { Finding } from '../../evaluate/operators.ts';

/** `cubit evaluate operators`: what operator tables show beside the constants of the performance model. */
export function addEvaluateOperators(evaluate: Command): void {
  evaluate
    .command('operators')
    .description('read operator tables (Parquet) and show their efficiencies beside the model’s constants')
    .requiredOption('--tables <folder>', 'folder of tables named <system>_<operator>_….parquet')
    .action(async ({ tables }: { tables: string }, command: Command) => {
      const { readTables } = await import('../../evaluate/operator-tables.ts');
      const { loadCatalog } = await import('../../catalog/load.ts');
      const { findingsOf } = await import('../../evaluate/operators.ts');
      const { createFactFinder } = await import('../../evaluate/calculator/facts.ts');
      const finder = createFactFinder(await loadCatalog());
      const json = command.optsWithGlobals<{ json?: boolean }>().json ?? false;
      const all: Finding[] = [];
      for await (const table of readTables(tables)) {
        const system = /^[a-z]+\d+\w*?(?=_(gemm|attention|moe|mla|comm)_)/.exec(table.name)?.[0] ?? '';
        const accelerator = finder.acceleratorOf(system);
        if (!accelerator) {
          console.error(`${table.name}: no facts of the accelerator ${system || '(none named)'}; left out`);
          continue;
        }
        const findings = findingsOf(table, accelerator);
        all.push(...findings);
        if (!json) for (const finding of findings) console.log(line(finding));
      }
      if (json) console.log(JSON.stringify(all, null, 2));
    });
}

function line({ cells, constant, found, table, value, what }: Finding): string {
  const name = table.replace(/_perf\.parquet$/, '').slice(0, 44);
  return `${name.padEnd(44)} ${what.padEnd(54)} ${found.toFixed(2)} in ${String(cells).padStart(4)} cells; ${constant} ${value.toFixed(2)}`;
}
