import { basename } from 'node:path';
import type { Command } from 'commander';
import { CubitError } from '../../core/errors.ts';
import type { AdmissionScore, Mix, MixReport } from '../../evaluate/admission.ts';
import { parseTrace } from '../../workload/parse.ts';
import type { Trace } from '../../workload/trace.ts';
import { parseFile } from '../files.ts';
import { numberFrom, wholeFrom } from '../simulate/flags.ts';

interface Flags {
  readonly trace: readonly string[];
  readonly template?: string;
  readonly unit?: string;
  readonly units: number;
  readonly overload: number;
  readonly requests: number;
  readonly seeds: number;
  readonly ttftMs: number;
  readonly ttftFactor: number;
  readonly tpotMs: number;
}

/** `cubit evaluate admission`: who is served in time when more comes than the units can do. */
export function addEvaluateAdmission(program: Command, group: Command): void {
  group
    .command('admission')
    .description(
      'requests and tokens in time under overload: admission by work and predicted latency against flat limits',
    )
    .requiredOption('--trace <file>', 'Azure CSV or Mooncake JSONL; several: each alone, and all mixed alike', list, [])
    .option('--template <id>', 'unit: a template of the catalogue (default: Llama 3.1 8B as measured on one RTX 4090)')
    .option('--unit <file>', 'unit: JSON of your own step model (docs/simulator.md)')
    .option('--units <n>', 'units', wholeFrom(1, 1000), 1)
    .option('--overload <x>', 'offered rate over the saturated one', numberFrom(0.1, 10), 1.2)
    .option('--requests <n>', 'of each run', wholeFrom(100, 1_000_000), 2000)
    .option('--seeds <n>', 'runs to average', wholeFrom(1, 20), 1)
    .option('--ttft-ms <ms>', 'target: time to the first token', numberFrom(0), 2000)
    .option('--ttft-factor <x>', 'and so many times the prefill of the request alone', numberFrom(0, 100), 2)
    .option('--tpot-ms <ms>', 'target: mean time per token', numberFrom(0), 100)
    .action(async (flags: Flags) => {
      const { evaluateAdmission } = await import('../../evaluate/admission.ts');
      const { chooseUnit } = await import('../simulate/unit.ts');
      const traces = flags.trace.map((path) => ({ name: basename(path), trace: parseFile(path, parseTrace) }));
      const { config, name } = await chooseUnit(flags, blockTokensOf(traces.map(({ trace }) => trace)));
      const { overload, requests, tpotMs, ttftFactor, ttftMs, units } = flags;
      const slo = { ttftMs, ttftPrefillFactor: ttftFactor, tpotMs };
      const seeds = Array.from({ length: flags.seeds }, (_, index) => index + 1);
      const mixes = evaluateAdmission({ unit: config, units, slo, overload, requests, seeds }, mixesOf(traces));
      console.log(
        program.opts()['json'] ? JSON.stringify({ unit: name, units, overload, slo, mixes }, null, 2) : table(mixes),
      );
    });
}

function list(path: string, before: readonly string[]): readonly string[] {
  return [...before, path];
}

function blockTokensOf(traces: readonly Trace[]): number {
  const sizes = new Set(traces.map(({ blockTokens }) => blockTokens).filter((size) => size > 0));
  if (sizes.size > 1)
    throw new CubitError('invalid_request', 'The traces have blocks of different sizes: give those of one kind.');
  return [...sizes][0] ?? 0;
}

function mixesOf(traces: readonly { readonly name: string; readonly trace: Trace }[]): Mix[] {
  const parts = traces.map(({ name, trace: { requests } }) => ({ name, requests, weight: 1 }));
  const alone = parts.map((part) => ({ name: part.name, parts: [part] }));
  return parts.length < 2 ? alone : [{ name: 'mixed', parts }, ...alone];
}

function table(mixes: readonly MixReport[]): string {
  return mixes.flatMap(linesOf).join('\n');
}

function linesOf(report: MixReport): string[] {
  const row = (name: string, score: AdmissionScore, over?: number, tokensOver?: number) =>
    [
      `  ${name.padEnd(34)}`,
      (score.metPerS / report.saturatedPerS).toFixed(3).padStart(8),
      score.metTokensPerS.toFixed(0).padStart(10),
      over === undefined
        ? ''
        : `   cubit × ${over.toFixed(2)} requests${tokensOver === undefined ? '' : `, × ${tokensOver.toFixed(2)} tokens`}`,
    ].join('');
  const { frozen } = report;
  return [
    `${report.mix}: saturated at ${report.saturatedPerS.toFixed(2)} requests/s; in time, of that rate, and tokens/s`,
    row('cubit', report.cubit),
    row('flat tokens, best rate', report.flatTokens, report.requestsOverFlatTokens, report.tokensOverFlatTokens),
    row('flat tokens, at capacity', report.flatTokensAtCapacity, report.requestsOverFlatTokensAtCapacity),
    row('in-flight tokens, best cap', report.inFlight, report.requestsOverInFlight, report.tokensOverInFlight),
    row('flat tokens, first mix’s rate', frozen.flatTokens, frozen.requestsOverFlatTokens, frozen.tokensOverFlatTokens),
    row('in-flight tokens, first mix’s cap', frozen.inFlight, frozen.requestsOverInFlight, frozen.tokensOverInFlight),
    row('none', report.none),
  ];
}
